"""The run's side of the pipe to ``process.py``."""

from pathlib import Path

from a3c_exp.loggers.service_client import ServiceClient


class WandbClient(ServiceClient):
    """Passes commands to a process for wandb."""

    script = Path(__file__).with_name("process.py")
    offline_mode = "offline"

    def send_later(self, directory: str) -> str:
        return f"wandb sync {directory}"
