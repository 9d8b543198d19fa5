"""What compiles while workers train: it ends with the run, leaves nothing behind, and is never waited for."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.compile.compiler import Compiler
from a3c_exp.config.budget import Budget
from a3c_exp.envs.classic_control import ClassicControlEnvs
from a3c_exp.parallelism.base import TrainingSetup
from a3c_exp.parallelism.hogwild.strategy import Hogwild
from a3c_exp.parallelism.multiprocess import compilation, compiling_processes, worker_loop
from a3c_exp.parallelism.multiprocess.base import MultiprocessStrategy
from a3c_exp.parallelism.multiprocess.compilation import Compilation
from a3c_exp.parallelism.multiprocess.compiling_processes import CompileOutcome, CompileTask, CompilingProcesses
from a3c_exp.parallelism.multiprocess.shared_counters import CounterColumn
from a3c_exp.parallelism.multiprocess.worker_process import Sharing
from a3c_exp.parallelism.parameter_server.strategy import ParameterServer
from a3c_exp.system.process_setup import usable_cores
from a3c_exp.system.signals import scratch_folders
from tests.support.driving import Training, alive, initial, wait_until
from tests.support.single_process import tiny_task
from tests.support.walker import Walker

COMPILING = "compiling while it trains; workers run uncompiled until then"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = set(scratch_folders)
    yield tmp_path / "cache" / "a3c_exp" / "compiled"
    assert scratch_folders == before
    assert list(tmp_path.glob("cache/a3c_exp/compiled/building_*")) == []


class WalkedEnvs(ClassicControlEnvs):
    """In whose process code is walked through, not run."""

    def __init__(self, **options: Any) -> None:
        worker_loop.Compiler = Walker  # which finds whatever is looked for  # type: ignore[misc]
        super().__init__(**options)


class Commanded:
    """Stands for a process that compiles, until a test says how that went."""

    latest: "Commanded"

    def __init__(self, tasks: Sequence[CompileTask], start_method: str) -> None:
        self.closed = False
        self.result: CompileOutcome | None = None
        Commanded.latest = self

    def outcome(self) -> CompileOutcome | None:
        return self.result

    def close(self) -> None:
        self.closed = True


def task(**options: Any) -> TrainingSetup:
    make_envs = partial(WalkedEnvs, id="CartPole-v1", backend="tensor")
    return replace(tiny_task(workers=4, make_envs=make_envs, **options), compile_while_training=True)


@pytest.mark.parametrize(
    "make", [partial(Hogwild, processes=2), partial(ParameterServer, processes=1)], ids=["hogwild", "server"]
)
def test_workers_train_before_there_is_code_and_go_over_when_it_comes(
    make: Callable[[], MultiprocessStrategy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that replaces another; budgets are exact, and what is resumed begins where it ended."""
    monkeypatch.setattr(compilation, "CompilingProcesses", Commanded)
    parallelism = make()
    training = Training(parallelism, setup := task(budget=Budget(max_env_steps=10**9)), initial(setup))
    with training:
        counters = parallelism._counters
        at = counters.table[: len(parallelism._workers_by_process), CounterColumn.compiled_at]
        training.until(lambda: parallelism.counts().env_steps > 50, "training before there is code")
        assert not at.any() and training.notices == [COMPILING]
        Commanded.latest.result = CompileOutcome(True, "")
        training.until(lambda: bool(at.all()), "code to be gone over to")
        training.until(lambda: any("run compiled from step" in notice for notice in training.notices), "the message")
        assert Commanded.latest.closed and at.min() > 50
        assert parallelism.summary()["compiled_at_step"] == at.max()
        if isinstance(parallelism, ParameterServer):
            return
        os.kill(training.workers()[-1], signal.SIGKILL)
        training.until(lambda: len(parallelism._deaths) == 1, "the death to be seen")
        training.until(lambda: bool(at.all()), "the replacement to go over")
        steps = parallelism.counts().env_steps
        training.until(lambda: parallelism.counts().env_steps > steps + 200, "training to go on")
    assert parallelism.summary()["restarts"] == 1
    state, _ = parallelism.snapshot()
    goes_on_to_the_end_of_a_budget(Hogwild(processes=1), setup, state)


