"""Where the runs come from, and what makes their comparison less sound than it looks."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from a3c_exp.report.aggregate import Comparison
from a3c_exp.report.run_reader import RunData
from a3c_exp.report.run_results import ConfigResult
from a3c_exp.runs.tolerant_io import mapping, relative_to_cwd
from a3c_exp.stats.estimates import MIN_SEEDS

Origin = tuple[str, tuple[str, ...]]  # what, and the different answers with how many runs gave each
_MAX_SHOWN = 12
_HARMLESS_CHANGES = ("max_episodes ", "max_env_steps ", "max_updates ", "checkpoint.", "metrics.", "logger.", "tags ")
_UNKNOWN = "no git commit known"


def origins(runs: Sequence[RunData]) -> list[Origin]:
    """Command, code, versions, machine and dates of ``runs``; several answers where they differ."""
    found = [
        ("Directory", (relative_to_cwd(Path(os.path.commonpath([run.path.resolve().parent for run in runs]))),)),
        ("Command", _distinct_answers(runs, [_optional_text(run.run_json.get("command")) for run in runs])),
        ("Code", _distinct_answers(runs, [_code_version(run) for run in runs])),
        ("Versions", _distinct_answers(runs, [_format_mapping(run.run_json.get("versions")) for run in runs])),
        ("Machine", _distinct_answers(runs, [_machine(run) for run in runs])),
        ("Dates", _date_range(runs)),
        ("Resumed", _num_resumed(runs)),
        ("Changed by a resume", _distinct_answers(runs, ["; ".join(run.changes) for run in runs])),
    ]
    return [(what, answers) for what, answers in found if answers]


def comparison_warnings(comparison: Comparison, results: Sequence[ConfigResult]) -> list[str]:
    """One sentence for each reason to doubt the comparison."""
    runs = comparison.runs
    found = []
    if len({_code_version(run) for run in runs} - {_UNKNOWN}) > 1:
        found.append("The runs were made by different versions of the code.")
    if any(mapping(run.run_json.get("git")).get("dirty") for run in runs):
        found.append("Some runs were made with uncommitted changes; each has them in its code.diff.")
    if len({_machine(run) for run in runs} - {""}) > 1:
        found.append("The runs were made on different machines: their speeds do not compare.")
    shared = {run.num_seeds_in_process for run in runs}
    if shared != {1}:
        each = "; configurations differ in how many, so their speeds do not compare" if len(shared) > 1 else ""
        found.append(f"Seeds that trained together shared one process: the speed of each is its part of it{each}.")
    changed = sum(any(not text.startswith(_HARMLESS_CHANGES) for text in run.changes) for run in runs)
    if changed:
        found.append(f"{changed} of the runs got other values on the way, and stand here under those that they ended with.")
    few = [item.label for item in comparison.configurations if item.num_seeds < MIN_SEEDS]
    if few:
        where = "" if len(few) == len(comparison.configurations) else f" of {_join_names(few)}"
        found.append(f"Fewer than {MIN_SEEDS} seeds{where}: no interval over seeds, and a difference may be chance.")
    twice = [item.label for item in comparison.configurations if item.num_seeds < len(item.runs)]
    if twice:
        found.append(f"The same seed ran more than once in {_join_names(twice)}: such runs are not independent.")
    partial = [item for item in results if 0 < len(item.averaged_runs) < len(item.configuration.runs)]
    if partial:
        number = sum(len(item.configuration.runs) - len(item.averaged_runs) for item in partial)
        found.append(f"{number} run{'s' * (number > 1)} not finished and left out of the means; see what failed below.")
    unfinished = [item.configuration.label for item in results if not item.statuses["finished"] and item.averaged_runs]
    if unfinished:
        found.append(f"No run of {_join_names(unfinished)} has finished: its means are over what there is so far.")
    return found


def _distinct_answers(runs: Sequence[RunData], texts: Iterable[str]) -> tuple[str, ...]:
    counted = Counter(text for text in texts if text)
    several = len(counted) > 1
    answers = [f"{text} ({number} of {len(runs)} runs)" if several else text for text, number in counted.most_common()]
    more = len(answers) - _MAX_SHOWN
    return (*answers[:_MAX_SHOWN], f"and {more} more: see runs.csv") if more > 0 else tuple(answers)


def _code_version(run: RunData) -> str:
    git = mapping(run.run_json.get("git"))
    if not git.get("commit"):
        return _UNKNOWN
    return f"commit {str(git['commit'])[:12]}" + (" with uncommitted changes" if git.get("dirty") else "")


def _machine(run: RunData) -> str:
    machine = {key: value for key, value in mapping(run.run_json.get("machine")).items() if key != "host"}
    host = _optional_text(run.run_json.get("host") or mapping(run.run_json.get("machine")).get("host"))
    return ", ".join(text for text in (host, _format_mapping(machine)) if text)


def _format_mapping(value: object) -> str:
    return ", ".join(f"{key} {_optional_text(item)}" for key, item in mapping(value).items() if item is not None)


def _date_range(runs: Sequence[RunData]) -> tuple[str, ...]:
    timings = [mapping(run.run_json.get("timings")) for run in runs]
    starts = sorted(filter(None, (_format_date(timing.get("started") or timing.get("created")) for timing in timings)))
    ends = sorted(filter(None, (_format_date(timing.get("ended")) for timing in timings)))
    if not starts:
        return ()
    return (f"{starts[0]} to {ends[-1]}" if ends else f"since {starts[0]}",)


def _format_date(value: object) -> str:
    try:
        return datetime.fromisoformat(str(value)).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return ""


def _num_resumed(runs: Sequence[RunData]) -> tuple[str, ...]:
    sessions = [run.run_json.get("sessions") for run in runs]
    number = sum(isinstance(item, list) and len(item) > 1 for item in sessions)
    return (f"{number} of {len(runs)} runs went on from a checkpoint",) if number else ()


def _join_names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"


def _optional_text(value: object) -> str:
    return "" if value is None else str(value)
