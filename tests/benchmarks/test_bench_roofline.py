"""What no trainer can beat, in as many processes as are named."""

import os
import time

from benchmarks.suites.roofline import parallel_env_steps_per_second


def test_steps_are_counted_in_processes_of_their_own() -> None:
    here, children = time.process_time(), os.times().children_user
    assert parallel_env_steps_per_second("CartPole-v1", 0.3, 2) > 0
    assert os.times().children_user - children > time.process_time() - here
