"""Whatever stands on a command line or in a configuration file composes, or is refused in lines that a person can read."""

import string
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given, strategies as st

from a3c_exp.config import schema
from a3c_exp.config.compose import CONFIG_DIR, compose_jobs
from a3c_exp.system.errors import ConfigError
from tests.fuzz.conftest import fuzzed

(DEFAULT,) = compose_jobs(["logger=none"], multirun=False)
KEYS = [*schema.keys(DEFAULT.config), "env", "model", "optimizer", "parallelism", "logger", "experiment", "hydra.run.dir"]
ODD = (
    "", "null", "~", "auto", "nan", "inf", "-1", "1e3", "0x10", "1_000", "true", "[", "[1,2]", "{a: 1}", "{", "'", '"', "a b",
    "a:b", "größe", "%", "@", "$", "${seed}", "${nothing}", "${oc.env:NOT_THERE}", "${now:%Y}", "${", "\\", "1,2", "range(3)",
    "choice(1,2)", "interval(0,1)", "glob(*)", "shuffle(1,2)", "tag(a,1)", "int(3)", "str(1)", "\t", "\u2028", "None", "-", "=",
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(ODD),
    st.integers(-3, 40).map(str),
    st.integers().map(str),
    st.floats().map(repr),
    st.lists(st.integers(-2, 300), max_size=3).map(str),
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8),
)
NAMES = st.one_of(
    st.sampled_from(KEYS),
    st.sampled_from(KEYS).map(lambda key: key.swapcase()),
    st.sampled_from(KEYS).map(lambda key: key[:-1]),
    st.text(string.ascii_letters + "._@/-", min_size=1, max_size=12),
)
OVERRIDES = st.builds(
    lambda prefix, name, equals, value: f"{prefix}{name}{equals}{value}",
    st.sampled_from(["", "", "", "", "+", "++", "~"]), NAMES, st.sampled_from(["=", "=", "=", "=", "", ":", "=="]), VALUES,
)  # fmt: skip
FILES = {path.stem: path.read_text() for path in sorted((CONFIG_DIR / "experiment").glob("*.yaml"))}


def composes_or_is_refused(overrides: Sequence[str], multirun: bool = False, config_dirs: Sequence[str] = ()) -> str | None:
    """What was said; anything but a ConfigError is the test's failure."""
    try:
        compose_jobs(overrides, multirun, config_dirs)
    except ConfigError as error:
        said = str(error)
        assert said.strip() and "Traceback" not in said and "object at 0x" not in said
        assert all(line.strip() for line in said.splitlines()), said
        assert len(said) < 3000, said
        return said
    return None


@fuzzed(share=40, weight=0.45)
@example(["+@="], False)
@given(st.lists(OVERRIDES, min_size=1, max_size=3), st.booleans())
def test_what_is_typed_composes_or_is_refused_in_words(overrides: list[str], multirun: bool) -> None:
    composes_or_is_refused(overrides, multirun)


@st.composite
def edited_files(draw: st.DrawFn) -> str:
    """An experiment of ours with a few slips of the keyboard."""
    text = draw(st.sampled_from(sorted(FILES.values())))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        cut = draw(st.integers(0, 6))
        text = (
            text[:at]
            + draw(VALUES | st.sampled_from(["\n", "  ", ":", "- ", "#", "\t", "!!python/object:os.system"]))
            + text[at + cut :]
        )
    return text


@fuzzed(share=20, weight=0.3)
@given(
    edited_files() | st.text(st.characters(codec="utf-8"), max_size=60),
    st.sampled_from(["utf-8", "utf-8", "latin-1", "utf-16"]),
)
def test_what_is_written_composes_or_is_refused_in_words(text: str, encoding: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "experiment", "mine.yaml")
        path.parent.mkdir()
        path.write_bytes(text.encode(encoding, "replace"))
        composes_or_is_refused(["+experiment=mine", "logger=none"], config_dirs=[folder])


def test_the_overrides_that_are_drawn_reach_both_ends() -> None:
    """A fuzz test that refuses everything, or nothing, tests nothing."""
    assert composes_or_is_refused(["gamma=0.9"]) is None
    assert composes_or_is_refused(["gamma=2"])
