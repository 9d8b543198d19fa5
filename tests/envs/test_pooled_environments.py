"""A pool is K environments in one process, bit for bit; and whatever befalls its processes is said and leaves none behind."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from a3c_exp.core.errors import ConfigError, WorkerError
from a3c_exp.core.types import LearnerSpec
from a3c_exp.envs import pool
from a3c_exp.envs.base import Environments
from a3c_exp.envs.gymnasium import GymnasiumEnvironments
from a3c_exp.envs.pool import PooledEnvironments
from a3c_exp.episodes import Episodes
from a3c_exp.models.separate_mlp import SeparateMLP
from a3c_exp.optimizers.flat import FlatLayout
from a3c_exp.parallelism.supervisor import warm_up
from a3c_exp.rollout import Rollout
from tests.envs.scripted import ScriptedEnvironments
from tests.envs.troubled import FATAL, RememberingEnvironments, TroubledEnvironments
from tests.parallelism.driving import alive, descendants
from tests.parallelism.pushing import SLACK

ROOT = Path(__file__).parents[2]
K = 5
ENDS = {seed: (1 + seed % 7, "terminated" if seed % 2 else "truncated") for seed in range(0, 300, 3)}
MAKERS: dict[str, Callable[..., Environments]] = {
    "scripted": partial(ScriptedEnvironments, ends=ENDS, nan_when_terminated=True),
    "CartPole": partial(GymnasiumEnvironments, "CartPole-v1"),
    "Pendulum": partial(GymnasiumEnvironments, "Pendulum-v1"),
    "remembering": RememberingEnvironments,
}


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """No test may leave a process behind, and none may hang."""

    def give_up(number: int, frame: object) -> None:
        raise TimeoutError("this test hung")

    warm_up()  # as hogwild wants it: this server serves all tests that come after
    resource_tracker.ensure_running()
    had = descendants(os.getpid())
    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    gc.collect()
    gone(descendants(os.getpid()) - had)


def gone(pids: set[int]) -> None:
    """Wait for the end of processes, which must come by itself."""
    deadline = time.monotonic() + SLACK
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    left = [pid for pid in pids if alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, "processes live on"


def of_pool() -> list[int]:
    """The ids of environment processes, in the order of their environments."""
    found = [process for process in multiprocessing.active_children() if process.name.startswith("environments-")]
    return [process.pid or 0 for process in sorted(found, key=lambda process: process.name)]


def some_action(envs: Environments, generator: np.random.Generator) -> NDArray[Any]:
    """``[K, ...]`` as a policy samples it, beyond the bounds too."""
    if isinstance(envs.action_space, Discrete):
        return generator.integers(envs.action_space.n, size=envs.num_envs)
    assert isinstance(envs.action_space, Box)
    return generator.normal(0.0, 2.0, (envs.num_envs, *envs.action_space.shape)).astype(np.float32)


def played(envs: Environments, seed: int, steps: int = 150) -> list[bytes]:
    """All that is to be seen while environments are played as the rollout plays them, with random masks and early resets."""
    generator = np.random.default_rng(seed)
    in_episode = np.zeros(envs.num_envs, np.bool_)
    seen = []

    def look(any_end: bool) -> None:
        arrays = (envs.observation, envs.reward, envs.terminated, envs.truncated)
        seen.append(b"".join(array.tobytes() for array in arrays) + bytes([any_end]))

    for _ in range(steps):
        for k in range(envs.num_envs):
            if generator.random() < (0.02 if in_episode[k] else 0.6):
                envs.reset(k, int(generator.integers(300)))
                in_episode[k] = True
        look(False)
        live = in_episode & (generator.random(envs.num_envs) < 0.7)
        any_end = envs.step(some_action(envs, generator), live)
        look(any_end)
        ends = live & (envs.terminated | envs.truncated)
        assert any_end == ends.any()
        if any_end:
            in_episode &= ~ends
            envs.observation[ends] = 0.0
            envs.terminated[:] = False
            envs.truncated[:] = False
    return seen


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("name", MAKERS)
def test_every_bit_is_that_of_one_process(name: str, processes: int) -> None:
    plain = MAKERS[name](num_envs=K)
    pooled = PooledEnvironments(MAKERS[name], K, processes)
    assert len(of_pool()) == processes
    assert pooled.num_envs == K
    assert pooled.observation_space == plain.observation_space
    assert pooled.action_space == plain.action_space
    assert pooled.default_max_episode_steps == plain.default_max_episode_steps
    for array in ("observation", "reward", "terminated", "truncated"):
        assert getattr(pooled, array).shape == getattr(plain, array).shape
        assert getattr(pooled, array).dtype == getattr(plain, array).dtype
    there, here = played(pooled, seed=processes), played(plain, seed=processes)
    assert len(set(here)) > 150
    assert there == here
    pooled.close()
    plain.close()


def test_spawned_processes_give_the_same() -> None:
    pooled = PooledEnvironments(MAKERS["scripted"], 3, 2, start_method="spawn")
    assert played(pooled, seed=1, steps=30) == played(MAKERS["scripted"](num_envs=3), seed=1, steps=30)
    pooled.close()


def test_a_rollout_lives_the_same_windows() -> None:
    make = MAKERS["CartPole"]
    pooled = PooledEnvironments(make, 3, 2)
    model = SeparateMLP(pooled.observation_space, pooled.action_space, seed=0, actor_hidden=(8,), critic_hidden=(8,))
    layout = FlatLayout.of(model)
    weights = layout.flatten(model).repeat(3, 1)
    spec = LearnerSpec(n_step=6)

    def windows(envs: Environments) -> tuple[list[bytes], list[Any]]:
        seeds = iter(range(10**6))
        rollout = Rollout(model, layout, weights, envs, Episodes(envs, model, lambda k: next(seeds)), spec, 30)
        generator = np.random.default_rng(0)
        lived, episodes = [], []
        for _ in range(40):
            noise = generator.random((3, 6, model.family.noise_size), np.float32)
            window, ended = rollout.run(generator.integers(0, 7, size=3), noise)
            lived += [part.numpy().tobytes() for part in window]
            episodes += ended
        return lived, episodes

    lived, episodes = windows(pooled)
    assert (lived, episodes) == windows(make(num_envs=3))
    assert {episode.end for episode in episodes} == {"terminated", "truncated"}
    pooled.close()


def test_arrays_keep_their_place() -> None:
    """The rollout keeps a tensor's view of them, also of what comes in later steps."""
    pooled = PooledEnvironments(MAKERS["scripted"], 3, 2)
    arrays = pooled.observation, pooled.reward, pooled.terminated, pooled.truncated
    view = torch.from_numpy(pooled.observation)
    pooled.reset(2, 1)
    pooled.step(np.zeros(3, np.int64), np.array([False, False, True]))
    assert all(
        a is b for a, b in zip(arrays, (pooled.observation, pooled.reward, pooled.terminated, pooled.truncated), strict=True)
    )
    assert view.tolist() == [[0.0, 0.0], [0.0, 0.0], [1.0, 1.0]]
    pooled.close()
    assert view[2].tolist() == [1.0, 1.0]  # a pool that is closed takes no memory away from who still looks at it


