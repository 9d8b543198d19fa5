"""``python docs/generate/write_configuration.py`` writes docs/configuration.md.

It lists every key of conf/ with its default, what it may be, and what it means.

Defaults and meanings are those of the YAML files, whose comments this reads. What a key may be stands in the annotations of
the schema's fields and of the constructors' parameters, of which the program's own checks are made.
"""

import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from typing import Any

from allowed_values import allowed_values, type_hint
from annotated_yaml import YamlKey, base_options, default_choices, file_description, read_keys
from omegaconf import DictConfig

from a3c_exp.config import schema
from a3c_exp.config.compose import CONFIG_DIR, compose_jobs, hydra_config
from a3c_exp.config.existing_runs import COMMAND_KEYS
from a3c_exp.sweep.launcher.config import LocalLauncherConfig
from a3c_exp.sweep.ray_launcher.config import RayLauncherConfig
from a3c_exp.sweep.slurm.config import SlurmLauncherConfig
from a3c_exp.sweep.study.config import StudyConfig

PAGE = Path(__file__).parents[1] / "configuration.md"
GROUPS = {
    "env": "The environment. What a preset sets besides is in [a table of its own](#presets).",
    "model": "The networks.",
    "optimizer": "One shared optimizer on one flat vector of weights.",
    "parallelism": "Where workers run, and in which order they update.",
    "logger": "Where results go in addition to the run directory.",
}
OVERLAY_GROUPS = {
    "experiment": "`+experiment=NAME`: published and tuned settings that overlay a preset.",
    "ablation": "`+ablation=NAME -m`: the comparisons of [ablations](ablations.md).",
    "arm": "`arm=NAME`: the groups of an ablation.",
    "control": "`control=NAME`: the protocols that its groups may follow.",
    "study": "`+study=NAME -m`: the Optuna studies of [tuning](tuning.md).",
}
_CALLER_ARGUMENTS = {
    "env": ("num_envs", "render_mode", "run_max_episode_steps"),
    "model": ("observation_space", "action_space", "seed"),
    "logger": ("on_message",),
}
"""What the program itself gives to a group's class."""
_SWEEP_PREFIX = "hydra.sweeper.params."
_LAUNCHER_KEYS = {
    "n_jobs": "runs at a time; null: as many as find cores",
    "heartbeat_timeout": "seconds without a heartbeat after which a run's process counts as dead and is killed",
}
_RAY_KEYS = {
    "address": "HOST:PORT of a cluster's head, or auto; null: RAY_ADDRESS, else a cluster of this machine for one command",
    "n_jobs": "runs at a time; null: as many as the cluster has cores for",
    "cpus": "cores of a run; null: as many as its parallelism keeps busy",
    "resource": "only on nodes that declare this resource, of which a run takes 1",
    "shared": "all nodes see the run directories under the same path; false: they are brought back at each checkpoint",
    "max_restarts": "how often a run goes on elsewhere after its node was lost",
    "silence_timeout": "seconds without an answer after which a node counts as lost, and a run there stops with a checkpoint",
    "heartbeat_timeout": _LAUNCHER_KEYS["heartbeat_timeout"],
}


def table(
    entries: Sequence[YamlKey],
    prefix: str = "",
    hint: Callable[[str], Any] = lambda _: Any,
) -> list[str]:
    """The rows of a file's keys.

    Args:
        entries: the keys.
        prefix: what stands before them on the command line.
        hint: a key's type hint.
    """
    rows = ["| key | default | may be | what it is |", "|---|---|---|---|"]
    for entry in entries:
        key, meaning = f"{prefix}{entry.key}", _escape_markdown(entry.description)
        if entry.key.startswith("_"):
            continue  # which class it is, is what the option's name says
        if entry.value is None:
            rows += [f"| **`{key}`** | | | *{meaning}* |"] if meaning else []
        elif meaning:
            rows.append(f"| `{key}` | {_inline_code(entry.value)} | {allowed_values(hint(entry.key))} | {meaning} |")
        elif not entry.key.endswith("_target_"):
            raise SystemExit(f"{key} has no comment in conf/ that says what it is; write one behind it")
    return rows


def _escape_markdown(text: str) -> str:
    """Text that Markdown leaves as it is, but for pages that it names: they become links."""
    escaped = re.sub(r"([|<>*_$\[\]])", r"\\\1", text)
    return re.sub(r"docs/(\S+)\.md", lambda page: f"[{page[1]}]({page[1].replace(chr(92), '')}.md)", escaped)


