"""README.md and docs/: commands can be typed, links lead somewhere, named tests exist, and the page of keys is complete."""

import importlib
import re
import shlex
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from itertools import zip_longest
from pathlib import Path
from urllib.parse import unquote

import pytest
import write_configuration
import write_troubles
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.types import Override
from messages import messages

from a3c_exp.config import schema
from a3c_exp.config.compose import CONFIG_DIR, compose_jobs, hydra_config, parse_overrides
from a3c_exp.config.existing_runs import ExistingRuns
from a3c_exp.sweep.study.overrides import expand_overrides
from tests.support.command import ROOT
from tests.test_layers import LAYERS

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("[!.]*/README.md")])
IDS = [str(page.relative_to(ROOT)) for page in PAGES]


def commands(page: Path) -> Iterator[list[str]]:
    """The folder and the words of every command in a page's blocks and sentences, without comments; lines that end with a
    backslash are joined."""
    text = re.sub(r"\\\n\s*", " ", page.read_text())
    for block in re.findall(r"(?:^(?: {4}|\t).*\n)+|^```\w*\n.*?^```$", text, re.MULTILINE | re.DOTALL):
        folder = ROOT
        for line in map(str.strip, block.splitlines()):
            if line.startswith("cd "):
                folder = ROOT / line.removeprefix("cd ")
            if line.removeprefix("$ ").startswith("python -m "):
                yield [str(folder), *shlex.split(line.removeprefix("$ "), comments=True)]
    for span in re.findall(r"`(python -m [^`]*)`", text.replace("\n", " ")):
        yield [str(ROOT / "examples" if "--config-dir conf" in span else ROOT), *shlex.split(span)]


TYPED = [(page, words) for page in PAGES for words in commands(page)]
RUNS = {
    (folder, *words[2:]): page
    for page, (folder, *words) in TYPED
    if words[:3] == ["python", "-m", "a3c_exp"] and not any(word.startswith(("resume=", "key=", "<")) for word in words)
}


def test_the_page_of_keys_is_what_conf_and_the_code_say() -> None:
    written = write_configuration.PAGE.read_text()
    assert written == write_configuration.page(), (
        "docs/configuration.md is out of date: python docs/generate/write_configuration.py"
    )


def test_the_page_of_messages_is_what_the_code_says() -> None:
    assert write_troubles.PAGE.read_text() == write_troubles.page(), (
        "docs/troubles.md is out of date: python docs/generate/write_troubles.py"
    )


def test_every_line_of_an_error_ends_with_what_to_type() -> None:
    """What was got and what is allowed come first; tests of each command look at the words themselves."""
    errors = list(messages(["ConfigError", "RunDirectoryError", "WorkerError"]))
    assert len(errors) > 180
    # The caller that reads a checkpoint adds what was taken instead, or what to name.
    errors = [message for message in errors if not re.match(r"the checkpoint \{path|there is no checkpoint", message.said)]
    silent = [f"{message.place}: {message.said}" for message in errors if not message.advice or not message.said]
    assert silent == [], "say what to type instead, such as: Try key=value"
    assert [message.place for message in errors if "\n" in (message.said + message.advice).removesuffix("\n{reply.text}")] == []


def test_no_key_is_missing_on_the_page_of_keys() -> None:
    """The keys of every option, as the program composes it."""
    page, groups = write_configuration.PAGE.read_text(), write_configuration.GROUPS
    options = {group: [path.stem for path in sorted((CONFIG_DIR / group).glob("*.yaml"))] for group in groups}
    assert {path.parent.name for path in CONFIG_DIR.glob("*/*.yaml")} == {*groups, *write_configuration.OVERLAY_GROUPS}
    for row in zip_longest(*options.values()):  # all options in as few compositions as possible
        chosen = [f"{group}={option}" for group, option in zip(options, row, strict=True) if option is not None]
        assert not [choice for choice in chosen if f"### {choice}\n" not in page]
        (job,) = compose_jobs([*chosen, "max_env_steps=1000"], multirun=False)
        keys = schema.keys(job.config)
        leaves = [key for key in keys if key not in groups and not any(other.startswith(f"{key}.") for other in keys)]
        assert not [key for key in leaves if f"| `{key}` |" not in page], chosen


def test_every_meaning_on_the_page_of_keys_reads_alone() -> None:
    """A reader looks up one row, not the row above it."""
    meanings = re.findall(r"^\| `[^|]*\|[^|]*\|[^|]*\| (.*) \|$", write_configuration.PAGE.read_text(), re.MULTILINE)
    assert len(meanings) > 100
    assert not [meaning for meaning in meanings if re.match(r"(and|or|of|in|that|which|the same) ", meaning, re.IGNORECASE)]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text())):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        linked = (page.parent / unquote(file)).resolve() if file else page
        assert linked.is_file(), f"{page.name} links to {target}, which is no file"
        assert not anchor or anchor in anchors(linked), f"{page.name} links to {target}, and {linked.name} has no such heading"


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$|^(?: {4}|\t)[^\n]*$", "", text, flags=re.MULTILINE | re.DOTALL)