def goes_on_to_the_end_of_a_budget(parallelism: Hogwild, setup: TrainingSetup, state: TrainingState) -> None:
    """Nobody waits for code that does not come."""
    more = replace(setup, budget=Budget(max_env_steps=state.env_steps + 101))
    training = Training(parallelism, more, state).finish()
    assert parallelism.counts().env_steps == state.env_steps + 101
    assert Commanded.latest.closed and training.notices == [COMPILING]
    assert parallelism.summary()["compiled_at_step"] is None
    assert (parallelism.snapshot()[0].rounds >= state.rounds).all()


def test_what_cannot_be_compiled_is_said_once_and_training_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "CompilingProcesses", Commanded)
    parallelism = Hogwild(processes=1)
    training = Training(parallelism, setup := task(budget=Budget(max_env_steps=10**9)), initial(setup))
    with training:
        Commanded.latest.result = CompileOutcome(False, "not compiled")
        training.until(lambda: parallelism.counts().env_steps > 100)
    assert training.notices == [COMPILING, "not compiled"]
    assert not parallelism._counters.code_ready


@dataclass(frozen=True)
class Endless(CompileTask):
    """A compilation that runs a program, as a compiler does, and does not end by itself; it says in a folder which."""

    programs: Path = Path()

    def run(self, compiler: Compiler) -> Compiler:
        assert compiler._scratch is not None
        (compiler._scratch / f"half_done_{os.getpid()}.so").touch()
        program = subprocess.Popen(["sleep", "300"])
        (self.programs / str(program.pid)).touch()
        while True:
            time.sleep(0.01)  # like the compilers of torch, it does not look for signals


def outcome_of(compiling: CompilingProcesses) -> CompileOutcome:
    found: list[CompileOutcome] = []

    def look() -> bool:
        found.extend(filter(None, [compiling.outcome()]))
        return bool(found)

    wait_until(look, "the end of a compilation")
    return found[0]


@pytest.mark.parametrize("end", ["closed", "killed"])
def test_a_compilation_that_ends_early_takes_its_compilers_with_it(end: str, tmp_path: Path, cache: Path) -> None:
    (programs := tmp_path / "programs").mkdir()
    compiling = CompilingProcesses([Endless(task(), (4,), Sharing(), True, programs)], "forkserver")
    count = min(usable_cores(), compiling_processes.MAX_PROCESSES)
    wait_until(lambda: len(list(programs.iterdir())) == count, "the compilers")
    assert len(list(cache.glob("building_*/half_done_*.so"))) == count
    assert compiling.outcome() is None
    if end == "killed":
        for process in compiling._processes:
            assert compiling.outcome() is None, "others go on"
            process.kill()
        outcome = outcome_of(compiling)
        assert not outcome.compiled
        assert outcome.status_text.endswith("the compiling process was killed by SIGKILL")
    before = time.monotonic()
    compiling.close()
    assert time.monotonic() - before < 10
    wait_until(lambda: not any(alive(int(program.name)) for program in programs.iterdir()), "the compilers' end")


@dataclass(frozen=True)
class Failing(CompileTask):
    def run(self, compiler: Compiler) -> Compiler:
        raise ValueError("no such operator")


def test_a_compilation_that_raises_says_why_in_a_line_and_the_next_is_tried() -> None:
    compiling = CompilingProcesses([Failing(task(), (4,), Sharing(), True)] * 2, "forkserver", most=1)
    outcomes = [outcome_of(compiling) for _ in range(3)]
    compiling.close()
    assert not any(outcome.compiled for outcome in outcomes)
    for outcome in outcomes[:2]:
        assert outcome.status_text == "not compiled, so this run goes on uncompiled and slower: ValueError: no such operator"
    assert [outcome.is_last for outcome in outcomes] == [False, False, True]


def test_a_user_without_a_home_trains_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "~")
    monkeypatch.delenv("XDG_CACHE_HOME")
    make_envs = partial(ClassicControlEnvs, "CartPole-v1", backend="tensor")
    setup, (message,) = Compilation(CompileTask(replace(task(), make_envs=make_envs), (4,), Sharing(), True)).prepare()
    assert not setup.compile and not setup.compile_while_training
    assert message.text.startswith("not compiled") and "set XDG_CACHE_HOME" in message.text