def _inline_code(value: str) -> str:
    return f"`{value}`".replace("|", "\\|")


def run_section() -> list[str]:
    """Keys of config.yaml, under its own headings."""
    path = CONFIG_DIR / "config.yaml"
    lines, entries = path.read_text().splitlines(), read_keys(path)
    starts = [i for i, line in enumerate(lines) if line.startswith("# ") and not lines[i - 1].strip()]
    page = ["## The run", ""]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        own = [one for one in entries if start < one.line < end and not one.key.startswith("hydra")]
        heading = lines[start].strip("# ")
        page += [f"### {heading[0].upper()}{heading[1:]}", "", *table(own, "", partial(type_hint, schema.Config)), ""]
    return page


def command_section() -> list[str]:
    """Keys that say what a command does, and not what a run is."""
    rows = [f"| `{key}` | {_inline_code(default) if default else ''} | {allowed} | {_escape_markdown(said)} |"
            for key, (default, allowed, said) in COMMAND_KEYS.items()]  # fmt: skip
    said = "They stand in no configuration, and change nothing of what a run computes ([sweeps](sweeps.md#going-on))."
    return ["## The command", "", said, "", "| key | default | may be | what it does |", "|---|---|---|---|", *rows, ""]


def compose_options() -> dict[tuple[str, str], DictConfig]:
    """What each option of each group is composed to, in as few compositions as there can be."""
    options = {name: [path.stem for path in sorted((CONFIG_DIR / name).glob("*.yaml"))] for name in GROUPS}
    found: dict[tuple[str, str], DictConfig] = {}
    for some in zip_longest(*options.values()):
        chosen = {name: option for name, option in zip(options, some, strict=True) if option is not None}
        (job,) = compose_jobs([*(f"{name}={option}" for name, option in chosen.items()), "max_env_steps=1000"], multirun=False)
        found |= {(name, option): job.config[name] for name, option in chosen.items()}
    return found


def group_section(name: str, composed_options: Mapping[tuple[str, str], DictConfig]) -> list[str]:
    """Every option of a config group."""
    page = [f"## {name}=", "", GROUPS[name], ""]
    for path in sorted((CONFIG_DIR / name).glob("*.yaml")):
        page += [f"### {name}={path.stem}", "", _escape_markdown(file_description(path)), ""]
        node = composed_options[name, path.stem]
        module, _, cls = node._target_.rpartition(".")
        of = getattr(import_module(module), cls)
        entries = read_keys(path, section="env" if name == "env" else "")
        if base_options(path):
            values = [f"`{name}.{one.key}={one.value}`" for one in entries]
            page += [f"The keys of `{name}={base_options(path)[0]}`, with other defaults: {', '.join(values)}.", ""]
        elif len(node) > 1:
            page += [*table(entries, f"{name}.", partial(type_hint, of)), ""]
            more = [
                one
                for one in typing.get_type_hints(of.__init__)
                if one not in {*node, *_CALLER_ARGUMENTS.get(name, ()), "return"}
            ]
            page += [f"`+{name}.{one}=...` has the meaning that it has in other options." for one in more] + [""] * bool(more)
    return page


def hydra_section() -> list[str]:
    """Hydra's own keys that matter here."""
    hydra = hydra_config(["hydra/sweeper=optuna"])
    assert hydra is not None
    local, ray = _launcher_table(LocalLauncherConfig, _LAUNCHER_KEYS), _launcher_table(RayLauncherConfig, _RAY_KEYS)
    numbers = ("n_trials", "n_jobs", "max_failure_rate", "heartbeat_timeout")
    optuna = CONFIG_DIR / "hydra" / "sweeper" / "optuna.yaml"
    slurm = CONFIG_DIR / "hydra" / "launcher" / "slurm.yaml"
    return [
        "## hydra: directories, sweeps, studies",
        "",
        *table([one for one in read_keys(CONFIG_DIR / "config.yaml") if one.key.startswith("hydra.") and one.description]),
        "",
        "### hydra/launcher=local",
        "",
        "How runs of a sweep are started, the default for `-m`: [sweeps](sweeps.md). `hydra/launcher=basic` is Hydra's own.",
        "",
        *local,
        "",
        "### hydra/launcher=ray",
        "",
        "Runs of a sweep on the nodes of a Ray cluster: [several machines](several-machines.md#ray).",
        "",
        *ray,
        "",
        "### hydra/launcher=slurm",
        "",
        _escape_markdown(file_description(slurm)),
        "",
        *table(read_keys(slurm), "hydra.launcher.", partial(type_hint, SlurmLauncherConfig)),
        "",
        "### hydra/sweeper=optuna",
        "",
        _escape_markdown(file_description(optuna)),
        "",
        *table(read_keys(optuna), "hydra.sweeper.", lambda key: type_hint(StudyConfig, key) if key in numbers else Any),
        "",
    ]


