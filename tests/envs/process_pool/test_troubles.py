"""Whatever happens to the processes of a pool is reported, and leaves none behind."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from pickle import PicklingError
from typing import Any

import numpy as np
import psutil
import pytest

from a3c_exp.envs.gymnasium import GymnasiumEnvs
from a3c_exp.envs.process_pool import envs as pool
from a3c_exp.envs.process_pool.envs import SubprocessEnvs
from a3c_exp.system.errors import ConfigError, WorkerError
from tests.support.driving import alive, descendants, wait_until
from tests.support.pooling import MAKERS, ROOT, K, gone, of_pool
from tests.support.pushing import SLACK
from tests.support.scripted import ScriptedEnvironments
from tests.support.troubled import FATAL, TroubledEnvironments

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_ctrl_c_is_left_to_the_main_process() -> None:
    pooled = SubprocessEnvs(MAKERS["scripted"], 2, 2)
    for pid in of_pool():
        os.kill(pid, signal.SIGINT)
    pooled.reset(0, 1)
    pooled.reset(1, 2)
    assert not pooled.step(np.zeros(2, np.int64), np.array([True, True]))
    pooled.close()


def error_message(envs: SubprocessEnvs, where: str) -> str:
    """The error when environment 3 of 5 fails."""
    envs.reset(0, 1)
    with pytest.raises(WorkerError) as caught:
        envs.reset(3, FATAL)
        assert where != "reset"
        envs.reset(4, 1)
        envs.step(np.zeros(K, np.int64), np.array([True, False, False, True, False]))
    return str(caught.value)


@pytest.mark.parametrize(
    ("trouble", "where", "says"),
    [
        ("kill", "step", "was killed by SIGKILL"),
        ("kill", "reset", "was killed by SIGKILL"),
        ("exit", "step", "ended with exit code 3"),
        ("stop", "step", "gave no answer for 1 s and was killed"),
        ("spin", "step", "gave no answer for 1 s and was killed"),
        ("sleep", "reset", "gave no answer for 1 s and was killed"),
        ("raise", "step", "RuntimeError: the pole snapped"),
        ("raise", "reset", "RuntimeError: the pole snapped"),
        ("quit", "step", "SystemExit: 4"),
    ],
)
def test_no_kind_of_death_goes_unnoticed(trouble: str, where: str, says: str) -> None:
    timeout = 1.0 if "answer" in says else 60.0
    pooled = SubprocessEnvs(partial(TroubledEnvironments, trouble=trouble, where=where), K, 2, timeout)
    pooled._processes[0].set_timeout(60.0)  # nothing is wrong with it, however slow the machine is
    pids = of_pool()
    message = error_message(pooled, where)
    assert message.startswith(f"the process of environments 3 to 4 (process id {pids[1]}, one of 2) "), message
    assert says in message
    assert ("in _raise" in message) == (trouble == "raise"), "the traceback is lost"
    gone(set(pids))
    with pytest.raises(WorkerError, match="closed"):
        pooled.reset(0, 1)
    pooled.close()


def test_a_process_that_is_killed_between_two_steps_is_noticed_at_the_next() -> None:
    pooled = SubprocessEnvs(MAKERS["scripted"], 2, 2)
    pooled.reset(0, 1)
    pooled.reset(1, 1)
    (killed, _) = of_pool()
    os.kill(killed, signal.SIGKILL)
    gone({killed})
    with pytest.raises(WorkerError, match=r"the process of environment 0 \(.*\) was killed by SIGKILL"):
        pooled.step(np.zeros(2, np.int64), np.array([True, True]))


@pytest.mark.parametrize(("trouble", "says"), [("raise", "the pole snapped"), ("kill", "was killed by SIGKILL")])
def test_environments_that_could_not_be_made_end_those_that_could(trouble: str, says: str) -> None:
    with pytest.raises(WorkerError, match=r"the process of environment 2 (.|\n)*" + says):
        SubprocessEnvs(partial(TroubledEnvironments, trouble=trouble, where="init", of=1), 3, 2)
    assert of_pool() == []


def test_a_configuration_error_in_a_process_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^gravity=-1, but it is above 0. Try gravity=9.8$"):
        SubprocessEnvs(partial(TroubledEnvironments, trouble="refuse", where="init"), 3, 2)
    with pytest.raises(ConfigError, match=r"^env.id=NoSuchTask-v0 is not a registered"):
        SubprocessEnvs(partial(GymnasiumEnvs, "NoSuchTask-v0"), 3, 2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"num_envs": 0}, "num_envs=0"),
        ({"processes": 0}, "processes=0"),
        ({"timeout": 0.0}, "timeout=0 s"),
        ({"timeout": float("nan")}, "timeout=nan s"),
        ({"start_method": "fork"}, "start_method=fork"),
    ],
)
def test_values_out_of_range_are_refused(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        SubprocessEnvs(MAKERS["scripted"], **{"num_envs": 2, "processes": 2, **arguments})


def test_what_cannot_be_sent_to_a_process_leaves_none_behind() -> None:
    # The message names the function in every Python; "pickle" went with 3.13, and from 3.14 on it is an error of its own.
    with pytest.raises((AttributeError, TypeError, PicklingError), match="lambda"):
        SubprocessEnvs(lambda num_envs: ScriptedEnvironments(num_envs), 2, 2)


def test_closing_releases_everything_and_can_be_done_twice(tmp_path: Path) -> None:
    def files() -> int:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    SubprocessEnvs(MAKERS["scripted"], 3, 2).close()
    before = files()
    pooled = SubprocessEnvs(partial(TroubledEnvironments, trouble="exit", where="close", marker=tmp_path / "closed"), 3, 2)
    pids = of_pool()
    pooled.close()
    gone(set(pids))
    assert (tmp_path / "closed").exists(), "the environments themselves were not closed"
    pooled.close()
    del pooled
    assert files() == before


def test_environments_that_do_not_close_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_CLOSE_TIMEOUT", 0.2)
    pooled = SubprocessEnvs(partial(TroubledEnvironments, trouble="sleep", where="close", of=1), 3, 2)
    pids = of_pool()
    pooled.close()
    assert not any(alive(pid) for pid in pids)


def test_a_pool_that_is_garbage_collected_ends() -> None:
    pooled = SubprocessEnvs(MAKERS["scripted"], 3, 2)
    pids = of_pool()
    del pooled
    gc.collect()
    assert not any(alive(pid) for pid in pids)


def test_an_interrupted_step_is_not_taken_for_the_next_ones_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C without a handler: the reply that is still on its way would stay in the pipe."""

    class InterruptionError(Exception):
        pass

    def interrupt(number: int, frame: object) -> None:
        raise InterruptionError

    monkeypatch.setattr(pool, "_CLOSE_TIMEOUT", 0.2)
    pooled = SubprocessEnvs(partial(TroubledEnvironments, trouble="stop"), 2, 2)
    pooled.reset(0, FATAL)
    stopped = of_pool()[0]

    def interrupt_once_it_stands_still() -> None:  # as it does in the step that it was asked for, before it has answered
        wait_until(lambda: psutil.Process(stopped).status() == psutil.STATUS_STOPPED, "the step to stand still")
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, interrupt)
    other = threading.Thread(target=interrupt_once_it_stands_still)
    try:
        with pytest.raises(InterruptionError):
            other.start()
            pooled.step(np.zeros(2, np.int64), np.array([True, False]))
        other.join()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not alive(stopped)
    with pytest.raises(WorkerError, match="closed"):
        pooled.step(np.zeros(2, np.int64), np.array([True, False]))


