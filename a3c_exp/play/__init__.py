"""``python -m a3c_exp.play``: CarRacing driven from the keyboard."""

from a3c_exp.system.lazy import lazy_exports

if not lazy_exports(__name__):
    from a3c_exp.play.keyboard import DriveResult as DriveResult, play as play
