"""How many examples: a seeded share with the other tests, or FUZZ_EXAMPLES new ones (``make fuzz``)."""

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", 0))


def fuzzed(share: int, weight: float) -> Callable[[Any], Any]:
    """``share`` examples, the same in every run of the tests; or ``weight`` of all of a night's, other ones each night."""
    if not EXAMPLES:
        return settings(max_examples=share, deadline=None, derandomize=True, database=None, suppress_health_check=HealthCheck)
    return settings(
        max_examples=max(1, round(weight * EXAMPLES)), deadline=None, print_blob=True, suppress_health_check=HealthCheck
    )
