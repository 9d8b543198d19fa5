"""One run in full, and the differences between a few."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from a3c_exp.runs.config_values import MISSING, as_text
from a3c_exp.runs.format_table import Column, Terminal, TextCell, display_width, format_table, shorten_middle
from a3c_exp.runs.listing import STATUS_STYLES, csv_text, differing_keys, format_cell
from a3c_exp.runs.run_directories import wandb_folders
from a3c_exp.runs.run_summary import RunSummary
from a3c_exp.runs.tolerant_io import items_as_text, mapping, number, parse_object, printable
from a3c_exp.system.number_format import format_count, format_duration, format_interval, format_number

_SPARKLINE_BARS = "▁▂▃▄▅▆▇█"
_NUM_POINTS = 40
_MAX_LINE_BYTES = 4096  # more than a line of episodes.jsonl can have
_ABSENT = "(none)"
_NEXT_STEPS = "go on"
_RESULT_KEYS = ("evaluation", "best", "moving_average", "episodes", "env_steps", "updates", "wall_time", "steps_per_second")


def run_details(summary: RunSummary, terminal: Terminal) -> str:
    """One run in full: how it ended, its results, its configuration, and how it was made."""
    status = terminal.paint(summary.status, STATUS_STYLES.get(summary.status, "yellow"))
    reason = str(summary.run_json.get("reason") or "")
    head = f"{terminal.paint(printable(summary.name), 'bold')}  {status}" + (f": {printable(reason)}" if reason else "")
    typed = {text.lstrip("+~").partition("=")[0] for text in summary.overrides}
    values = [(name, text, "bold" if name in typed else "") for name, text in summary.config_items()]
    blocks = {
        "results": result_rows(summary, terminal),
        "configuration (bold: as typed)" if terminal.color else "configuration": values,
        "made by": [(name, text, "") for name, text in [*origin_rows(summary), *_wandb_rows(summary)]],
        "missing or damaged": [("", text, "yellow") for text in summary.problems],
        _NEXT_STEPS: [("", text, "") for text in next_steps(summary)],
    }
    parts = [_format_block(title, rows, terminal) for title, rows in blocks.items() if rows]
    return "\n\n".join([f"{head}\n{terminal.paint(str(summary.path), 'dim')}", *parts])


def comparison_tables(runs: Sequence[RunSummary], terminal: Terminal) -> str:
    """Tables of the configuration values in which ``runs`` differ, of how they were made, and of their results."""
    labels = [run.name for run in runs]
    if len(set(labels)) < len(labels):
        labels = [str(run.path) for run in runs]
    rows = [_readable_row(row) for row in config_differences(runs)]
    origins = [dict(origin_rows(run)) for run in runs]
    table = [(name, *(origin.get(name, _ABSENT) for origin in origins)) for name in ("code", "versions", "machine")]
    made = [row for row in table if len(set(row[1:])) > 1]
    results = [(key.replace("_", " "), *(format_cell(run, key, terminal).text for run in runs)) for key in _RESULT_KEYS]
    same = f"The configurations of these {len(runs)} runs are the same."
    parts = [_format_columns("configuration", rows, labels, terminal) if rows else same]
    parts += [_format_columns("made by", made, labels, terminal)] if made else []
    return "\n\n".join([*parts, _format_columns("results", results, labels, terminal)])


def _readable_row(row: tuple[str, ...]) -> tuple[str, ...]:
    """Classes without their modules, where the names differ."""
    name, *values = row
    short = [value.rpartition(".")[2] for value in values]
    return (name.removesuffix("._target_"), *short) if name.endswith("._target_") and len(set(short)) > 1 else row


def comparison_csv(runs: Sequence[RunSummary]) -> str:
    """The differing configuration values, then the results, as CSV: one column a run."""
    head = ("key", *(str(run.path) for run in runs))
    return csv_text([head, *config_differences(runs), *_csv_results(runs)])


def details_csv(summary: RunSummary) -> str:
    """Everything that ``run_details`` shows, as CSV: keys and values."""
    metadata = [("path", str(summary.path)), ("status", summary.status), ("reason", str(summary.run_json.get("reason") or ""))]
    config = [(f"config.{name}", text) for name, text in summary.config_items()]
    return csv_text(
        [("key", "value"), *metadata, *_csv_results([summary]), *config, *origin_rows(summary), *_wandb_rows(summary)]
    )


def _csv_results(runs: Sequence[RunSummary]) -> list[list[str]]:
    return [[key, *("" if (v := run.value(key)) is MISSING else as_text(v) for run in runs)] for key in _RESULT_KEYS]


def config_differences(runs: Sequence[RunSummary]) -> list[tuple[str, ...]]:
    """``(name, value of each)`` of the configuration values that differ; ``(none)`` where a run has none."""
    configs = [dict(run.config_items()) for run in runs]
    rows = [(name, *(config.get(name, _ABSENT) for config in configs)) for name in differing_keys(configs)]
    # Where the classes differ, an argument that only one of them has is no further difference.
    other = {row[0].removesuffix("_target_") for row in rows if row[0].endswith("._target_")}
    return [row for row in rows if _ABSENT not in row or not row[0].startswith(tuple(other))]


def sparkline(path: Path, field: str) -> str:
    """A number of a ``.jsonl`` file over time as a row of bars; sampled, so that a long file takes no longer."""
    values = []
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            for point in range(_NUM_POINTS):
                file.seek(max(0, (size - _MAX_LINE_BYTES // 8) * point // (_NUM_POINTS - 1)))
                _, *lines = file.read(_MAX_LINE_BYTES).split(b"\n")
                value = number(next(filter(None, map(parse_object, lines)), {}).get(field))
                values += [value] if value == value else []
    except OSError:
        return ""
    low, high = min(values, default=0.0), max(values, default=0.0)
    if not high > low:
        return ""
    levels = len(_SPARKLINE_BARS)
    return "".join(_SPARKLINE_BARS[min(int((value - low) / (high - low) * levels), levels - 1)] for value in values)


def result_rows(summary: RunSummary, terminal: Terminal) -> list[tuple[str, str, str]]:
    """``(name, text, style)`` of what the run has come to so far."""
    rows = []
    for key in ("evaluation", "best"):
        if (value := summary.result(key)) == value:
            low, high = summary.interval(key)
            step = format_count(summary.result(f"{key}_step"))
            text = f"{format_number(value, high - low)} {format_interval((low, high))} at {step} steps"
            rows.append((f"{'last' if key == 'evaluation' else 'best'} evaluation", text, "bold"))
    if (value := summary.result("moving_average")) == value:
        bars = sparkline(summary.path / "episodes.jsonl", "moving_average") if terminal.unicode else ""
        rows.append(("moving average", f"{format_number(value)}  {bars}".strip(), "bold"))
    counts = [(key, summary.result(key)) for key in ("episodes", "env_steps", "updates")]
    trained = ", ".join(f"{format_count(value)} {key.replace('_', ' ')}" for key, value in counts if value == value)
    rows += [("trained", trained, "")] if trained else []
    if (value := summary.result("wall_time")) == value:
        speed = format_count(summary.result("steps_per_second"))
        rows.append(("time", f"{format_duration(value)}, {speed} steps/s", ""))
    if (value := summary.result("policy_lag")) == value:
        highest = format_count(summary.result("policy_lag_max"))
        rows.append(("policy lag", f"{format_number(value, 1.0)} updates, at most {highest}", ""))
    return [(name, text.replace("  ", " "), style) for name, text, style in rows]


def origin_rows(summary: RunSummary) -> list[tuple[str, str]]:
    """``(name, text)`` of what made the run, from its own files."""
    content = summary.run_json
    timings, sessions = mapping(content.get("timings")), content.get("sessions")
    rows = [
        ("command", str(content.get("command") or "")),
        ("code", summary.code),
        ("versions", items_as_text(content.get("versions"))),
        ("machine", summary.machine),
        ("started", str(timings.get("started") or timings.get("created") or "")),
        ("ended", str(timings.get("ended") or "")),
        ("sessions", f"{len(sessions)}, the others ended early" if isinstance(sessions, list) and len(sessions) > 1 else ""),
        ("changed", "; ".join(summary.changes)),
    ]
    return [(name, printable(text)) for name, text in rows if text]


def _wandb_rows(summary: RunSummary) -> list[tuple[str, str]]:
    names = sorted(folder.name for folder in wandb_folders(summary.path, "*run-*") if folder.is_dir())
    return [("wandb", printable(", ".join(names[:3])))] if names else []


def next_steps(summary: RunSummary) -> list[str]:
    """The commands that a person may want next: to resume a run that has not finished, to evaluate it, to make a report."""
    path = shlex.quote(str(summary.path))
    steps = [f"python -m a3c_exp.evaluate {path} --episodes 100", f"python -m a3c_exp.report {path}"]
    if summary.status in ("interrupted", "failed", "killed"):
        is_seed = (summary.path.parent / "run.json").is_file()  # of a run with num_seeds
        resumed = summary.path.parent if is_seed else summary.path
        steps.insert(0, f"python -m a3c_exp {shlex.quote(f'resume={resumed}')}")
    return steps


def _format_block(title: str, rows: Sequence[tuple[str, str, str]], terminal: Terminal) -> str:
    left = max(display_width(name) for name, _, _ in rows)
    lines = []
    for name, text, style in rows:
        room = terminal.width - left - 4 if terminal.width else 0
        shown = shorten_middle(printable(text), room) if room > 8 and title != _NEXT_STEPS else printable(text)
        gap = " " * (left - display_width(name) + (2 if left else 0))
        lines.append(f"  {terminal.paint(name, 'dim')}{gap}{terminal.paint(shown, style)}")
    return "\n".join([terminal.paint(title, "cyan"), *lines])


def _format_columns(title: str, rows: Sequence[tuple[str, ...]], labels: Sequence[str], terminal: Terminal) -> str:
    """A column for each run; where the terminal is too narrow for that, a line for each."""
    widths = [max(display_width(printable(row[i])) for row in [(title, *labels), *rows]) for i in range(len(labels) + 1)]
    if not terminal.width or sum(widths) + 2 * len(labels) <= terminal.width:
        cells = [[TextCell(row[0]), *(TextCell(text, "bold") for text in row[1:])] for row in rows]
        return format_table([*map(Column, (title, *labels))], cells, Terminal(0, terminal.color))
    left = max(map(display_width, labels))
    lines = [terminal.paint(title, "cyan")]
    for name, *values in rows:
        lines.append(f"  {name}")
        for label, value in zip(labels, values, strict=True):
            space = " " * (min(left, 40) - min(display_width(label), 40) + 2)
            label_text = terminal.paint(shorten_middle(label, 40), "dim")
            lines.append(f"    {label_text}{space}{terminal.paint(printable(value), 'bold')}")
    return "\n".join(lines)
