"""One run in full, and what tells the configurations of a few apart. No numpy here."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from a3c_exp.runs.config_values import MISSING, as_text
from a3c_exp.runs.discovery import natural_sort_key
from a3c_exp.runs.format_table import Column, Terminal, TextCell, display_width, format_table, shorten_middle
from a3c_exp.runs.listing import STATUS_STYLES, csv_text, format_cell
from a3c_exp.runs.run_summary import RunSummary
from a3c_exp.runs.tolerant_io import mapping, number, printable
from a3c_exp.system.number_format import format_count, format_duration, format_interval, format_number

_SPARKLINE_BARS = "▁▂▃▄▅▆▇█"
_NUM_POINTS = 40
_MAX_LINE_BYTES = 4096  # bytes that hold a line of episodes.jsonl, whatever its numbers
_ABSENT = "(none)"
_RESULT_KEYS = ("evaluation", "best", "moving_average", "episodes", "env_steps", "updates", "wall_time", "steps_per_second")


def run_details(summary: RunSummary, terminal: Terminal) -> str:
    """Everything a person asks about one run: how it ended, what came of it, its configuration, how it was made."""
    status = terminal.paint(summary.status, STATUS_STYLES.get(summary.status, "yellow"))
    reason = str(summary.run_json.get("reason") or "")
    head = f"{terminal.paint(printable(summary.name), 'bold')}  {status}" + (f": {printable(reason)}" if reason else "")
    parts = [f"{head}\n{terminal.paint(str(summary.path), 'dim')}"]
    parts.append(_format_block("results", _result_rows(summary, terminal), terminal))
    typed = {text.lstrip("+~").partition("=")[0] for text in summary.overrides}
    leaves = [(name, text, "bold" if name in typed else "") for name, text in summary.config_items()]
    parts.append(_format_block("configuration" + (" (bold: as typed)" if terminal.color else ""), leaves, terminal))
    parts.append(_format_block("made by", [(name, text, "") for name, text in _origin_rows(summary)], terminal))
    if summary.problems:
        parts.append(_format_block("missing or damaged", [("", text, "yellow") for text in summary.problems], terminal))
    parts.append(_format_block("go on", [("", text, "") for text in _next_steps(summary)], terminal))
    return "\n\n".join(filter(None, parts))


def comparison_tables(summaries: Sequence[RunSummary], terminal: Terminal) -> str:
    """A table of the configuration values in which ``summaries`` differ; then how they were made, and their results."""
    labels = [entry.name for entry in summaries]
    if len(set(labels)) < len(labels):
        labels = [str(entry.path) for entry in summaries]
    rows = [_readable_row(row) for row in config_differences(summaries)]
    origins = [dict(_origin_rows(entry)) for entry in summaries]
    made = [
        (name, *(origin.get(name, _ABSENT) for origin in origins))
        for name in ("code", "versions", "machine")
        if len({origin.get(name) for origin in origins}) > 1
    ]
    results = [
        (key.replace("_", " "), *(format_cell(entry, key, terminal).text for entry in summaries)) for key in _RESULT_KEYS
    ]
    same = f"The configurations of these {len(summaries)} runs are the same."
    parts = [_format_columns("configuration", rows, labels, terminal) if rows else same]
    parts += [_format_columns("made by", made, labels, terminal)] if made else []
    return "\n\n".join([*parts, _format_columns("results", results, labels, terminal)])


def _readable_row(row: tuple[str, ...]) -> tuple[str, ...]:
    """Of classes their names alone, where those tell them apart."""
    name, *values = row
    short = [value.rpartition(".")[2] for value in values]
    return (name.removesuffix("._target_"), *short) if name.endswith("._target_") and len(set(short)) > 1 else row


def comparison_csv(summaries: Sequence[RunSummary]) -> str:
    """The differing configuration values, then the results, as CSV: one column a run."""
    results = [
        [key, *("" if (v := entry.value(key)) is MISSING else as_text(v) for entry in summaries)] for key in _RESULT_KEYS
    ]
    head = ["key", *(str(entry.path) for entry in summaries)]
    return csv_text([head, *config_differences(summaries), *results])


def details_csv(summary: RunSummary) -> str:
    """Everything that ``run_details`` shows, as CSV: keys and values."""
    facts = [("path", str(summary.path)), ("status", summary.status), ("reason", str(summary.run_json.get("reason") or ""))]
    results = [(key, "" if (v := summary.value(key)) is MISSING else as_text(v)) for key in _RESULT_KEYS]
    config = [(f"config.{name}", text) for name, text in summary.config_items()]
    return csv_text([("key", "value"), *facts, *results, *config, *_origin_rows(summary)])


def config_differences(summaries: Sequence[RunSummary]) -> list[tuple[str, ...]]:
    """``(name, value of each)`` of the configuration values that are not the same in all; ``(none)`` where one has none."""
    leaves = [dict(entry.config_items()) for entry in summaries]
    names = sorted({name for one in leaves for name in one}, key=natural_sort_key)
    rows = [(name, *(one.get(name, _ABSENT) for one in leaves)) for name in names]
    rows = [row for row in rows if len(set(row[1:])) > 1]
    # Where the classes differ, what only one of them has is no difference of its own.
    other = {row[0].removesuffix("_target_") for row in rows if row[0].endswith("._target_")}
    return [row for row in rows if _ABSENT not in row or not any(row[0].startswith(group) for group in other)]


def sparkline(path: Path, field: str) -> str:
    """The course of a number over a ``.jsonl`` file as a row of bars, sampled: a file of any length is seen at once."""
    values = []
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            for point in range(_NUM_POINTS):
                file.seek(max(0, (size - _MAX_LINE_BYTES // 8) * point // (_NUM_POINTS - 1)))
                _, *lines = file.read(_MAX_LINE_BYTES).split(b"\n")
                values += [value for value in [_first_value(lines, field)] if value == value]
    except OSError:
        return ""
    low, high = min(values, default=0.0), max(values, default=0.0)
    if not high > low:
        return ""
    return "".join(
        _SPARKLINE_BARS[min(int((value - low) / (high - low) * len(_SPARKLINE_BARS)), len(_SPARKLINE_BARS) - 1)]
        for value in values
    )


def _first_value(lines: Sequence[bytes], field: str) -> float:
    for line in lines:
        try:
            return number(mapping(json.loads(line)).get(field))
        except (ValueError, RecursionError):
            continue
    return number(None)


def _result_rows(summary: RunSummary, terminal: Terminal) -> list[tuple[str, str, str]]:
    rows = []
    for key in ("evaluation", "best"):
        if (value := summary.result(key)) == value:
            low, high = (summary.result(f"{key}_{edge}") for edge in ("low", "high"))
            text = f"{format_number(value, high - low)} {format_interval((low, high))} at {format_count(summary.result(f'{key}_step'))} steps"
            rows.append((f"{'last' if key == 'evaluation' else 'best'} evaluation", text, "bold"))
    if (value := summary.result("moving_average")) == value:
        bars = sparkline(summary.path / "episodes.jsonl", "moving_average") if terminal.unicode else ""
        rows.append(("moving average", f"{format_number(value)}  {bars}".strip(), "bold"))
    counts = [(key, summary.result(key)) for key in ("episodes", "env_steps", "updates")]
    done = ", ".join(f"{format_count(value)} {key.replace('_', ' ')}" for key, value in counts if value == value)
    rows += [("done", done, "")] if done else []
    if (value := summary.result("wall_time")) == value:
        rows.append(
            ("time", f"{format_duration(value)}, {format_count(summary.result('steps_per_second'))} steps a second", "")
        )
    if (value := summary.result("policy_lag")) == value:
        rows.append(
            ("policy lag", f"{format_number(value, 1.0)} updates, at most {format_count(summary.result('policy_lag_max'))}", "")
        )
    return [(name, text.replace("  ", " "), style) for name, text, style in rows]


def _origin_rows(summary: RunSummary) -> list[tuple[str, str]]:
    content = summary.run_json
    git, timings = mapping(content.get("git")), mapping(content.get("timings"))
    sessions = content.get("sessions")
    dirty = ["uncommitted changes"] if git.get("dirty") else []
    found = [
        ("command", str(content.get("command") or "")),
        ("code", " with ".join([f"commit {str(git['commit'])[:12]}", *dirty]) if git.get("commit") else ""),
        ("versions", _format_mapping(content.get("versions"))),
        ("machine", ", ".join(filter(None, (str(content.get("host") or ""), _format_mapping(content.get("machine")))))),
        ("started", str(timings.get("started") or timings.get("created") or "")),
        ("ended", str(timings.get("ended") or "")),
        ("sessions", f"{len(sessions)}, the others ended early" if isinstance(sessions, list) and len(sessions) > 1 else ""),
        ("wandb", _wandb_folders(summary.path)),
    ]
    return [(name, printable(text)) for name, text in found if text]


def _format_mapping(value: object) -> str:
    return ", ".join(f"{key} {item}" for key, item in mapping(value).items() if item is not None)


def _wandb_folders(path: Path) -> str:
    """What W&B keeps of the run on this machine."""
    kept = sorted(item.name for folder in (path, path.parent) for item in (folder / "wandb").glob("*run-*") if item.is_dir())
    return ", ".join(kept[:3])


def _next_steps(summary: RunSummary) -> list[str]:
    path = shlex.quote(str(summary.path))
    steps = [f"python -m a3c_exp.evaluate {path} --episodes 100", f"python -m a3c_exp.report {path}"]
    if summary.status in ("interrupted", "failed", "killed"):
        whole = (
            summary.path.parent if (summary.path.parent / "run.json").is_file() else summary.path
        )  # of seeds that train together
        steps.insert(0, f"python -m a3c_exp {shlex.quote(f'resume={whole}')}")
    return steps


def _format_block(title: str, rows: Sequence[tuple[str, str, str]], terminal: Terminal) -> str:
    if not rows:
        return ""
    left = max(display_width(name) for name, _, _ in rows)
    lines = []
    for name, text, style in rows:
        room = terminal.width - left - 4 if terminal.width else 0
        shown = shorten_middle(printable(text), room) if room > 8 and title != "go on" else printable(text)
        gap = " " * (left - display_width(name) + (2 if left else 0))
        lines.append(f"  {terminal.paint(name, 'dim')}{gap}{terminal.paint(shown, style)}")
    return "\n".join([terminal.paint(title, "cyan"), *lines])


def _format_columns(title: str, rows: Sequence[tuple[str, ...]], labels: Sequence[str], terminal: Terminal) -> str:
    """A column a run; one below the other where the terminal is too narrow for that."""
    widths = [max(display_width(printable(row[i])) for row in [(title, *labels), *rows]) for i in range(len(labels) + 1)]
    if not terminal.width or sum(widths) + 2 * len(labels) <= terminal.width:
        columns = [Column(title), *(Column(label) for label in labels)]
        return format_table(
            columns,
            [[TextCell(row[0]), *(TextCell(text, "bold") for text in row[1:])] for row in rows],
            Terminal(0, terminal.color),
        )
    left = max(map(display_width, labels))
    lines = [terminal.paint(title, "cyan")]
    for name, *values in rows:
        lines.append(f"  {name}")
        for label, value in zip(labels, values, strict=True):
            space = " " * (min(left, 40) - min(display_width(label), 40) + 2)
            lines.append(
                f"    {terminal.paint(shorten_middle(label, 40), 'dim')}{space}{terminal.paint(printable(value), 'bold')}"
            )
    return "\n".join(lines)
