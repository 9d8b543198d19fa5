"""Puts measured tables between the markers of README.md."""

from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def fill(text: str, results: str) -> str:
    """``text`` with ``results`` in place of the text between the markers.

    >>> fill(f"a {BEGIN} old {END} z", "new") == f"a {BEGIN}\\n\\nnew\\n\\n{END} z"
    True
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise SystemExit(f"README.md needs one {BEGIN} followed by one {END} where the results belong")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{results.strip()}\n\n{END}{rest.split(END)[1]}"


def check_markers() -> None:
    """Fail before measuring if README.md has no place for the results."""
    fill(README.read_text() if README.exists() else "", "")


def write(folder: Path, benchmarks: list[str], readme: Path = README) -> None:
    """Write the Markdown of every benchmark that has a file in ``folder``, in order."""
    sections = [file.read_text() for name in benchmarks if (file := folder / f"{name}.md").exists()]
    readme.write_text(fill(readme.read_text(), "\n".join(sections)))
