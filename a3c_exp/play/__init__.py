"""``python -m a3c_exp.play``: CarRacing driven from the keyboard."""

from typing import TYPE_CHECKING

from a3c_exp.system.lazy import lazy_exports

if TYPE_CHECKING:
    from a3c_exp.play.keyboard import DriveResult as DriveResult
    from a3c_exp.play.keyboard import KeyboardControls as KeyboardControls
    from a3c_exp.play.keyboard import play as play
else:
    __getattr__, __all__ = lazy_exports(__name__, DriveResult="keyboard", KeyboardControls="keyboard", play="keyboard")
