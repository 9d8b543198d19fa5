"""A run in TensorBoard: event files below its run directory."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from a3c_exp.loggers.base import RunInfo, to_stderr
from a3c_exp.loggers.curves import AXIS, CurveLogger, describe_curves, flat_config
from a3c_exp.loggers.placement import placement
from a3c_exp.runs.log_records import JsonObject, MetricsRecord, Status
from a3c_exp.system.extras import require_extra

_MAX_QUEUED_ROWS = 100_000  # a disk that hangs must not stop the training
_RESULT = "eval/mean"


class TensorboardLogger(CurveLogger):
    """Writes a run's curves to ``<run directory>/tensorboard``, so that ``tensorboard --logdir outputs`` shows all runs side by
    side: scalars over environment steps, the configuration among the hyperparameters and as text, screenshots.

    What is written waits in a queue for a thread of TensorBoard's own. An error of it is reported once, and the run goes on.
    The arguments are those of conf/logger/tensorboard.yaml. Raises ConfigError if the package is not installed.
    """

    def __init__(self, row_interval: float = 1.0, on_message: Callable[[str], None] = to_stderr) -> None:
        super().__init__(row_interval)
        require_extra("logger=tensorboard", "tensorboard", otherwise="logger=none")
        self.on_message = on_message
        self._writer: Any = None
        self._described = False
        self._hyperparameters: Any = None

    def start(self, run: RunInfo) -> None:
        with self._reporting():
            from torch.utils.tensorboard import SummaryWriter, summary

            make_hyperparameters: Any = summary.hparams
            purge = run.start_env_step + 1 if run.resumed else None  # what was written after the checkpoint is not shown
            folder = run.directory / "tensorboard"
            self._writer = SummaryWriter(str(folder), purge_step=purge, max_queue=_MAX_QUEUED_ROWS, flush_secs=10)
            group, job_type, tags = placement(run)
            values = {key: _as_hyperparameter(value) for key, value in flat_config(run.config).items()}
            values |= {"group": group or "", "job_type": job_type}
            self._hyperparameters = make_hyperparameters(values, {_RESULT: 0.0})
            for part in self._hyperparameters[:2]:
                self._writer.file_writer.add_summary(part)
            text = "".join(f"    {key}: {value}\n" for key, value in values.items())
            self._writer.add_text("config", f"{run.name} ({', '.join(tags)})\n\n{text}", run.start_env_step)

    def metrics(self, metrics: MetricsRecord) -> None:
        if self._writer is not None and not self._described:
            self._described = True
            with self._reporting():
                self._writer.add_text("curves", describe_curves(metrics.infos), metrics.env_step)
        super().metrics(metrics)

    def send_row(self, row: Mapping[str, Any]) -> None:
        if self._writer is None:
            return
        with self._reporting():
            for name, value in row.items():
                if name != AXIS:
                    self._writer.add_scalar(name, float(value), row[AXIS])

    def screenshot(self, path: Path, env_step: int) -> None:
        if self._writer is None:
            return
        with self._reporting():
            import numpy as np
            from PIL import Image

            with Image.open(path) as picture:
                self._writer.add_image("screenshot", np.asarray(picture.convert("RGB")), env_step, dataformats="HWC")

    def video(self, path: Path, env_step: int) -> None:
        if self._writer is not None:
            with self._reporting():
                self._writer.add_text("video", str(path.absolute()), env_step)

    def finish(self, status: Status, summary: JsonObject) -> None:
        if self._writer is None:
            return
        self.flush_rows()
        with self._reporting():
            if self._writer is not None:
                self._writer.add_text("status", f"{status}: {summary['reason']}" if summary.get("reason") else status)
                self._writer.file_writer.add_summary(self._hyperparameters[2])
                self._writer.close()
        self._writer = None

    def _reporting(self) -> "_Reporting":
        return _Reporting(self)

    def give_up(self, error: BaseException) -> None:
        """Report the error that ends this logger, and not the run."""
        self._writer = None
        self.on_message(f"TensorBoard is off from here, the run goes on without it: {type(error).__name__}: {error}")


class _Reporting:
    """Inside, an error is the logger's and not the run's."""

    def __init__(self, logger: TensorboardLogger) -> None:
        self._logger = logger

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self._logger.give_up(error)
        return True


def _as_hyperparameter(value: Any) -> bool | float | str:
    return value if isinstance(value, bool | int | float | str) else str(value)
