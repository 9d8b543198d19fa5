"""An ablation that is a person's own, with arms, controls and claims in YAML, gets its verdicts without a line of code."""

import json
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from a3c_exp.config.compose import ComposedJob, compose_jobs
from a3c_exp.report.ablations.comparisons import find_comparisons
from a3c_exp.report.ablations.section import build_ablation_section
from a3c_exp.report.ablations.verdicts import evaluate_claims
from a3c_exp.report.run_reader import read_runs
from a3c_exp.system.errors import ConfigError
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


WHOLE = """\
# @package _global_
defaults: [_self_, override /env: cartpole]
max_env_steps: 1000
ablation:
  name: rewards
  arms:
    as_they_are: {reward_scale: 1}
    a_tenth: {reward_scale: 10, optimizer: rmsprop, optimizer.lr: 0.002}
  controls:
    brief: {max_env_steps: 500}
    lasting: {max_env_steps: 5000, optimizer.lr: 0.003}
  report:
    label: reward scale
    arms: {as_they_are: rewards as they are, a_tenth: a tenth of them}
    controls: {brief: {title: 500 steps, description: As short as it gets.}}
    min_effect: {evaluation: 100, reason: Nobody would notice less.}
    claims:
      better: {title: Less is more, changes: [[as_they_are, a_tenth]], measures: [evaluation], controls: [lasting],
               parts: [{quantity: final, effect: raises}]}
      huge: {title: Much more, changes: [[as_they_are, a_tenth]], measures: [evaluation], min_effect: {evaluation: 5000},
             parts: [{quantity: final, effect: raises}]}
"""


def composed_whole(root: Path, *overrides: str, multirun: bool = True, text: str = WHOLE) -> list[ComposedJob]:
    (root / "ablation").mkdir(parents=True, exist_ok=True)
    (root / "ablation" / "rewards.yaml").write_text(text)
    return compose_jobs(["+ablation=rewards", *overrides], multirun, [str(root)])


def test_one_file_holds_arms_controls_claims_and_words(tmp_path: Path) -> None:
    jobs = composed_whole(tmp_path / "conf")
    configs = {(job.config.ablation.arm, job.config.ablation.control): job.config for job in jobs}
    assert list(configs) == [(arm, control) for arm in ("as_they_are", "a_tenth") for control in ("brief", "lasting")]
    brief, lasting = configs["a_tenth", "brief"], configs["a_tenth", "lasting"]
    assert brief.reward_scale == 10 and brief.optimizer._target_.endswith("RMSprop") and brief.optimizer.lr == 0.002
    assert lasting.optimizer.lr == 0.003, "what a control sets holds for every arm"
    assert (brief.max_env_steps, lasting.max_env_steps) == (500, 5000)
    ways = {"as_they_are": Way(end=-2.9), "a_tenth": Way(end=-0.3)}
    for (arm, control), config in configs.items():
        kept = {"ablation": OmegaConf.to_container(config.ablation)}
        write_arm(tmp_path / "runs", "rewards", control, arm, ways[arm], seeds=6, in_steps=True, config=kept)
    section = build_ablation_section(read_runs([tmp_path / "runs"]), draw_figures=False)
    assert section is not None
    assert {
        (verdict.claim.number, verdict.comparison.title, verdict.measure): verdict.decision for verdict in section.verdicts
    } == {
        (1, "lasting", "evaluation"): "supported",
        (2, "500 steps", "evaluation"): "no difference that matters",
        (2, "lasting", "evaluation"): "no difference that matters",
    }
    margins = next(table for table in section.tables if table.name == "Differences that matter")
    assert [[cell.text for cell in row] for row in margins.rows] == [
        ["1. Less is more", "Nobody would notice less.", "-", "100", "-"]
    ]
    effect = section.verdicts[0].effects[0]
    assert (effect.part.text, effect.change) == ("ends better", "rewards as they are to a tenth of them")


def test_what_is_typed_chooses_among_the_arms_of_a_file(tmp_path: Path) -> None:
    typed = ("arm=a_tenth", "control=brief", "reward_scale=3")
    (job,) = composed_whole(tmp_path, *typed, multirun=False)
    assert (job.config.ablation.arm, job.config.ablation.control, job.config.reward_scale) == ("a_tenth", "brief", 3)
    assert len(composed_whole(tmp_path, "control=brief,lasting", "+arm=a_tenth")) == 2
    with pytest.raises(ConfigError, match=r"sweep over control and arm\. Add -m .*control=brief arm=as_they_are"):
        composed_whole(tmp_path, multirun=False)
    (other,) = compose_jobs(["+ablation=worker_count", "arm=workers_4", "control=fair"], multirun=False)
    assert other.config.workers == 4 and not other.config.ablation.arms


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{reward_scale: 1}", "3", r"rewards\.yaml: ablation\.arms\.as_they_are is 3, but it is a mapping of overrides"),
        ("{reward_scale: 1}", "{reward_scal: 1}", r"ablation\.arms\.as_they_are: there is no key reward_scal.*reward_scale"),
        ("brief:", "fair:", r"ablation\.controls\.fair has the name of .*fair\.yaml.*my_fair"),
        ("[[as_they_are, a_tenth]], measures", "[[raw, a_tenth]], measures", r"better\.changes names raw, which is none of"),
        ("controls: [lasting]", "controls: [long]", r"better\.controls names long, which is none of ablation\.controls"),
        ("  name: rewards\n", "", r"ablation\.name is null"),
        ("{evaluation: 5000}", "{evaluation: 0}", r"huge\.min_effect\.evaluation is 0, but it is a size"),
        ("{evaluation: 100,", "{ratio: 0.8,", r"min_effect\.ratio is 0\.8, but it is how many times"),
        ("quantity: final", "quantity: end", r"expected one of \[time, area, final"),
    ],
)
def test_a_mistake_in_the_one_file_is_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        composed_whole(tmp_path, text=WHOLE.replace(old, new))
    assert "\n" not in str(caught.value)


def test_groups_without_names_are_those_of_the_value_that_differs(tmp_path: Path) -> None:
    report = {
        "claims": {"x": {"title": "more", "changes": [["1", "10.0"]], "parts": [{"quantity": "final", "effect": "raises"}]}}
    }
    for scale in (1.0, 10.0):
        config = {"reward_scale": scale, "ablation": {"name": "mine", "report": {**report, "min_effect": {"evaluation": 1}}}}
        write_arm(tmp_path, "mine", "x", None, Way(), seeds=6, config=config, folder=f"scale={scale}")
    (comparison,) = find_comparisons(read_runs([tmp_path]))
    assert {arm: len(runs) for arm, runs in comparison.arms.items()} == {"1": 6, "10": 6}
    assert comparison.report.varied == "reward_scale" and not comparison.num_excluded and len(comparison.arm("1.0")) == 6


def test_claims_of_two_ablations_stay_apart(tmp_path: Path) -> None:
    for name, title in (("first", "Up"), ("second", "Down")):
        claim = {"title": title, "changes": [["a", "b"]], "parts": [{"quantity": "final", "effect": "raises"}]}
        for arm in ("a", "b"):
            config = {"ablation": {"name": name, "arm": arm, "report": {"claims": {"mine": claim}}}}
            write_arm(tmp_path / name, name, "", arm, Way(), seeds=5, config=config)
    verdicts = evaluate_claims(find_comparisons(read_runs([tmp_path])))
    assert list(dict.fromkeys((one.claim.number, one.claim.title) for one in verdicts)) == [(1, "Up"), (2, "Down")]