def test_processes_do_not_outlive_a_main_process_that_was_killed(tmp_path: Path) -> None:
    """One waits for a request, the other is in a step that never returns, and so never checks."""
    command = [sys.executable, "-m", "tests.support.endless_pool", str(tmp_path / "in_step")]
    main = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with main:
        try:
            assert main.stdout is not None
            pids = {int(pid) for pid in main.stdout.readline().split()}
            family = descendants(main.pid)
            assert len(pids) == 2
            assert pids <= family
            deadline = time.monotonic() + SLACK
            while not (tmp_path / "in_step").exists():
                assert time.monotonic() < deadline
                time.sleep(0.01)
        finally:
            main.kill()
    gone(family)


def test_a_program_that_forgets_to_close_ends_silently() -> None:
    program = (
        "from tests.support.scripted import ScriptedEnvironments\n"
        "from a3c_exp.envs.process_pool.envs import SubprocessEnvs\n"
        "import multiprocessing, sys\n"
        "pooled = SubprocessEnvs(ScriptedEnvironments, 3, 2)\n"
        "pooled.reset(0, 1)\n"
        "assert 'torch' not in sys.modules\n"
        "print(*(process.pid for process in multiprocessing.active_children()))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stderr == ""
    gone({int(pid) for pid in done.stdout.split()})
    assert len(done.stdout.split()) == 2
