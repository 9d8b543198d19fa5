"""How many deaths of its processes a run survives."""

from pathlib import Path

import pytest

from a3c_exp.parallelism.hogwild.strategy import Hogwild
from a3c_exp.system.errors import WorkerError
from tests.support.driving import ENDLESS, Training, small_task
from tests.support.faulty import Faults


@pytest.mark.parametrize(
    ("at_step", "deaths", "message"), [(1, 3, "3 by the same error without a step"), (12, 5, "5, and 4 are allowed")]
)
def test_an_error_is_met_thrice_before_a_step_and_otherwise_as_often_as_allowed(
    tmp_path: Path, at_step: int, deaths: int, message: str
) -> None:
    faults = Faults(("raise",) * 9, tmp_path, at_step=at_step)
    training = Training(Hogwild(processes=1, max_restarts=4), small_task(ENDLESS, workers=1, faults=faults, lengths=(5,)))
    with training, pytest.raises(WorkerError, match=f"that is death {message}") as caught:
        training.until(lambda: False)
    assert training.parallelism.summary()["restarts"] == deaths
    shown = ["the pole snapped" in text for text in (*training.notices, str(caught.value))]
    assert shown == [True, *[at_step > 1] * (deaths - 2), True], "a traceback is shown once, and again at the end"
