"""Upper bounds are measured in as many processes as they name."""

import os
import time

from benchmarks.suites.roofline import parallel_env_steps_per_second


def test_steps_are_counted_in_separate_processes() -> None:
    here, children = time.process_time(), os.times().children_user
    assert parallel_env_steps_per_second("CartPole-v1", 0.3, 2) > 0
    assert os.times().children_user - children > time.process_time() - here
