"""Where the runs come from, and what makes their comparison less sound than it looks."""

from collections import Counter
from collections.abc import Callable, Sequence

from a3c_exp.report.aggregate import Comparison
from a3c_exp.report.run_reader import RunData
from a3c_exp.runs.tolerant_io import date, items_as_text, mapping, relative_to_cwd
from a3c_exp.stats.estimates import MIN_SEEDS

Origin = tuple[str, tuple[str, ...]]  # what, and the different answers with how many runs gave each
_MAX_SHOWN = 12
_HARMLESS_CHANGES = ("max_episodes ", "max_env_steps ", "max_updates ", "checkpoint.", "metrics.", "logger.", "tags ")


def origins(comparison: Comparison) -> list[Origin]:
    """Command, code, versions, machine and dates of all runs; several answers where they differ."""
    runs = comparison.runs
    resumed = sum(isinstance(sessions := run.run_json.get("sessions"), list) and len(sessions) > 1 for run in runs)
    found: list[Origin] = [
        ("Directory", (relative_to_cwd(comparison.parent),)),
        ("Command", _distinct_answers(runs, lambda run: str(run.run_json.get("command") or ""))),
        ("Code", _distinct_answers(runs, lambda run: run.code or "not known")),
        ("Versions", _distinct_answers(runs, lambda run: items_as_text(run.run_json.get("versions")))),
        ("Machine", _distinct_answers(runs, lambda run: run.machine)),
        ("Dates", _date_range(runs)),
        ("Resumed", (f"{resumed} of {len(runs)} runs went on from a checkpoint",) if resumed else ()),
        ("Changed by a resume", _distinct_answers(runs, lambda run: "; ".join(run.changes))),
    ]
    return [(what, answers) for what, answers in found if answers]


def comparison_warnings(comparison: Comparison) -> list[str]:
    """One sentence for each reason to doubt the comparison."""
    runs, items = comparison.runs, comparison.configurations
    found = []
    if len({run.code for run in runs} - {""}) > 1:
        found.append("The runs were made by different versions of the code.")
    if any(mapping(run.run_json.get("git")).get("dirty") for run in runs):
        found.append("Some runs were made with uncommitted changes; each has them in its code.diff.")
    if len({run.machine for run in runs} - {""}) > 1:
        found.append("The runs were made on different machines: their speeds do not compare.")
    shared = {run.num_seeds_in_process for run in runs}
    if shared != {1}:
        each = "; configurations differ in how many, so their speeds do not compare" if len(shared) > 1 else ""
        found.append(f"Seeds that trained together shared one process: the speed of each is its part of it{each}.")
    if changed := sum(any(not text.startswith(_HARMLESS_CHANGES) for text in run.changes) for run in runs):
        found.append(f"{changed} of the runs got other values on the way, and stand here under those that they ended with.")
    if few := [item.label for item in items if item.num_seeds < MIN_SEEDS]:
        where = "" if len(few) == len(items) else f" of {_join_names(few)}"
        found.append(f"Fewer than {MIN_SEEDS} seeds{where}: no interval over seeds, and a difference may be chance.")
    if twice := [item.label for item in items if item.num_seeds < len(item.runs)]:
        found.append(f"The same seed ran more than once in {_join_names(twice)}: such runs are not independent.")
    if left_out := sum(len(item.runs) - len(item.averaged_runs) for item in items if item.averaged_runs):
        found.append(f"{left_out} run{'s' * (left_out > 1)} not finished and left out of the means; see what failed below.")
    if unfinished := [item.label for item in items if not item.statuses["finished"] and item.averaged_runs]:
        found.append(f"No run of {_join_names(unfinished)} has finished: its means are over what there is so far.")
    return found


def _distinct_answers(runs: Sequence[RunData], answer: Callable[[RunData], str]) -> tuple[str, ...]:
    counted = Counter(text for run in runs if (text := answer(run)))
    several = len(counted) > 1
    answers = [f"{text} ({number} of {len(runs)} runs)" if several else text for text, number in counted.most_common()]
    more = len(answers) - _MAX_SHOWN
    return (*answers[:_MAX_SHOWN], f"and {more} more: see runs.csv") if more > 0 else tuple(answers)


def _date_range(runs: Sequence[RunData]) -> tuple[str, ...]:
    timings = [mapping(run.run_json.get("timings")) for run in runs]
    start = min(filter(None, (date(timing.get("started") or timing.get("created")) for timing in timings)), default="")
    end = max(date(timing.get("ended")) for timing in timings)
    return (f"{start} to {end}" if end else f"since {start}",) if start else ()


def _join_names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"
