"""``python docs/generate/write_troubles.py`` writes docs/troubles.md from the messages in the source."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from messages import Message, messages

from a3c_exp.config.other_names import OTHER_NAMES, OTHER_WAYS
from a3c_exp.system import errors

PAGE = Path(__file__).parents[1] / "troubles.md"
_HEAD = """\
# When something goes wrong

Written by `python docs/generate/write_troubles.py` from the messages themselves.

A message is one line: what was got, what is allowed, what to type instead. Nothing is started or
written before a command is checked, and a run that ends early says why in `run.json` (`reason`) and
in `messages.log`. What happens to processes, disks and signals is on the pages of
[hogwild](hogwild.md#when-something-goes-wrong), [sweeps](sweeps.md) and [tuning](tuning.md#failures).

| exit code | what it means | what to do |
|---|---|---|
| 0 | all that was asked for was done | |
| 1 | a run or a trial failed | read the last lines, or `reason` in `run.json`; `resume=RUN_DIR` goes on from a checkpoint |
| 2 | the command was wrong; nothing was started | type what the line says |
| 130, 143 | it was stopped by Ctrl-C or SIGTERM, with a checkpoint | `resume=RUN_DIR` |
| 141 | what reads the output, such as `head`, had enough | |

Below, `<name>` stands for a value.
"""
_TITLES = {
    "ConfigError": "The command or the configuration",
    "RunDirectoryError": "Run directories and checkpoints",
    "StillRunning": "Runs that have a process",
    "SlurmError": "Slurm",
    "HubError": "The Hugging Face hub",
    "EnvInterfaceError": "Environments",
    "NonFiniteError": "Numbers that are not finite",
    "WorkerError": "Processes",
    "LockTimeoutError": "Locks",
    "A3CError": "The machine and Weights & Biases",
}
_ALWAYS = {
    "RunDirectoryError": "`python -m a3c_exp.runs` lists the runs that can be read. A damaged checkpoint is left for the "
    "one before it.",
    "WorkerError": "`messages.log` has the traceback. `resume=RUN_DIR` goes on from the last checkpoint.",
    "LockTimeoutError": "End that process if it hangs, then `resume=RUN_DIR`.",
}
"""What can be done about every error of a class."""
_OFTEN = {
    "input_line": "override",
    "strerror": "reason",
    "parent": "directory",
    "__name__": "type",
    "_MEND": "change the environment, or wrap it",
}
"""What the last part of an expression stands for, where its own name does not say it."""


def page() -> str:
    """The page's text."""
    found = list(messages(_TITLES))
    sections = [_section(name, title, [item for item in found if item.error == name]) for name, title in _TITLES.items()]
    names = [f"| {_code(names.replace(' ', ', '))} | it is called {_code(key)} |" for key, names in OTHER_NAMES.items()]
    names += [f"| {_code(names.replace(' ', ', '))} | {_cell(sentence)} |" for names, sentence in OTHER_WAYS.items()]
    table = ["| elsewhere | here |", "|---|---|", *names]
    return "\n".join([_HEAD, *sections, "## Names that keys have elsewhere", "", *table, ""])


def _section(name: str, title: str, items: Sequence[Message]) -> str:
    meaning = str(getattr(errors, name).__doc__).splitlines()[0]
    rows = dict.fromkeys(f"| {_cell(item.said)} | {_cell(item.advice)} |" for item in items)
    code = getattr(errors, name).exit_code
    later = " (1 once a run has started)" if code == 2 else ""
    what = f"`{name}`, exit code {code}{later}: {meaning} {_ALWAYS.get(name, '')}".replace("``", "`").strip()
    return "\n".join([f"## {title}", "", what, "", "| what is said | what to do |", "|---|---|", *rows, ""])


def _cell(text: str) -> str:
    return _code(" ".join(_named(text).split())) if text else ""


def _code(text: str) -> str:
    """A code span within a table."""
    return f"`{text.replace('`', chr(39))}`".replace("|", "\\|")


def _named(text: str) -> str:
    """``<name>`` in place of each expression in braces."""
    parts, depth, begin = [], 0, 0
    for place, character in enumerate(text):
        if character == "{":
            if depth == 0:
                parts.append(text[begin:place])
                begin = place + 1
            depth += 1
        elif character == "}" and depth:
            depth -= 1
            if depth == 0:
                parts.append(_name(text[begin:place]))
                begin = place + 1
    return "".join([*parts, text[begin:]])


def _name(expression: str) -> str:
    if re.match(r"_target_|kind:", expression):
        return f"{{{_named(expression)}}}"  # braces of the message itself
    if expression.startswith("explain_key("):
        return "Here it is called <key>, or: Did you mean <key>?"
    plain = re.sub(r"'[^']*'|\"[^\"]*\"", "", expression)
    chains = [chain for chain in re.findall(r"[A-Za-z_][\w.]*(?![\w.]*\()", plain) if chain not in _WORDS]
    parts = [part for part in (chains or ["value"])[0].split(".") if part != "self"]
    last = _OFTEN.get(parts[-1], parts[-1])
    return f"<{last.strip('_').lower()}>"


_WORDS: Iterable[str] = ("if", "else", "for", "in", "is", "not", "None", "or", "and")


if __name__ == "__main__":
    PAGE.write_text(page())