def test_a_process_without_a_live_environment_is_not_asked() -> None:
    """A stopped one would be waited for."""
    pooled = PooledEnvironments(MAKERS["scripted"], 4, 2, timeout=30.0)
    for k in range(4):
        pooled.reset(k, 1)
    os.kill(of_pool()[1], signal.SIGSTOP)
    for _ in range(3):
        pooled.step(np.zeros(4, np.int64), np.array([False, True, False, False]))
    pooled.reset(0, 2)
    assert pooled.observation.tolist() == [[2, 0], [1, 3], [1, 0], [1, 0]]
    os.kill(of_pool()[1], signal.SIGCONT)
    pooled.close()


def test_the_form_of_actions_may_change() -> None:
    pooled, plain = PooledEnvironments(RememberingEnvironments, 3, 2), RememberingEnvironments(3)
    live = np.ones(3, np.bool_)
    small = np.arange(3)
    wide = np.arange(12.0).reshape(3, 2, 2)
    for action in (
        wide.astype(np.float32),
        wide,
        small,
        wide.reshape(3, 4),
        np.asfortranarray(wide),
        small.astype(np.int8),
        small,
    ):
        pooled.step(action, live)
        plain.step(action, live)
        assert pooled.observation.tolist() == plain.observation.tolist()
    with pytest.raises(ValueError, match="takes 40 bytes; there are 32"):
        pooled.step(np.zeros((3, 5)), live)
    pooled.close()


