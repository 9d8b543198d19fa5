"""Ids of environments as people type them, and as gymnasium's registry has them."""

import importlib
import re

from a3c_exp.system.extras import is_installed

ATARI_ID = r"ALE/|\w+(NoFrameskip|Deterministic)-v\d"


def is_atari(id: str) -> bool:
    """Whether an id is of an Atari game.

    >>> is_atari("ALE/Pong-v5"), is_atari("PongNoFrameskip-v4"), is_atari("Acrobot-v1")
    (True, True, False)
    """
    return re.match(ATARI_ID, id) is not None


def registered_id(word: str) -> str | None:
    """The id in gymnasium's registry that somebody may have meant, in its latest version; ``None`` if none is close. What ends
    with a version and is not there is taken for an id of another package.

    >>> registered_id("acrobot"), registered_id("Lunar_Lander"), registered_id("CartPole-v1"), registered_id("pendulm")
    ('Acrobot-v1', 'LunarLander-v3', 'CartPole-v1', None)
    """
    import gymnasium

    if is_installed("ale_py"):
        importlib.import_module("ale_py")  # registers its games
    if word in gymnasium.registry:
        return word
    named = (id for id in reversed(gymnasium.registry) if not id.startswith("a3c_exp/"))  # our own copies of some
    found = (id for id in named if _letters(id) == _letters(word))
    return next(found, word if re.search(r"-v\d+$", word) else None)


def _letters(id: str) -> str:
    """``lunarlander`` of ``Lunar_Lander-v3``, ``pong`` of ``ALE/Pong-v5``."""
    return re.sub(r"-v\d+$|[^a-z0-9]", "", id.rpartition("/")[2].lower())