def _launcher_table(config: type[Any], meanings: Mapping[str, str]) -> list[str]:
    values = asdict(config())
    assert {*values} == {"_target_", *meanings}, f"the launcher has other keys: {[*values]}"
    shown = {None: "null", True: "true", False: "false"}
    keys = [YamlKey(key, shown.get(values[key], str(values[key])), said, 0) for key, said in meanings.items()]
    return table(keys, "hydra.launcher.", partial(type_hint, config))


def presets_section() -> list[str]:
    """What each option of env sets besides its own keys, side by side."""
    paths = [CONFIG_DIR / "env" / f"{name}.yaml" for name in ("pendulum", "cartpole", "car_racing", "gymnasium")]
    default = default_choices(CONFIG_DIR / "config.yaml") | {
        one.key: one.value for one in read_keys(CONFIG_DIR / "config.yaml")
    }
    sets = [
        default_choices(path)
        | {one.key: one.value for one in read_keys(path) if one.value is not None and not one.key.startswith("env.")}
        for path in paths
    ]
    used = dict.fromkeys(key for one in sets for key in one)
    rows = [f"| | default | {' | '.join(f'`env={path.stem}`' for path in paths)} |", "|---|---|" + "---|" * len(paths)]
    for key in sorted(used, key=lambda key: list(default).index(key) if key in default else 3.5):
        first = _inline_code(str(default[key])) if key in default else "the optimizer's own"
        cells = [_inline_code(str(one[key])) if key in one else "" for one in sets]
        rows.append(f"| `{key}` | {first} | {' | '.join(cells)} |")
    return ["## Presets", "", "What a preset sets besides `env`; an empty cell means the default.", "", *rows, ""]


def overlay_section(name: str) -> list[str]:
    """A table of files that set what other groups and config.yaml have."""
    page = [f"## {name}", "", OVERLAY_GROUPS[name], "", "| name | what it is | sets | tries |", "|---|---|---|---|"]
    for path in sorted((CONFIG_DIR / name).glob("*.yaml")):
        sets = [f"all of `{one}`:" for one in base_options(path)]
        sets += [f"`{key}={option}`" for key, option in default_choices(path).items() if key not in ("arm", "control")]
        tries: list[str] = []
        for entry in read_keys(path):
            if entry.value is None or entry.key.startswith(("ablation.", "tags", "hydra.job")):
                continue
            (tries if entry.key.startswith(_SWEEP_PREFIX) else sets).append(
                _inline_code(f"{entry.key.removeprefix(_SWEEP_PREFIX)}={entry.value}")
            )
        page.append(f"| `{path.stem}` | {_escape_markdown(file_description(path))} | {' '.join(sets)} | {' '.join(tries)} |")
    return [*page, ""]


def page() -> str:
    """The whole page."""
    parts = [
        "# Every key",
        "",
        "    python -m a3c_exp key=value group=option group.key=value",
        "    python -m a3c_exp env=cartpole --help      # the keys, with the values that this command would give them",
        "    python docs/generate/write_configuration.py         # writes this page",
        "",
        "Written by the last command, which a test repeats: defaults and meanings are those of [conf/](../conf/config.yaml),",
        "allowed values those of the annotated types. To change a meaning here, change the comment there.",
        "",
        "Later values win: the defaults, the options of the groups, the preset of `env=`, overlays (`+experiment=`), the",
        "command line. A value of the wrong type or out of bounds is refused in one line before anything is started.",
        "",
        "[The run](#the-run) · [env](#env) · [model](#model) · [optimizer](#optimizer) · [parallelism](#parallelism) ·",
        "[logger](#logger) · [command](#the-command) · [hydra](#hydra-directories-sweeps-studies) · [presets](#presets) ·",
        "[experiment](#experiment) · [ablation](#ablation) · [arm](#arm) · [control](#control) · [study](#study)",
        "",
        *run_section(),
    ]
    composed = compose_options()
    for name in GROUPS:
        parts += group_section(name, composed)
    parts += [*command_section(), *hydra_section(), *presets_section()]
    for name in OVERLAY_GROUPS:
        parts += overlay_section(name)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts).rstrip()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
