"""The first import of every fork server: what is sent to the whole group does not end it, nor print where it was importing."""

import signal
import sys
from typing import Any

from a3c_exp.system.signals import STOP_SIGNALS, leave_to_parent

leave_to_parent()
signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)  # it was started with them blocked


def _print_unless_refused(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """The main process says in a line that no more processes may be started."""
    if not isinstance(error, BlockingIOError):
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _print_unless_refused