def test_the_picture_is_that_of_the_first_environment() -> None:
    pooled = PooledEnvironments(RememberingEnvironments, 3, 2)
    assert np.array_equal(pooled.render(), np.full((300, 400, 3), 2))
    pooled.close()


def test_more_processes_than_environments_are_not_started() -> None:
    pooled = PooledEnvironments(MAKERS["scripted"], 2, 7)
    assert len(of_pool()) == 2
    pooled.close()


def test_ctrl_c_is_the_main_processes_business() -> None:
    pooled = PooledEnvironments(MAKERS["scripted"], 2, 2)
    for pid in of_pool():
        os.kill(pid, signal.SIGINT)
    pooled.reset(0, 1)
    pooled.reset(1, 2)
    assert not pooled.step(np.zeros(2, np.int64), np.array([True, True]))
    pooled.close()


def struck(envs: PooledEnvironments, where: str) -> str:
    """What is said when trouble comes in environment 3 of 5."""
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
        ("stop", "step", "gave no answer for 0.5 s and was killed"),
        ("spin", "step", "gave no answer for 0.5 s and was killed"),
        ("sleep", "reset", "gave no answer for 0.5 s and was killed"),
        ("raise", "step", "RuntimeError: the pole snapped"),
        ("raise", "reset", "RuntimeError: the pole snapped"),
        ("quit", "step", "SystemExit: 4"),
    ],
)
def test_no_kind_of_death_goes_unnoticed(trouble: str, where: str, says: str) -> None:
    timeout = 0.5 if "answer" in says else 60.0
    pooled = PooledEnvironments(partial(TroubledEnvironments, trouble=trouble, where=where), K, 2, timeout)
    pids = of_pool()
    said = struck(pooled, where)
    assert said.startswith(f"the process of environments 3 to 4 (process id {pids[1]}, one of 2) "), said
    assert says in said
    assert ("in _raise" in said) == (trouble == "raise"), "the traceback is lost"
    gone(set(pids))
    with pytest.raises(WorkerError, match="closed"):
        pooled.reset(0, 1)
    pooled.close()


def test_a_process_that_is_killed_between_two_steps_is_missed_at_the_next() -> None:
    pooled = PooledEnvironments(MAKERS["scripted"], 2, 2)
    pooled.reset(0, 1)
    pooled.reset(1, 1)
    os.kill(of_pool()[0], signal.SIGKILL)
    gone({of_pool()[0]})
    with pytest.raises(WorkerError, match=r"the process of environment 0 \(.*\) was killed by SIGKILL"):
        pooled.step(np.zeros(2, np.int64), np.array([True, True]))


@pytest.mark.parametrize(("trouble", "says"), [("raise", "the pole snapped"), ("kill", "was killed by SIGKILL")])
def test_environments_that_could_not_be_made_end_those_that_could(trouble: str, says: str) -> None:
    with pytest.raises(WorkerError, match=r"the process of environment 2 (.|\n)*" + says):
        PooledEnvironments(partial(TroubledEnvironments, trouble=trouble, where="init", of=1), 3, 2)
    assert of_pool() == []


