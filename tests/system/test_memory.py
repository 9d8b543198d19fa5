"""The collector leaves alone what was imported, and works on for everything else."""

import gc

import pytest

from a3c_exp.system.memory import gc_frozen


class _Ring:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def _thawed():
    yield
    gc.enable()
    gc.unfreeze()


def test_nothing_is_collected_within_and_what_was_made_there_is_never_looked_at_again():
    before = gc.get_freeze_count()
    with gc_frozen():
        assert not gc.isenabled()
        kept = [[i] for i in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(kept)
    assert not any(item is kept for item in gc.get_objects()), "the collector still knows it"


def test_later_garbage_is_collected_as_ever():
    with gc_frozen():
        pass
    gc.collect()
    for _ in range(100):
        _Ring()
    assert gc.collect() >= 100


def test_who_had_switched_it_off_finds_it_so():
    gc.disable()
    with gc_frozen():
        pass
    assert not gc.isenabled()


def test_an_import_that_fails_leaves_it_on():
    with pytest.raises(ImportError), gc_frozen():
        import a3c_exp.there_is_no_such_module  # noqa: F401
    assert gc.isenabled()
