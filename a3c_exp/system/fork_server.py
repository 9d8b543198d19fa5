"""The first import of every fork server: what is sent to the whole group does not end it, nor print where it was importing."""

import signal

from a3c_exp.system.signals import STOP_SIGNALS, leave_to_parent

leave_to_parent()
signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)  # it was started with them blocked
