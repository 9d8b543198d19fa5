"""The page that the Hugging Face hub shows of a policy: README.md, whose head is metadata that the hub searches by."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from a3c_exp.runs.config_values import as_text
from a3c_exp.runs.tolerant_io import mapping
from a3c_exp.system.number_format import format_duration, format_env_steps, format_interval

CARD, REPLAY = "README.md", "replay.mp4"
"""As the hub names them; it plays a file of that name on the page."""
_IDS = {"CarRacingEnvs": "CarRacing-v3"}
"""Of environments whose section of the configuration has no ``id``, by the class that makes them."""
_PAPER = "[Mnih et al. 2016](https://arxiv.org/abs/1602.01783)"


def model_card(
    config: DictConfig, provenance: Mapping[str, Any], modules: Sequence[str] = (), repo_id: str = "", replay: str = ""
) -> str:
    """README.md of exported weights, in Markdown with metadata for the hub.

    Args:
        config: as it is stored beside the card.
        provenance: that of the weights, with their score (provenance.json).
        modules: of others, which the configuration names and loading needs.
        repo_id: where on the hub the weights are to be found, ``user/name``; empty: nowhere yet.
        replay: what ``replay.mp4`` shows; empty: there is none.
    """
    algorithm, env = _algorithm(config), env_name(config)
    steps = format_env_steps(provenance["env_steps"], config.env.get("frame_skip"))
    sections = [
        f"---\n{_metadata(algorithm, env, provenance)}---",
        f"# {algorithm} on {env}",
        f"A policy for `{env}`, trained by advantage actor-critic ({_PAPER}) with a3c_exp. "
        f"It has {provenance['weights']:,} weights, after {steps}.",
        *([f"`{REPLAY}` shows {replay}."] if replay else []),
        "## Score",
        _score(provenance),
        "## Use",
        _use(modules, repo_id),
        "## Training",
        _training(config, provenance),
        "## Configuration",
        _configuration(config),
    ]
    return "\n\n".join(sections) + "\n"


def env_name(config: DictConfig) -> str:
    """The environment's id; of one without an id the class that makes it."""
    made_by = str(config.env._target_).rpartition(".")[2]
    return str(config.env.get("id") or _IDS.get(made_by, made_by)).rpartition(":")[2]


def _algorithm(config: DictConfig) -> str:
    return "A2C" if config.parallelism._target_.endswith(".Synchronous") else "A3C"


def _metadata(algorithm: str, env: str, provenance: Mapping[str, Any]) -> str:
    evaluation = provenance["evaluation"]
    metric = {"type": "mean_reward", "value": f"{evaluation['mean']:.2f} +/- {evaluation['std']:.2f}", "name": "mean_reward"}
    result = {
        "task": {"type": "reinforcement-learning", "name": "reinforcement-learning"},
        "dataset": {"name": env, "type": env},
        "metrics": [metric | {"verified": False}],
    }
    metadata = {
        "library_name": "a3c_exp",
        "pipeline_tag": "reinforcement-learning",
        "tags": [env.replace("/", "-"), "deep-reinforcement-learning", "reinforcement-learning", "a3c_exp", algorithm.lower()],
        "model-index": [{"name": algorithm, "results": [result]}],
    }
    return str(yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True))


