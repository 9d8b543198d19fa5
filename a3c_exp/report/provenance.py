"""Where the runs come from, and what makes their comparison less sound than it looks."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from a3c_exp.report.aggregate import Comparison
from a3c_exp.report.columns import mapping
from a3c_exp.report.run_reader import Run
from a3c_exp.report.run_results import Outcome
from a3c_exp.runs.tolerant_io import shown
from a3c_exp.stats.estimates import MIN_SEEDS

Origin = tuple[str, tuple[str, ...]]  # what, and the different answers with how many runs gave each
_SHOWN = 12
_UNKNOWN = "no git commit known"


def origins(runs: Sequence[Run]) -> list[Origin]:
    """Command, code, versions, machine and dates of ``runs``; several answers where they differ."""
    found = [
        ("Directory", (shown(Path(os.path.commonpath([run.path.resolve().parent for run in runs]))),)),
        ("Command", _answers(runs, [_text(run.run_json.get("command")) for run in runs])),
        ("Code", _answers(runs, [_code(run) for run in runs])),
        ("Versions", _answers(runs, [_pairs(run.run_json.get("versions")) for run in runs])),
        ("Machine", _answers(runs, [_machine(run) for run in runs])),
        ("Dates", _dates(runs)),
        ("Resumed", _resumed(runs)),
    ]
    return [(what, answers) for what, answers in found if answers]


def warnings(comparison: Comparison, outcomes: Sequence[Outcome]) -> list[str]:
    """One sentence for each reason to doubt the comparison."""
    runs = comparison.runs
    found = []
    if len({_code(run) for run in runs} - {_UNKNOWN}) > 1:
        found.append("The runs were made by different versions of the code.")
    if any(mapping(run.run_json.get("git")).get("dirty") for run in runs):
        found.append("Some runs were made with uncommitted changes; each has them in its code.diff.")
    if len({_machine(run) for run in runs} - {""}) > 1:
        found.append("The runs were made on different machines: their speeds do not compare.")
    shared = {run.together for run in runs}
    if shared != {1}:
        each = "; configurations differ in how many, so their speeds do not compare" if len(shared) > 1 else ""
        found.append(f"Seeds that trained together shared one process: the speed of each is its part of it{each}.")
    few = [item.label for item in comparison.configurations if item.seeds < MIN_SEEDS]
    if few:
        where = "" if len(few) == len(comparison.configurations) else f" of {_listed(few)}"
        found.append(f"Fewer than {MIN_SEEDS} seeds{where}: no interval over seeds, and a difference may be chance.")
    twice = [item.label for item in comparison.configurations if item.seeds < len(item.runs)]
    if twice:
        found.append(f"The same seed ran more than once in {_listed(twice)}: such runs are not independent.")
    partial = [item for item in outcomes if 0 < len(item.counted) < len(item.configuration.runs)]
    if partial:
        number = sum(len(item.configuration.runs) - len(item.counted) for item in partial)
        found.append(f"{number} run{'s' * (number > 1)} not finished and left out of the means; see the troubles below.")
    unfinished = [item.configuration.label for item in outcomes if not item.statuses["finished"] and item.counted]
    if unfinished:
        found.append(f"No run of {_listed(unfinished)} has finished: its means are over what there is so far.")
    return found


def _answers(runs: Sequence[Run], texts: Iterable[str]) -> tuple[str, ...]:
    counted = Counter(text for text in texts if text)
    several = len(counted) > 1
    answers = [f"{text} ({number} of {len(runs)} runs)" if several else text for text, number in counted.most_common()]
    more = len(answers) - _SHOWN
    return (*answers[:_SHOWN], f"and {more} more: see runs.csv") if more > 0 else tuple(answers)


def _code(run: Run) -> str:
    git = mapping(run.run_json.get("git"))
    if not git.get("commit"):
        return _UNKNOWN
    return f"commit {str(git['commit'])[:12]}" + (" with uncommitted changes" if git.get("dirty") else "")


def _machine(run: Run) -> str:
    machine = {key: value for key, value in mapping(run.run_json.get("machine")).items() if key != "host"}
    host = _text(run.run_json.get("host") or mapping(run.run_json.get("machine")).get("host"))
    return ", ".join(text for text in (host, _pairs(machine)) if text)


def _pairs(value: object) -> str:
    return ", ".join(f"{key} {_text(item)}" for key, item in mapping(value).items() if item is not None)


def _dates(runs: Sequence[Run]) -> tuple[str, ...]:
    timings = [mapping(run.run_json.get("timings")) for run in runs]
    starts = sorted(filter(None, (_date(timing.get("started") or timing.get("created")) for timing in timings)))
    ends = sorted(filter(None, (_date(timing.get("ended")) for timing in timings)))
    if not starts:
        return ()
    return (f"{starts[0]} to {ends[-1]}" if ends else f"since {starts[0]}",)


def _date(value: object) -> str:
    try:
        return datetime.fromisoformat(str(value)).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return ""


def _resumed(runs: Sequence[Run]) -> tuple[str, ...]:
    sessions = [run.run_json.get("sessions") for run in runs]
    number = sum(isinstance(item, list) and len(item) > 1 for item in sessions)
    return (f"{number} of {len(runs)} runs went on from a checkpoint",) if number else ()


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"


def _text(value: object) -> str:
    return "" if value is None else str(value)
