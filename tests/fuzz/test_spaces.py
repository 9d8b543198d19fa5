"""Environments with any spaces that gymnasium has are trained, evaluated, gone on with and reported, or refused in a line."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, strategies as st

from tests.fuzz.conftest import fuzzed
from tests.support.command import lines, run, summary
from tests.support.random_spaces import space_of

SHAPES = st.lists(st.integers(1, 3), max_size=3)
REAL_BOXES = st.tuples(
    st.just("box"), SHAPES, st.sampled_from([-1.0, 0.0, -3e38, "-inf"]), st.sampled_from([1.0, 2.5, 3e38, "inf"]),
    st.sampled_from(["float32", "float64"]),
)  # fmt: skip
WHOLE_BOXES = st.tuples(
    st.just("box"), SHAPES, st.sampled_from([0, 3]), st.sampled_from([5, 255]), st.sampled_from(["uint8", "int16", "int64"])
)
LEAVES = st.one_of(
    REAL_BOXES,
    WHOLE_BOXES,
    st.tuples(st.just("discrete"), st.integers(1, 5), st.integers(-2, 2)),
    st.tuples(st.just("binary"), st.integers(1, 3), st.integers(1, 2)),
    st.tuples(st.just("multidiscrete"), st.integers(1, 4), st.integers(1, 4)),
)
NESTED = st.sampled_from(["tuple", "dict"])
SPACES = st.recursive(
    LEAVES,
    lambda parts: st.builds(lambda kind, inner: [kind, *inner], NESTED, st.lists(parts, min_size=1, max_size=3)),
    max_leaves=5,
)


def listed(space: Any) -> Any:
    """Tuples as the lists that a command line can hold."""
    return [listed(part) for part in space] if isinstance(space, list | tuple) else space


@fuzzed(share=5, weight=0.05)
@given(SPACES, SPACES, st.sampled_from(["synchronous", "deterministic"]))
def test_any_spaces_are_learned_on_or_refused_in_a_line(observed: Any, acted: Any, parallelism: str) -> None:
    observed, acted = listed(observed), listed(acted)
    assert space_of(observed) and space_of(acted)
    with TemporaryDirectory() as folder:

        def done(module: str, *arguments: str) -> bool:
            """Whether the command did what it was asked to; else it refused in a line."""
            ended = run(*arguments, module=module, cwd=Path(folder))
            assert "Traceback" not in ended.stderr, ended.stderr
            assert ended.returncode in (0, 2), ended.stderr
            return ended.returncode == 0

        kwargs = json.dumps({"observed": observed, "acted": acted})
        began = done(
            "a3c_exp", "env=gymnasium", "env.id=tests.support.random_spaces:RandomSpaces-v0", f"env.kwargs={kwargs}",
            "model.hidden=[8]", "logger=none", "workers=2", "n_step=4", f"parallelism={parallelism}", "max_env_steps=40",
            "evaluation.episodes=1", "hydra.run.dir=run",
        )  # fmt: skip
        if not began:
            assert not Path(folder, "run").exists(), "a refused run leaves nothing"
            return
        assert done("a3c_exp", "resume=run", "max_env_steps=60")
        assert summary(Path(folder, "run"))["env_steps"] == 60
        assert all(line["length"] == 7 and line["return"] == 7.0 for line in lines(Path(folder, "run", "episodes.jsonl")))
        assert done("a3c_exp.evaluate", "run", "--episodes", "1")
        assert done("a3c_exp.report", "run", "--out", "page")
