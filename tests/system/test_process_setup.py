"""What a process takes from the environment that it is started in."""

import pytest

from a3c_exp.system.process_setup import usable_cores


def test_a_job_of_slurm_counts_with_the_cores_that_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    cores = usable_cores()
    for given, usable in (("1", 1), ("1000", cores), ("", cores), ("0", cores), ("many", cores)):
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", given)
        assert usable_cores() == usable
