"""A run counts as running only while the very process that wrote its record is there."""

import os
import signal
import subprocess
import sys

from a3c_exp.system.process_identity import is_same_process, process_start_time


def test_a_process_that_ended_or_took_over_the_number_is_not_the_same() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        started = process_start_time(child.pid)
        assert started is not None and is_same_process(child.pid, started) and is_same_process(child.pid, None)
        assert not is_same_process(child.pid, started - 60), "another process has its number now"
        os.kill(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not is_same_process(child.pid, started), "a zombie does no work"
    finally:
        child.kill()
        child.communicate()
    assert not is_same_process(child.pid, started) and process_start_time(child.pid) is None
    assert not is_same_process(-1, None)
    assert not is_same_process(10**30, None)