@cache
def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub names them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_commands_of_pages_are_found() -> None:
    assert len(RUNS) > 60 and {page for page, _ in TYPED} > {ROOT / "README.md", ROOT / "docs" / "reproducing.md"}


def test_every_run_that_a_page_shows_can_be_composed() -> None:
    """Renamed keys and options do not stay in the docs."""
    groups = {path.name for path in CONFIG_DIR.iterdir() if path.is_dir()}
    by_choices: dict[tuple[str, ...], list[tuple[str, list[str]]]] = defaultdict(list)
    for (folder, _, *words), page in RUNS.items():
        arguments = get_args_parser().parse_intermixed_args(words)
        _, typed = ExistingRuns.from_overrides(arguments.overrides)
        overrides = [one_value(override) for override in parse_overrides(expand_overrides(typed))]
        keys = [override.partition("=")[0] for override in overrides]
        choices = [text for text, key in zip(overrides, keys, strict=True) if "/" in key or key.lstrip("+") in groups]
        search = str(Path(folder) / arguments.config_dir) if arguments.config_dir else ""
        if not search or Path(search).is_dir():  # otherwise a study will create it
            by_choices[(search, *choices)].append((page.name, overrides))
    wrong = []
    # Commands with the same options are composed together; if that fails, one by one.
    for (search, *choices), commands in by_choices.items():
        values = [override for _, overrides in commands for override in overrides if override not in choices]
        if hydra_config([*choices, *values], [search] if search else []) is None:
            wrong += [
                f"{page}: {' '.join(overrides)}"
                for page, overrides in commands
                if hydra_config(overrides, [search][: bool(search)]) is None
            ]
    assert not wrong, "\n".join(wrong)


def one_value(override: Override) -> str:
    """An override that sets the first of a sweep's values, or an end of its interval."""
    if not override.is_sweep_override():
        return override.input_line or ""
    value = next(override.sweep_string_iterator()) if override.is_discrete_sweep() else "1"
    return f"{override.get_key_element()}={value}"


def test_every_other_command_of_a_page_has_the_options_that_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    seen = set()
    for page, (_, *words) in TYPED:
        if words[0] != "python" or not words[2].startswith("a3c_exp."):
            continue
        module, arguments = importlib.import_module(words[2] if words[2].count(".") > 1 else f"{words[2]}.__main__"), words[3:]
        seen.add(words[2])
        options = {option for word in arguments if word.startswith("--") for option in [word.partition("=")[0]]}
        with pytest.raises(SystemExit):
            module.main(
                [*(arguments[:1] if words[2].endswith("runs") and arguments and arguments[0].isalpha() else []), "--help"]
            )
        help_text = capsys.readouterr().out
        assert not [option for option in options if option not in help_text], f"{page.name}: {' '.join(words)}"
    assert seen >= {
        f"a3c_exp.{name}" for name in ("dashboard", "evaluate", "export", "report", "runs", "play", "training.measure_costs")
    }


def test_every_test_that_a_page_links_to_is_in_that_file() -> None:
    guards = [(page, *guard) for page in PAGES for guard in re.findall(r"\[`(test_\w+)`\]\(([^)]+)\)", page.read_text())]
    assert len(guards) > 60
    wrong = [f"{page.name}: {name}" for page, name, file in guards if f"def {name}(" not in (page.parent / file).read_text()]
    assert not wrong, "\n".join(wrong)


def test_no_page_names_a_test_that_is_gone() -> None:
    files = list(ROOT.glob("tests/**/test_*.py"))
    known = {file.stem for file in files} | {
        name for file in files for name in re.findall(r"def (test_\w+)\(", file.read_text())
    }
    named = {(page.name, name) for page in PAGES for name in re.findall(r"\btest_\w+", page.read_text())}
    assert not [f"{page}: {name}" for page, name in named if name not in known]


def test_the_floor_plan_has_every_folder_of_the_package() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    missing = [part for layer in LAYERS for part in layer if not re.search(rf"`{part}(/|\.py)?`", page)]
    assert not missing, f"the floor plan of docs/architecture.md lacks {missing}"


def test_ci_runs_the_checks_that_contributors_are_asked_to_run() -> None:
    checks = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line.startswith("make ")]
    assert checks[:3] == ["make lint", "make test", "make docs"]
    assert [line.split()[1] for line in checks[3:]] == ["browser", "cluster"], "CONTRIBUTING names them"
    assert re.search(r"^check: lint test docs$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert "make check" in (ROOT / "CONTRIBUTING.md").read_text() and "make test" in (ROOT / "README.md").read_text()


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    listed = {line for block in re.findall(r"```{toctree}(.*?)```", index, re.DOTALL) for line in block.split()}
    pages = {str(Path("..", page.relative_to(ROOT)).with_suffix("")) for page in PAGES if page.parent != ROOT / "docs"}
    pages |= {page.stem for page in PAGES if page.parent == ROOT / "docs"} - {"index"}
    assert not pages - listed, "the site shows no link to these pages; add them to docs/index.md"


def test_the_site_is_built_from_the_versions_that_are_pinned() -> None:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["docs"]
    pinned = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert {re.split(r"[<>=]", requirement)[0] for requirement in extra} <= pinned
