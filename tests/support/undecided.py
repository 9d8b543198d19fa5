"""A tiny ablation of which one claim is decided at the first look and another one is not."""

from pathlib import Path

ABLATION = """\
# @package _global_
defaults: [_self_, override /env: cartpole, override /logger: none]
num_seeds: 5
compile: false
workers: 1
max_updates: null
max_env_steps: 90
model: {hidden: [4]}
evaluation: {every_env_steps: 30, episodes: 1, max_episode_steps: 60}
ablation:
  name: tiny
  arms: {usual: {}, again: {seed: 50}, idle: {optimizer.lr: 1.0e-9}}
  report:
    min_effect: {training: 1, evaluation: 1.0e-6}
    claims:
      again:
        title: Other seeds end better
        changes: [[usual, again]]
        measures: [evaluation]
        parts: [{quantity: area, effect: raises}]
      idle:
        title: Idleness is a catastrophe
        changes: [[usual, idle]]
        measures: [evaluation]
        min_effect: {evaluation: 1000}
        parts: [{quantity: area, effect: lowers}]
"""
UNDECIDED = ("+ablation=tiny", "ablation.seeds=until_decided", "ablation.batch_seeds=2", "ablation.max_seeds=8")
"""What is typed for it, beside its folder; looks come at 5, 7 and 8 seeds, three groups at first."""


def write_ablation(conf: Path) -> Path:
    """Make a folder the config folder that has it."""
    (conf / "ablation").mkdir(parents=True)
    (conf / "ablation" / "tiny.yaml").write_text(ABLATION)
    return conf
