"""An ablation that is a person's own, with arms, controls and claims in YAML, gets its verdicts without a line of code."""

import json
from pathlib import Path

import yaml
from omegaconf import OmegaConf

from a3c_exp.config.compose import compose_jobs
from a3c_exp.report.ablations.comparisons import find_comparisons
from a3c_exp.report.ablations.section import build_ablation_section
from a3c_exp.report.run_reader import read_runs
from tests.support.synthetic_ablations import Way, write_arm

ABLATION = """\
# @package _global_
defaults: [_self_, /control: calm, override /env: cartpole]
ablation:
  name: discount
  report:
    label: discount
    varied: gamma
    arm_label: gamma {}
    learned: {training: -2, evaluation: -400}
    min_effect: {training: 0.5, evaluation: 100}
    claims:
      far_sighted:
        number: 1
        title: Far-sighted is better
        subject: discount
        changes: [['0.9', '0.99']]
        parts:
          - {text: ends better, quantity: final, effect: raises}
      no_units:
        number: 2
        title: Far-sighted takes longer
        subject: discount
        changes: [['0.9', '0.99']]
        parts: [{text: takes longer, quantity: seconds, effect: raises}]
hydra: {sweeper: {params: {gamma: '0.9,0.99'}}}
"""
CONTROL = """\
# @package _global_
max_env_steps: 1000
max_updates: null
ablation: {control: calm, report: {control: {title: calm weather, description: Nothing else blows.}}}
"""


def folder_of_ones_own(root: Path) -> Path:
    for group, name, text in (("ablation", "discount", ABLATION), ("control", "calm", CONTROL)):
        (root / group).mkdir(parents=True)
        (root / group / f"{name}.yaml").write_text(text)
    return root


def test_a_run_keeps_the_claims_and_they_are_judged_after_the_files_are_gone(tmp_path: Path) -> None:
    conf = folder_of_ones_own(tmp_path / "conf")
    jobs = compose_jobs(["+ablation=discount"], multirun=True, config_dirs=[str(conf)])
    assert [job.config.gamma for job in jobs] == [0.9, 0.99]
    for path in conf.rglob("*.yaml"):
        path.unlink()
    for job, way in zip(jobs, (Way(end=-2.9, speed=0.5), Way()), strict=True):
        config = {"gamma": job.config.gamma, "ablation": OmegaConf.to_container(job.config.ablation)}
        folder = f"gamma={job.config.gamma}"
        write_arm(tmp_path / "runs", "discount", "calm", None, way, in_steps=True, config=config, folder=folder)
    section = build_ablation_section(read_runs([tmp_path / "runs"]), draw_figures=True)
    assert section is not None
    assert {(verdict.claim.title, verdict.measure): verdict.decision for verdict in section.verdicts} == {
        ("Far-sighted is better", "training"): "supported",
        ("Far-sighted is better", "evaluation"): "supported",
        ("Far-sighted takes longer", "clock"): "undecided",
    }
    (table, *_) = section.tables
    assert table.name == "Verdicts: discount" and table.columns[1:] == ("calm weather",)
    assert section.verdicts[0].effects[0].change == "0.9 to 0.99"
    assert {figure.name for figure in section.figures} == {"effects_1", "range_discount"}


def test_a_claim_without_units_is_undecided_and_says_what_is_missing(tmp_path: Path) -> None:
    report = yaml.safe_load(ABLATION.partition("---")[0])["ablation"]["report"]
    report.pop("learned")
    report.pop("min_effect")
    report["claims"]["far_sighted"]["parts"] = [{"text": "sooner", "quantity": "time", "effect": "lowers"}]
    for gamma in (0.9, 0.99):
        config = {"gamma": gamma, "ablation": {"name": "discount", "control": None, "report": report}}
        write_arm(tmp_path, "discount", "calm", None, Way(), config=config, folder=f"gamma={gamma}")
    section = build_ablation_section(read_runs([tmp_path]), draw_figures=False)
    assert section is not None
    assert "ablation.report.learned.training is not set" in {verdict.reason for verdict in section.verdicts}
    assert section.tables[0].columns[1:] == ("as configured",)


def test_words_that_are_damaged_cost_the_verdicts_and_not_the_report(tmp_path: Path) -> None:
    place = write_arm(tmp_path, "worker_count", "fair", "workers_4", Way(), seeds=2)
    for path in place.glob("*/.hydra/config.yaml"):
        config = yaml.safe_load(path.read_text())
        config["ablation"]["report"] = {"claims": json.loads('{"x": 3}')}
        path.write_text(yaml.safe_dump(config))
    (comparison,) = find_comparisons(read_runs([tmp_path]))
    assert comparison.report.claims == {} and comparison.title == "fair"