def test_a_persons_mistake_comes_back_as_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^gravity=-1, but it is above 0. Try gravity=9.8$"):
        PooledEnvironments(partial(TroubledEnvironments, trouble="refuse", where="init"), 3, 2)
    with pytest.raises(ConfigError, match=r"^env.id=NoSuchTask-v0 is not a registered"):
        PooledEnvironments(partial(GymnasiumEnvironments, "NoSuchTask-v0"), 3, 2)


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
        PooledEnvironments(MAKERS["scripted"], **{"num_envs": 2, "processes": 2, **arguments})


def test_what_cannot_be_sent_to_a_process_leaves_none_behind() -> None:
    with pytest.raises((AttributeError, TypeError), match="pickle"):
        PooledEnvironments(lambda num_envs: ScriptedEnvironments(num_envs), 2, 2)


def test_closing_lets_go_of_everything_and_can_be_done_twice(tmp_path: Path) -> None:
    def files() -> int:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    PooledEnvironments(MAKERS["scripted"], 3, 2).close()
    before = files()
    pooled = PooledEnvironments(partial(TroubledEnvironments, trouble="exit", where="close", marker=tmp_path / "closed"), 3, 2)
    pids = of_pool()
    pooled.close()
    gone(set(pids))
    assert (tmp_path / "closed").exists(), "the environments themselves were not closed"
    pooled.close()
    del pooled
    assert files() == before


def test_environments_that_do_not_close_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_END_SECONDS", 0.2)
    pooled = PooledEnvironments(partial(TroubledEnvironments, trouble="sleep", where="close", of=1), 3, 2)
    pids = of_pool()
    pooled.close()
    assert not any(alive(pid) for pid in pids)


def test_a_pool_that_is_forgotten_ends() -> None:
    pooled = PooledEnvironments(MAKERS["scripted"], 3, 2)
    pids = of_pool()
    del pooled
    gc.collect()
    assert not any(alive(pid) for pid in pids)


def test_an_interrupted_step_is_not_taken_for_the_next_ones_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C where nobody handles it: the answer that is still under way would stay in the pipe."""

    class InterruptionError(Exception):
        pass

    def interrupt(number: int, frame: object) -> None:
        raise InterruptionError

    monkeypatch.setattr(pool, "_END_SECONDS", 0.2)
    pooled = PooledEnvironments(partial(TroubledEnvironments, trouble="stop"), 2, 2)
    pooled.reset(0, FATAL)
    stopped = of_pool()[0]
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    with pytest.raises(InterruptionError):
        pooled.step(np.zeros(2, np.int64), np.array([True, False]))
    signal.signal(signal.SIGALRM, before)
    assert not alive(stopped)
    with pytest.raises(WorkerError, match="closed"):
        pooled.step(np.zeros(2, np.int64), np.array([True, False]))


def test_processes_do_not_outlive_a_main_process_that_was_killed(tmp_path: Path) -> None:
    """One sleeps until it is asked for something, the other is in a step that never returns, and so never looks."""
    command = [sys.executable, "-m", "tests.envs.endless_pool", str(tmp_path / "in_step")]
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


def test_a_program_that_forgets_to_close_ends_without_a_word() -> None:
    program = (
        "from tests.envs.scripted import ScriptedEnvironments\n"
        "from a3c_exp.envs.pool import PooledEnvironments\n"
        "import multiprocessing, sys\n"
        "pooled = PooledEnvironments(ScriptedEnvironments, 3, 2)\n"
        "pooled.reset(0, 1)\n"
        "assert 'torch' not in sys.modules\n"
        "print(*(process.pid for process in multiprocessing.active_children()))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stderr == ""
    gone({int(pid) for pid in done.stdout.split()})
    assert len(done.stdout.split()) == 2
