"""Puts measured tables between the markers of README.md and of pages of docs/."""

from collections.abc import Sequence
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def fill(text: str, results: str, name: str = "results") -> str:
    """``text`` with ``results`` in place of the text between the markers of this name.

    >>> fill(f"a {BEGIN} old {END} z", "new") == f"a {BEGIN}\\n\\nnew\\n\\n{END} z"
    True
    """
    begin, end = BEGIN.replace("results", name), END.replace("results", name)
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise SystemExit(f"the page needs one {begin} followed by one {end} where the results belong")
    before, rest = text.split(begin)
    return f"{before}{begin}\n\n{results.strip()}\n\n{end}{rest.split(end)[1]}"


def check_markers(page: Path = README, name: str = "results") -> None:
    """Fail before measuring if the page has no place for the results."""
    fill(page.read_text() if page.exists() else "", "", name)


def write(folder: Path, benchmarks: Sequence[str], page: Path = README, name: str = "results") -> None:
    """Write the Markdown of every benchmark that has a file in ``folder``, in order."""
    sections = [file.read_text() for benchmark in benchmarks if (file := folder / f"{benchmark}.md").exists()]
    page.write_text(fill(page.read_text(), "\n".join(sections), name))
