"""The ablation in examples/, from its one file to the verdicts on the page."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from a3c_exp.config.compose import compose_jobs
from a3c_exp.report.builder import make_report
from a3c_exp.report.figures import curve_figures
from a3c_exp.training.build import build_run
from tests.support.command import ROOT
from tests.support.synthetic_ablations import Way, write_arm

FILE = ROOT / "examples" / "conf" / "ablation" / "reward_scale.yaml"
WAYS = {"scale_1": Way(end=-0.4), "scale_5": Way(end=-0.4), "scale_100": Way(end=-4.0)}


def test_the_example_goes_from_one_file_to_verdicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curve_figures, "PLOTS", [])  # which take most of the time, and are any report's
    command = next(line for line in FILE.read_text().splitlines() if "@package" not in line)
    overrides = command.removeprefix("# python -m a3c_exp --config-dir conf ").removesuffix(" -m").split()
    jobs = compose_jobs(overrides, True, [str(FILE.parents[1])])
    assert len(jobs) == len(WAYS) * 2
    assert build_run(jobs[-1].config).setup.num_seeds == 6
    for job in jobs:
        section = job.config.ablation
        config = {"reward_scale": job.config.reward_scale, "ablation": OmegaConf.to_container(section)}
        write_arm(
            tmp_path, section.name, section.control, section.arm, WAYS[section.arm], seeds=6, in_steps=True, config=config
        )
    report = make_report([tmp_path], tmp_path / "page", png=False)
    page = report.index.read_text()
    for words in ("Far too small rewards cost returns", "Adam hardly cares", "a hundredth of them", "Plain gradient descent"):
        assert words in page
    verdicts = (tmp_path / "page" / "tables" / "ablations_verdicts_claims.csv").read_text().splitlines()
    assert verdicts[0].startswith("conclusion") and "SGD" in verdicts[0]
    assert [line.count("supported") for line in verdicts[1:]] == [1, 1, 1], "one claim by two measures, one by one"
