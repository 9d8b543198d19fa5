"""What a report in W&B asks for is what the logger writes, of the runs that are there; and without a login nothing is made."""

import subprocess
import sys
from pathlib import Path

import pytest

from a3c_exp.report.aggregate import group_by_configuration
from a3c_exp.report.figures.plot_specs import HEADINGS
from a3c_exp.report.run_reader import read_runs
from a3c_exp.report.wandb_report import build_report, group_by_keys, publish, run_ids, wandb_panels
from a3c_exp.system.errors import A3CError
from tests.support.command import environment
from tests.support.synthetic_runs import write_run, write_seeds


def test_runs_are_named_by_their_ids_each_once(tmp_path: Path) -> None:
    folder = write_seeds(tmp_path / "many", episodes=3)
    (folder / "wandb_id").write_text("abcd1234\n")
    alone = write_run(tmp_path / "alone", episodes=3)
    (alone / "wandb_id").write_text("efgh5678\n")
    odd = write_run(tmp_path / "odd", episodes=3)
    (odd / "wandb_id").write_text("'] or 1 or ['\n")
    assert run_ids(read_runs([tmp_path])) == ["efgh5678", "abcd1234"]


def test_runs_are_grouped_by_what_differs_or_by_the_ablations_arm(tmp_path: Path) -> None:
    for workers in (4, 6):
        write_run(tmp_path / "a" / str(workers), workers=workers, episodes=3, evaluations=0)
        ablation = {"ablation": {"name": "worker_count", "arm": f"workers_{workers}"}}
        write_run(tmp_path / "b" / str(workers), workers=workers, episodes=3, evaluations=0, config=ablation)
    assert group_by_keys(group_by_configuration(read_runs([tmp_path / "a"]))) == ["config.workers"]
    assert group_by_keys(group_by_configuration(read_runs([tmp_path / "b"]), ["ablation"])) == ["group", "jobType"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # its own, by the dozen
def test_the_report_is_built_of_the_figures_panels(tmp_path: Path) -> None:
    pytest.importorskip("wandb_workspaces", reason="wandb-workspaces is not installed: pip install 'a3c_exp[report]'")
    for workers, identity in ((4, "abcd1234"), (6, "efgh5678")):
        (write_run(tmp_path / str(workers), workers=workers, episodes=3) / "wandb_id").write_text(identity)
    report = build_report(group_by_configuration(read_runs([tmp_path])), "two runs", "a3c_exp", entity="")
    grids = [block._to_model() for block in report.blocks if type(block).__name__ == "PanelGrid"]
    drawn = [panel for grid in grids for panel in grid.metadata.panel_bank_section_config.panels]
    assert [panel.config.metrics for panel in drawn] == [panel["y"] for section in HEADINGS for panel in wandb_panels(section)]
    runs = grids[0].metadata.run_sets[0]
    assert "abcd1234" in str(runs.model_dump()) and "efgh5678" in str(runs.model_dump())
    assert report.title == "a3c_exp: two runs"


def test_runs_that_wandb_never_had_make_no_report_there(tmp_path: Path) -> None:
    write_run(tmp_path / "a", episodes=3)
    with pytest.raises(A3CError, match="logger=none"):
        publish(group_by_configuration(read_runs([tmp_path])), "none")


def test_without_a_login_one_line_says_how_and_nothing_is_made(tmp_path: Path) -> None:
    pytest.importorskip("wandb_workspaces", reason="wandb-workspaces is not installed: pip install 'a3c_exp[report]'")
    run = write_run(tmp_path / "run", episodes=3)
    code = f"import sys; from a3c_exp.report.__main__ import main; sys.exit(main([{str(run)!r}, '--wandb']))"
    variables = {key: value for key, value in environment().items() if not key.startswith("WANDB_")}
    variables |= {"HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "wandb login" in done.stderr
    assert not (run / "report").exists()
