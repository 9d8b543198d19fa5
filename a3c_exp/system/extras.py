"""Packages that only some commands need: which extra of pyproject.toml brings each, and the line that says so where it is
missing."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from a3c_exp.system.errors import ConfigError, first_line

PROVIDERS = {
    "ale_py": ("ale-py", "atari"),
    "envpool": ("envpool", "envpool"),
    "huggingface_hub": ("huggingface-hub", "hub"),
    "hydra_plugins.hydra_submitit_launcher": ("hydra-submitit-launcher", "slurm"),
    "imageio_ffmpeg": ("imageio-ffmpeg", "video"),
    "matplotlib": ("matplotlib", "report"),
    "minigrid": ("minigrid", "minigrid"),
    "mlflow": ("mlflow", "mlflow"),
    "mujoco": ("mujoco", "mujoco"),
    "onnx": ("onnx", "onnx"),
    "onnxruntime": ("onnxruntime", "onnx"),
    "onnxscript": ("onnxscript", "onnx"),
    "optuna_dashboard": ("optuna-dashboard", "optuna-dashboard"),
    "pandas": ("pandas", "pandas"),
    "ray": ("ray", "ray"),
    "skimage": ("scikit-image", "article"),
    "tensorboard": ("tensorboard", "tensorboard"),
    "wandb_workspaces": ("wandb-workspaces", "report"),
}
"""``{module: (package, extra)}`` of all that the package imports beyond its own dependencies."""


def is_installed(module: str) -> bool:
    """Whether a module can be found, without importing it."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # of its parent; of a None or a stand-in for it
        return False


def require_extra(purpose: str, *modules: str, otherwise: str = "") -> None:
    """Raise the ConfigError of ``missing_extra`` unless all ``modules`` are installed. Imports none of them."""
    for module in modules:
        if not is_installed(module):
            raise missing_extra(purpose, module, otherwise=otherwise)


def import_extra(purpose: str, module: str) -> Any:
    """The module of an extra, imported; the ConfigError of ``missing_extra`` if that fails, whatever the reason."""
    try:
        return import_module(module)
    except ImportError as error:
        absent = isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}.")
        raise missing_extra(purpose, module, "" if absent else first_line(error)) from None


def missing_extra(purpose: str, module: str, reason: str = "", otherwise: str = "") -> ConfigError:
    """The error that says what to install.

    Args:
        purpose: what needs it, as it was typed: ``logger=mlflow``.
        module: one of ``PROVIDERS``, or a submodule.
        reason: why it cannot be imported, if it is not merely absent.
        otherwise: what to type to do without it.
    """
    package, extra = PROVIDERS.get(module) or PROVIDERS[module.partition(".")[0]]
    problem = f"cannot be imported ({reason})" if reason else "is not installed"
    alternative = f", or {otherwise}" if otherwise else ""
    return ConfigError(f"{purpose} needs {package}, which {problem}. Type pip install 'a3c_exp[{extra}]'{alternative}")
