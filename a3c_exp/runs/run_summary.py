"""One run directory, of which only that is read which is asked for: a list of a thousand runs appears at once."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from a3c_exp.runs import tolerant_io
from a3c_exp.runs.config_values import MISSING, as_text, flatten_as_text, resolve_reference, select
from a3c_exp.runs.log_records import JsonObject
from a3c_exp.runs.run_directories import find_run_records
from a3c_exp.runs.status import RunStatus, run_status
from a3c_exp.runs.tolerant_io import items_as_text, mapping, number, parse_object, read_text, strings

METADATA_KEYS = (
    "path", "name", "group", "status", "reason", "command", "host", "commit", "dirty", "created", "ended", "seconds",
)  # fmt: skip
RESULT_KEYS = (
    "episodes", "env_steps", "updates", "wall_time", "steps_per_second", "moving_average", "recent_return", "evaluation",
    "evaluation_low", "evaluation_high", "evaluation_step", "best", "best_step", "policy_lag", "policy_lag_max",
)  # fmt: skip
"""Results by name. ``evaluation`` is the mean return of the last evaluation, ``best`` the highest of all."""

BUDGET_COUNTS = {"max_episodes": "episodes", "max_env_steps": "env_steps", "max_updates": "updates"}
"""The result that each budget of a configuration limits."""

_EVALUATION_FIELDS = {"": "mean", "_low": "ci_low", "_high": "ci_high", "_step": "env_step"}
_NESTED_RESULTS = {
    **{f"evaluation{suffix}": ("evaluation", field) for suffix, field in _EVALUATION_FIELDS.items()},
    **{f"best{suffix}": ("best_evaluation", field) for suffix, field in _EVALUATION_FIELDS.items()},
    "policy_lag": ("policy_lag", "mean"),
    "policy_lag_max": ("policy_lag", "max"),
}
"""Where a result of another name stands in ``summary.json``."""
_CHOICES_PATTERN = re.compile(r"^    choices:\n((?:      \S.*\n)*)", re.MULTILINE)


class RunSummary:
    """One run directory, of which only that is read which is asked for; ``run_json_text`` is that of its ``run.json``."""

    def __init__(self, path: Path, run_json_text: str | None = None) -> None:
        self.path = path
        self.problems: list[str] = []
        self._run_json_text = run_json_text

    @cached_property
    def run_json(self) -> JsonObject:
        """``run.json``; empty if it cannot be read."""
        known = parse_object(self._run_json_text) if self._run_json_text else None
        return known or tolerant_io.read_json_object(self.path / "run.json", self.problems) or {}

    @cached_property
    def status(self) -> RunStatus:
        """As in ``run_status``."""
        return run_status(self.path, self.run_json, self.problems)

    @cached_property
    def summary_json(self) -> JsonObject:
        """``summary.json``; empty without one, or if it is an earlier session's."""
        live = self.status in ("running", "killed")
        found = tolerant_io.read_json_object(self.path / "summary.json", self.problems, required=not live)
        if found is not None and live:
            self.problems.append("summary.json is an earlier session's and not used")
            return {}
        return found or {}

    @cached_property
    def config(self) -> JsonObject:
        """``.hydra/config.yaml`` as written, references unresolved; empty if it cannot be read."""
        config = tolerant_io.read_yaml(self.path / ".hydra" / "config.yaml", self.problems)
        if config is not None and not isinstance(config, Mapping):
            self.problems.append("config.yaml is damaged: not a mapping")
        return mapping(config)

    @cached_property
    def overrides(self) -> tuple[str, ...]:
        """What was typed on the command line, such as ``workers=4``."""
        typed, path = strings(self.run_json.get("overrides")), self.path / ".hydra" / "overrides.yaml"
        return typed or strings(tolerant_io.read_yaml(path, self.problems, required=False))

    @cached_property
    def changes(self) -> tuple[str, ...]:
        """What a resume changed: ``gamma from 0.99 to 0.5 at step 600``."""
        sessions = self.run_json.get("sessions")
        return tuple(
            f"{key} from {as_text(values[0])} to {as_text(values[-1])} at step {session.get('from_env_step')}"
            for session in map(mapping, sessions if isinstance(sessions, list) else ())
            for key, values in mapping(session.get("changed")).items()
            if isinstance(values, list) and values
        )

    @cached_property
    def name(self) -> str:
        """As in ``run.json``, else the folder's."""
        return str(self.run_json.get("name") or self.path.resolve().name)

    @property
    def group(self) -> str:
        """As in ``run.json``; empty without one."""
        return str(self.run_json.get("group") or "")

    @property
    def seed(self) -> str:
        """The seed as text; ``?`` if neither ``run.json`` nor the configuration has one."""
        value = self.value("seed")
        return "?" if value is None or value is MISSING else str(value)

    @property
    def task(self) -> str:
        """What is learned: the environment's id, else its option of the config group; empty if neither is known."""
        found = next((value for key in ("env.id", "env") if (value := self.value(key)) is not MISSING and value), "")
        return as_text(found)

    @property
    def reason(self) -> str:
        """Why it ended, in the run's own words; empty if it did not say."""
        for source in (self.run_json, self.summary_json):
            if source.get("reason"):
                return str(source["reason"])
        return "its process is gone and left no reason" if self.status == "killed" else ""

    @property
    def code(self) -> str:
        """The commit that made it, and whether that was changed; without git the version; empty if neither is known."""
        git, version = mapping(self.run_json.get("git")), mapping(self.run_json.get("versions")).get("a3c_exp")
        if git.get("commit"):
            return f"commit {str(git['commit'])[:12]}{' with uncommitted changes' if git.get('dirty') else ''}"
        return f"a3c_exp {version}" if version else ""

    @property
    def machine(self) -> str:
        """The host and what it is, in words."""
        machine = dict(mapping(self.run_json.get("machine")))
        host = machine.pop("host", None)
        return ", ".join(filter(None, (str(self.run_json.get("host") or host or ""), items_as_text(machine))))

    def value(self, key: str) -> Any:
        """What ``key`` is in this run, ``MISSING`` if nothing, ``None`` where it says so: one of ``METADATA_KEYS`` or
        ``RESULT_KEYS``, else of the configuration (of a config group the option), ``run.json`` or ``summary.json``."""
        if key in METADATA_KEYS:
            return self._metadata(key)
        if key in RESULT_KEYS:
            found = self.result(key)
            return MISSING if math.isnan(found) else found
        if key == "seed":
            return self.run_json.get("seed", self.config.get("seed", MISSING))
        value = resolve_reference(self.config, key, select(self.config, key))
        if isinstance(value, Mapping):
            said = next((text for text in (self.run_json.get(key), value.get("name")) if isinstance(text, str)), None)
            return self._hydra_choices.get(key, MISSING) if said is None else said
        for source in (self.run_json, self.summary_json):
            if value is MISSING:
                value = select(source, key)
        return value

    def result(self, key: str) -> float:
        """One of ``RESULT_KEYS``; NaN where the run does not say. A run without a summary says it in its last lines."""
        group, field = _NESTED_RESULTS.get(key, ("", key))
        return number((mapping(self._final_values.get(group)) if group else self._final_values).get(field))

    def interval(self, key: str) -> tuple[float, float]:
        """The ends of the interval of ``evaluation`` or ``best``; NaN where the run does not say."""
        return self.result(f"{key}_low"), self.result(f"{key}_high")

    def config_items(self) -> Iterator[tuple[str, str]]:
        """``(dotted name, value as text)`` of every configuration value, references filled in."""
        for name, text in flatten_as_text(self.config, ("ablation.report",)):  # words, which change nothing
            if text.startswith("${"):
                yield from flatten_as_text({name: resolve_reference(self.config, name, text)})
            else:
                yield name, text

    @cached_property
    def _final_values(self) -> JsonObject:
        """The summary, or what stands for it while there is none."""
        if self.summary_json or self.status == "unknown":
            return self.summary_json
        names = ("episodes", "metrics", "evaluations")
        lines = {name: tolerant_io.last_json_object(self.path / f"{name}.jsonl") for name in names}
        newest = max((lines["episodes"], lines["metrics"]), key=lambda line: number(line.get("env_step", -1)))
        steps, seconds = number(newest.get("env_step")), number(newest.get("wall_time"))
        return {
            "recent_return": lines["metrics"].get("recent_return"),
            "policy_lag": {"mean": lines["metrics"].get("policy_lag_mean"), "max": lines["metrics"].get("policy_lag_max")},
            "episodes": lines["episodes"].get("episode"),
            "moving_average": lines["episodes"].get("moving_average"),
            "env_steps": newest.get("env_step"),
            "updates": newest.get("update"),
            "wall_time": newest.get("wall_time"),
            "steps_per_second": steps / seconds if seconds > 0 else None,
            "evaluation": lines["evaluations"],
        }

    def _metadata(self, key: str) -> Any:
        git, timings = mapping(self.run_json.get("git")), mapping(self.run_json.get("timings"))
        if key in ("path", "name", "status"):
            return str(getattr(self, key))
        if key == "created":
            return timings.get(key, timings.get("started", MISSING))
        places = {"commit": git, "dirty": git, "ended": timings, "seconds": timings}
        return places.get(key, self.run_json).get(key, MISSING)

    @cached_property
    def _hydra_choices(self) -> Mapping[str, str]:
        """What Hydra chose of each group; of a seed that trained with others it stands one folder up."""
        for folder in (self.path, self.path.resolve().parent):
            if match := _CHOICES_PATTERN.search(read_text(folder / ".hydra" / "hydra.yaml", [], required=False)):
                pairs = (line.strip().partition(": ") for line in match[1].splitlines())
                return {name: value for name, _, value in pairs}
        return {}


def find_run_summaries(paths: Iterable[Path | str]) -> list[RunSummary]:
    """An entry for each of ``find_runs``, in the same order. Raises RunDirectoryError as that does."""
    return [RunSummary(path, record) for path, record in find_run_records(paths)]
