"""One run in full, and what tells the configurations of a few apart. No numpy here."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from a3c_exp.runs.config_values import MISSING, as_text
from a3c_exp.runs.discovery import natural
from a3c_exp.runs.format_table import Column, Terminal, Word, sheet, shortened, wide
from a3c_exp.runs.listing import STATUS_STYLES, cell, csv_text
from a3c_exp.runs.run_summary import Entry
from a3c_exp.runs.tolerant_io import mapping, number, printable
from a3c_exp.system.number_format import MINUS, NONE, bracketed, count, duration, rounded

_BARS = "▁▂▃▄▅▆▇█"
_POINTS = 40
_LINE = 4096  # bytes that hold a line of episodes.jsonl, whatever its numbers
_ABSENT = "(none)"
_RESULTS = ("evaluation", "best", "moving_average", "episodes", "env_steps", "updates", "wall_time", "steps_per_second")


def show(entry: Entry, terminal: Terminal) -> str:
    """Everything a person asks about one run: how it ended, what came of it, its configuration, how it was made."""
    status = terminal.paint(entry.status, STATUS_STYLES.get(entry.status, "yellow"))
    reason = str(entry.run_json.get("reason") or "")
    head = f"{terminal.paint(printable(entry.name), 'bold')}  {status}" + (f": {printable(reason)}" if reason else "")
    parts = [f"{head}\n{terminal.paint(str(entry.path), 'dim')}"]
    parts.append(_block("results", _results(entry, terminal), terminal))
    typed = {text.lstrip("+~").partition("=")[0] for text in entry.overrides}
    leaves = [(name, text, "bold" if name in typed else "") for name, text in entry.leaves()]
    parts.append(_block("configuration" + (" (bold: as typed)" if terminal.colour else ""), leaves, terminal))
    parts.append(_block("made by", [(name, text, "") for name, text in _origin(entry)], terminal))
    if entry.problems:
        parts.append(_block("missing or damaged", [("", text, "yellow") for text in entry.problems], terminal))
    parts.append(_block("go on", [("", text, "") for text in _next_steps(entry)], terminal))
    return "\n\n".join(filter(None, parts))


def compare(entries: Sequence[Entry], terminal: Terminal) -> str:
    """A table of the configuration values in which ``entries`` differ; then how they were made, and their results."""
    labels = [entry.name for entry in entries]
    if len(set(labels)) < len(labels):
        labels = [str(entry.path) for entry in entries]
    rows = [_readable(row) for row in differences(entries)]
    origins = [dict(_origin(entry)) for entry in entries]
    made = [
        (name, *(origin.get(name, _ABSENT) for origin in origins))
        for name in ("code", "versions", "machine")
        if len({origin.get(name) for origin in origins}) > 1
    ]
    results = [(key.replace("_", " "), *(cell(entry, key, terminal).text for entry in entries)) for key in _RESULTS]
    same = f"The configurations of these {len(entries)} runs are the same."
    parts = [_columns("configuration", rows, labels, terminal) if rows else same]
    parts += [_columns("made by", made, labels, terminal)] if made else []
    return "\n\n".join([*parts, _columns("results", results, labels, terminal)])


def _readable(row: tuple[str, ...]) -> tuple[str, ...]:
    """Of classes their names alone, where those tell them apart."""
    name, *values = row
    short = [value.rpartition(".")[2] for value in values]
    return (name.removesuffix("._target_"), *short) if name.endswith("._target_") and len(set(short)) > 1 else row


def compare_csv(entries: Sequence[Entry]) -> str:
    """The differing configuration values, then the results, as CSV: one column a run."""
    results = [[key, *("" if (v := entry.value(key)) is MISSING else as_text(v) for entry in entries)] for key in _RESULTS]
    head = ["key", *(str(entry.path) for entry in entries)]
    return csv_text([head, *differences(entries), *results])


def show_csv(entry: Entry) -> str:
    """Everything that ``show`` shows, as CSV: keys and values."""
    facts = [("path", str(entry.path)), ("status", entry.status), ("reason", str(entry.run_json.get("reason") or ""))]
    results = [(key, "" if (v := entry.value(key)) is MISSING else as_text(v)) for key in _RESULTS]
    config = [(f"config.{name}", text) for name, text in entry.leaves()]
    return csv_text([("key", "value"), *facts, *results, *config, *_origin(entry)])


def differences(entries: Sequence[Entry]) -> list[tuple[str, ...]]:
    """``(name, value of each)`` of the configuration values that are not the same in all; ``(none)`` where one has none."""
    leaves = [dict(entry.leaves()) for entry in entries]
    names = sorted({name for one in leaves for name in one}, key=natural)
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
            for point in range(_POINTS):
                file.seek(max(0, (size - _LINE // 8) * point // (_POINTS - 1)))
                _, *lines = file.read(_LINE).split(b"\n")
                values += [value for value in [_value(lines, field)] if value == value]
    except OSError:
        return ""
    low, high = min(values, default=0.0), max(values, default=0.0)
    if not high > low:
        return ""
    return "".join(_BARS[min(int((value - low) / (high - low) * len(_BARS)), len(_BARS) - 1)] for value in values)


def _value(lines: Sequence[bytes], field: str) -> float:
    for line in lines:
        try:
            return number(mapping(json.loads(line)).get(field))
        except (ValueError, RecursionError):
            continue
    return number(None)


def _results(entry: Entry, terminal: Terminal) -> list[tuple[str, str, str]]:
    rows = []
    for key in ("evaluation", "best"):
        if (value := entry.result(key)) == value:
            low, high = (entry.result(f"{key}_{edge}") for edge in ("low", "high"))
            text = f"{rounded(value, high - low)} {bracketed((low, high))} at {count(entry.result(f'{key}_step'))} steps"
            rows.append((f"{'last' if key == 'evaluation' else 'best'} evaluation", text, "bold"))
    if (value := entry.result("moving_average")) == value:
        bars = sparkline(entry.path / "episodes.jsonl", "moving_average") if terminal.signs else ""
        rows.append(("moving average", f"{rounded(value)}  {bars}".strip(), "bold"))
    counts = [(key, entry.result(key)) for key in ("episodes", "env_steps", "updates")]
    done = ", ".join(f"{count(value)} {key.replace('_', ' ')}" for key, value in counts if value == value)
    rows += [("done", done, "")] if done else []
    if (value := entry.result("wall_time")) == value:
        rows.append(("time", f"{duration(value)}, {count(entry.result('steps_per_second'))} steps a second", ""))
    if (value := entry.result("policy_lag")) == value:
        rows.append(("policy lag", f"{rounded(value, 1.0)} updates, at most {count(entry.result('policy_lag_max'))}", ""))
    return [(name, text.replace(MINUS, "-").replace(NONE, "-").replace("  ", " "), style) for name, text, style in rows]


def _origin(entry: Entry) -> list[tuple[str, str]]:
    content = entry.run_json
    git, timings = mapping(content.get("git")), mapping(content.get("timings"))
    sessions = content.get("sessions")
    dirty = ["uncommitted changes"] if git.get("dirty") else []
    found = [
        ("command", str(content.get("command") or "")),
        ("code", " with ".join([f"commit {str(git['commit'])[:12]}", *dirty]) if git.get("commit") else ""),
        ("versions", _pairs(content.get("versions"))),
        ("machine", ", ".join(filter(None, (str(content.get("host") or ""), _pairs(content.get("machine")))))),
        ("started", str(timings.get("started") or timings.get("created") or "")),
        ("ended", str(timings.get("ended") or "")),
        ("sessions", f"{len(sessions)}, the others ended early" if isinstance(sessions, list) and len(sessions) > 1 else ""),
        ("wandb", _wandb(entry.path)),
    ]
    return [(name, printable(text)) for name, text in found if text]


def _pairs(value: object) -> str:
    return ", ".join(f"{key} {item}" for key, item in mapping(value).items() if item is not None)


def _wandb(path: Path) -> str:
    """What W&B keeps of the run on this machine."""
    kept = sorted(item.name for folder in (path, path.parent) for item in (folder / "wandb").glob("*run-*") if item.is_dir())
    return ", ".join(kept[:3])


def _next_steps(entry: Entry) -> list[str]:
    path = shlex.quote(str(entry.path))
    steps = [f"python -m a3c_exp.evaluate {path} --episodes 100", f"python -m a3c_exp.report {path}"]
    if entry.status in ("interrupted", "failed", "killed"):
        whole = entry.path.parent if (entry.path.parent / "run.json").is_file() else entry.path  # of seeds that train together
        steps.insert(0, f"python -m a3c_exp {shlex.quote(f'resume={whole}')}")
    return steps


def _block(title: str, rows: Sequence[tuple[str, str, str]], terminal: Terminal) -> str:
    if not rows:
        return ""
    left = max(wide(name) for name, _, _ in rows)
    lines = []
    for name, text, style in rows:
        room = terminal.width - left - 4 if terminal.width else 0
        shown = shortened(printable(text), room) if room > 8 and title != "go on" else printable(text)
        gap = " " * (left - wide(name) + (2 if left else 0))
        lines.append(f"  {terminal.paint(name, 'dim')}{gap}{terminal.paint(shown, style)}")
    return "\n".join([terminal.paint(title, "cyan"), *lines])


def _columns(title: str, rows: Sequence[tuple[str, ...]], labels: Sequence[str], terminal: Terminal) -> str:
    """A column a run; one below the other where the terminal is too narrow for that."""
    widths = [max(wide(printable(row[i])) for row in [(title, *labels), *rows]) for i in range(len(labels) + 1)]
    if not terminal.width or sum(widths) + 2 * len(labels) <= terminal.width:
        columns = [Column(title), *(Column(label) for label in labels)]
        return sheet(
            columns, [[Word(row[0]), *(Word(text, "bold") for text in row[1:])] for row in rows], Terminal(0, terminal.colour)
        )
    left = max(map(wide, labels))
    lines = [terminal.paint(title, "cyan")]
    for name, *values in rows:
        lines.append(f"  {name}")
        for label, value in zip(labels, values, strict=True):
            space = " " * (min(left, 40) - min(wide(label), 40) + 2)
            lines.append(f"    {terminal.paint(shortened(label, 40), 'dim')}{space}{terminal.paint(printable(value), 'bold')}")
    return "\n".join(lines)
