"""Python's garbage collector, kept away from objects that are never garbage."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_frozen() -> Iterator[None]:
    """Import something large inside: nothing is collected meanwhile, and what was imported by then is never looked at again.

    Nothing of it is garbage. Torch alone makes half a million objects; to look through them again and again takes an eighth
    of the time that its import takes, and to do so at exit another eighth.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
