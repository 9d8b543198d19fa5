"""A NaN stops the run by its name, before it reaches the shared weights."""

from pathlib import Path

import pytest
import torch

from a3c_exp.parallelism.base import EpisodeEvent
from a3c_exp.parallelism.hogwild.strategy import Hogwild
from a3c_exp.system.errors import NonFiniteError
from tests.support.driving import ENDLESS, Training, initial, small_task, zeros
from tests.support.faulty import Faults, Tick


def test_a_reward_that_is_no_number_does_not_reach_the_weights(tmp_path: Path) -> None:
    # Worker 0's fifteenth step ends its third window; nothing else is wrong.
    task = small_task(ENDLESS, workers=1, lengths=(5,), faults=Faults(("nan",), tmp_path, at_step=15))
    training = Training(Hogwild(processes=1), task)
    with training, pytest.raises(NonFiniteError) as caught:
        training.until(lambda: False)
    said = str(caught.value)
    assert "worker 0 computed a value that is not finite in its window 3: " in said
    assert "value_loss" in said
    assert "It was not applied" in said
    assert "optimizer.lr" in said
    state, _ = training.parallelism.snapshot()
    assert state.updates == 2
    assert torch.equal(state.weights, torch.full_like(state.weights, 2 * Tick.lr))
    # Two episodes had ended by then; they were counted, so they must be handed over, error or not.
    assert training.parallelism.counts().episodes == 2
    assert len([event for event in training.events if isinstance(event, EpisodeEvent)]) == 2


def test_the_worker_that_is_named_is_the_one_that_was_hit(tmp_path: Path) -> None:
    # Three workers in one process; step 6 is the third worker's second.
    task = small_task(ENDLESS, workers=3, lengths=(50,), faults=Faults(("nan",), tmp_path, at_step=6))
    training = Training(Hogwild(processes=1, lock=True), task)
    with training, pytest.raises(NonFiniteError, match=r"worker 2 .* in its window 1"):
        training.until(lambda: False)
    assert training.parallelism.counts().updates == 2, "the other two workers' windows were sound"
    assert torch.isfinite(training.parallelism.weights()).all()


def test_weights_that_overflowed_name_the_terms_that_they_spoil() -> None:
    task = small_task(ENDLESS, workers=2, lengths=(50,))
    state = zeros(task)
    state.weights = initial(task).weights
    state.weights[0] = torch.inf
    training = Training(Hogwild(processes=1), task, state)
    with training, pytest.raises(NonFiniteError, match=r"worker 0 .* window 1: .*(policy_loss|grad_norm)"):
        training.until(lambda: False)
    assert training.parallelism.counts().updates == 0
