"""Memory: Python's garbage collector and the C library's allocator, set up for long runs."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8  # of <malloc.h>
_MMAP_THRESHOLD_BYTES = 32 * 2**20  # bytes; the most that every glibc takes for the second
_TRIM_THRESHOLD_BYTES = 2**30


@contextmanager
def gc_frozen() -> Iterator[None]:
    """Import something large inside: nothing is collected meanwhile, and what was imported is never looked at again. Looking
    through torch's half a million objects takes an eighth of its import's time, and at exit another eighth."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


@cache
def disable_malloc_trim() -> bool:
    """Have the C library keep what this process frees; returns whether it can. A batch of images makes tensors of megabytes
    that live for milliseconds; giving such memory back and asking for it anew may take longer than the convolutions."""
    # Blocks above the threshold would be mapped anew each time, and their pages filled with zeros: none is.
    settings = [(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES), (_M_TRIM_THRESHOLD, _TRIM_THRESHOLD_BYTES), (_M_MMAP_MAX, 0)]
    return _set_allocator(*settings)


@cache
def share_malloc_arena() -> bool:
    """Have threads that begin later take memory from where the main thread does; returns whether they can. The C library gives
    back what a thread frees of its own arena even after ``disable_malloc_trim``."""
    return _set_allocator((_M_ARENA_MAX, 1))


def _set_allocator(*settings: tuple[int, int]) -> bool:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    accepted = [mallopt(*setting) for setting in settings]
    return all(accepted)