def _score(provenance: Mapping[str, Any]) -> str:
    evaluation = provenance["evaluation"]

    def interval(prefix: str) -> str:
        low, high = (float(evaluation.get(f"{prefix}{end}") or math.nan) for end in ("ci_low", "ci_high"))
        return f", 95 % interval {text}" if (text := format_interval((low, high))) else ""

    actions = "deterministic: the policy's mode" if evaluation["deterministic"] else "sampled from the policy"
    rows = [
        ("mean return", f"{evaluation['mean']:.2f} ± {evaluation['std']:.2f} (standard deviation){interval('')}"),
        ("median, range", f"{evaluation['median']:.2f}; {evaluation['min']:.2f} to {evaluation['max']:.2f}"),
        ("episodes", f"{evaluation['episodes']}, of {evaluation['mean_length']:.0f} steps on average"),
        ("actions", actions),
        ("seeds", f"the episodes' follow from {evaluation['seed']}, the training's from {provenance['trained']['seed']}"),
    ]
    if (iqm := evaluation.get("iqm")) is not None:
        rows.insert(1, ("interquartile mean", f"{iqm:.2f}{interval('iqm_')}"))
    is_best = provenance["checkpoint"] == "best.pt"
    which = "the best of the training's own evaluations" if is_best else "those of a checkpoint"
    return (
        f"{_table(rows)}\n\n"
        f"Measured with the weights as they are stored here ({provenance['precision']}), on held-out episodes: neither the "
        f"training nor its own evaluations used their seeds. The weights are {which} (`{provenance['checkpoint']}`) of one "
        "training. Intervals are bootstrapped over episodes, and say nothing of other trainings."
    )


def _use(modules: Sequence[str], repo_id: str) -> str:
    place = f'load_from_hub("{repo_id}"' if repo_id else 'load("path/to/this/folder"'
    trust = f", trust={[*modules]}".replace("'", '"') if modules else ""
    lines = [
        "```python\nimport a3c_exp\n",
        f"policy = a3c_exp.{place}{trust})",
        "action, state = policy.predict(observation, state)  # state=None where an episode begins\n```",
    ]
    if modules:
        lines.append(f"\nThe configuration names code of {', '.join(f'`{name}`' for name in modules)}, which has to be there.")
    if repo_id:
        folder = repo_id.rpartition("/")[2]
        flags = "".join(f" --trust {name}" for name in modules)
        lines.append("\nOr from the command line, with a video:\n")
        lines.append(f"    hf download {repo_id} --local-dir {folder}\n    python -m a3c_exp.evaluate {folder} --video{flags}")
    return "\n".join(lines)


def _training(config: DictConfig, provenance: Mapping[str, Any]) -> str:
    trained = provenance["trained"]
    sessions = list(dict.fromkeys([trained["command"], *trained["sessions"]]))
    machine, git = mapping(trained.get("machine")), mapping(trained.get("git"))
    commit = f"{git['commit']}{' with changes' if git.get('dirty') else ''}" if git.get("commit") else "unknown"
    rows = [
        ("workers", f"{config.workers}, {str(config.parallelism._target_).rpartition('.')[2]}"),
        ("environment steps, updates", f"{provenance['env_steps']:,}; {provenance['updates']:,}"),
        ("date", str(trained["date"])[:10]),
        ("duration", format_duration(trained.get("seconds") or math.nan)),
        ("machine", f"{machine.get('cpu', 'unknown')}, {machine.get('cores', '?')} cores"),
        ("code", commit),
        *((name, str(version)) for name, version in mapping(trained.get("versions")).items() if version),
    ]
    commands = "\n".join(f"    {command}" for command in sessions)
    return f"{commands}\n\n{_table(rows)}"


def _configuration(config: DictConfig) -> str:
    main = ("gamma", "n_step", "beta", "value_coef", "reduction", "max_grad_norm", "lr_schedule", "optimizer.lr")
    values: dict[str, Any] = {key: OmegaConf.select(config, key) for key in main}
    rows = [(f"`{key}`", as_text(value)) for key, value in values.items() if value is not None]
    whole = OmegaConf.to_yaml(config).rstrip()
    return f"{_table(rows)}\n\n<details><summary>config.yaml</summary>\n\n```yaml\n{whole}\n```\n\n</details>"


def _table(rows: Iterable[tuple[str, str]]) -> str:
    cells = ((name, value.replace("|", "\\|")) for name, value in rows)
    return "\n".join(["| | |\n|---|---|", *(f"| {name} | {value} |" for name, value in cells)])
