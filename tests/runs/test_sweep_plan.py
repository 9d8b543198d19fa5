"""A list of runs says what is left of their sweeps, the runs that never began included, and what to type."""

import json
import os
from pathlib import Path

import pytest

from a3c_exp.runs.__main__ import main
from a3c_exp.runs.lease import LEASE, Holder
from a3c_exp.runs.sweep_plan import PlannedJob, SweepPlan, read_sweep_plan
from a3c_exp.system.errors import RunDirectoryError
from tests.support.synthetic_runs import DEAD_PID, write_run


def planned(directory: Path, seeds: int) -> SweepPlan:
    jobs = tuple(PlannedJob(seed, f"seed={seed}", (f"seed={seed}",), {"seed": seed}) for seed in range(seeds))
    directory.mkdir()
    plan = SweepPlan(directory, "python -m a3c_exp -m", (), (), (), None, {"seed": 0, "gamma": 0.9}, jobs)
    plan.write()
    return plan


def test_a_list_names_what_is_left_of_a_sweep_unless_it_still_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = planned(tmp_path / "a sweep", seeds=9)
    write_run(plan.directory / "seed=0", episodes=3)
    write_run(plan.directory / "seed=1", episodes=3, status="running", pid=DEAD_PID)
    assert main([str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert said.err == (
        f"{plan.directory}: 8 of 9 runs are left: 1 killed (seed=1), 7 missing (seed=2, seed=3, seed=4, seed=5, and 3 more). "
        f"Go on with them: python -m a3c_exp 'resume={plan.directory}'\n"
    )
    assert "are left" not in said.out
    write_run(plan.directory / "seed=2", episodes=3, status="failed")
    assert main([str(tmp_path)]) == 0
    assert "1 failed (seed=2)" in (said := capsys.readouterr()).err and said.err.endswith("' retry_failed=true\n")
    holder = Holder(os.getppid(), "here", Holder.this_process().machine, None, "token")
    (plan.directory / LEASE).write_text(holder.to_text())
    assert main([str(tmp_path)]) == 0 and main([str(tmp_path), "--csv"]) == 0
    assert capsys.readouterr().err == "", "it still runs"


def test_a_plan_is_read_as_it_was_written_or_refused_in_a_line(tmp_path: Path) -> None:
    plan = planned(tmp_path / "sweep", seeds=2)
    assert read_sweep_plan(plan.directory) == plan
    assert plan.values_of(plan.jobs[1]) == {"seed": 1, "gamma": 0.9}
    content = json.loads(plan.path.read_text())
    for damaged in ("", "[]", json.dumps({**content, "jobs": [{}]}), json.dumps({**content, "format": 1})):
        plan.path.write_text(damaged)
        with pytest.raises(RunDirectoryError) as caught:
            read_sweep_plan(plan.directory)
        assert "\n" not in str(caught.value)
