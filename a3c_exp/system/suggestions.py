"""Did you mean: the word that a misspelled one was probably meant to be."""

import difflib
from collections.abc import Iterable


def closest_match(word: str, choices: Iterable[str]) -> str | None:
    """The choice that ``word`` was most likely meant to be, in any case; ``None`` if none is close.

    >>> closest_match("Worker", ["workers", "gamma"])
    'workers'
    """
    by_lower_case = {choice.lower(): choice for choice in choices}
    matches = difflib.get_close_matches(word.lower(), list(by_lower_case), n=1, cutoff=0.6)
    return by_lower_case[matches[0]] if matches else None
