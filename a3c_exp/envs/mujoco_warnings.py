"""MuJoCo's own warnings, which it prints for every environment and writes into a file in the current directory."""

from a3c_exp.system.cli import print_notice

_seen = set[str]()


def show_each_once() -> None:
    """From now on a process prints each kind of warning once. That a model's file has something deprecated is for who wrote
    the model, and is not printed."""
    import mujoco

    mujoco.set_mju_user_warning(_show)


def _show(warning: str | bytes) -> None:
    text = warning.decode(errors="replace") if isinstance(warning, bytes) else warning
    kind = text.partition(". ")[0]  # behind it there is the time of the simulation
    if "deprecated" not in text and kind not in _seen:
        _seen.add(kind)
        print_notice(f"MuJoCo warns: {text.strip()}")
