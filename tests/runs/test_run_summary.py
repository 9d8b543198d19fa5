"""A glance at a run says what reading it whole says, in whatever state it was left."""

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings, strategies as st

from a3c_exp.report.run_reader import RunData
from a3c_exp.runs.config_values import (
    MISSING,
    as_text,
    distinguishing_keys,
    flatten_as_text,
    resolve_reference,
    select,
)
from a3c_exp.runs.run_summary import RESULT_KEYS, RunSummary
from a3c_exp.runs.tolerant_io import last_json_object, parse_yaml
from a3c_exp.system.process_identity import process_start_time
from tests.support.synthetic_runs import DEAD_PID, write_run, write_seeds

# What YAML makes of words that look like something else, and texts that it has to quote or fold.
AWKWARD = [
    *("yes", "no", "on", "null", "~", "1e-4", "1.0e-04", "0o17", "a: b", "- a", "#", "${reduction}", "2026-11-21", "12:30"),
    *("line\nline", "'", '"', "é", "a,b", "[1", "{", "&x", "*x", "!!str", "%", "@", "", " ", "x" * 200, "two words " * 20),
]
LEAVES = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False) | st.sampled_from(AWKWARD)
KEYS = st.sampled_from(["env", "model", "optimizer", "lr", "betas", "_target_", "workers", "id", "on", "é", "a b", "1"])
CONFIGS = st.dictionaries(
    KEYS,
    st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8),
    max_size=6,
)


@settings(max_examples=150, deadline=None)
@given(config=CONFIGS, width=st.sampled_from([20, 80]), flow=st.sampled_from([False, None, True]), sort=st.booleans())
def test_a_configuration_read_in_parts_is_the_one_that_yaml_reads_whole(
    config: dict[str, Any], width: int, flow: bool | None, sort: bool
) -> None:
    text = yaml.safe_dump(config, width=width, default_flow_style=flow, sort_keys=sort, allow_unicode=True)
    for _ in range(2):  # the second time from memory
        assert parse_yaml(text) == yaml.safe_load(text)


@pytest.mark.parametrize(
    "text",
    ["", "a", "- a\n- b\n", "- ab\n- cd\n", "[]", "a: &x 1\nb: *x\n", "a: 1\n---\nb: 2\n", "# words\na: 1\n",
     "a: 1\na: 2\n", "%", "a: {",
     "a: |\n  b: 1\n  c\nd: 2\n", "a: 'b\n\n  c: d'\ne: 1\n", "a:\n- b: 1\n- c\n", "a: [1,\n  2]\nb: 3\n",
     "a: 1\n  b: 2\n", "\ta: 1\n", "a: !x 1\n"],
)  # fmt: skip
def test_a_text_that_does_not_fall_into_parts_is_read_whole(text: str) -> None:
    try:
        expected = yaml.safe_load(text)
    except yaml.YAMLError:
        with pytest.raises(yaml.YAMLError):
            parse_yaml(text)
    else:
        assert parse_yaml(text) == expected


def test_references_are_followed_and_circles_are_not() -> None:
    config = {
        "reduction": "mean",
        "a": {"b": "${reduction}"},
        "c": "${a.b}",
        "x": "${y}",
        "y": "${x}",
        "z": "${z}",
        "n": "${no}",
    }
    assert {key: resolve_reference(config, key, select(config, key)) for key in ("a.b", "c", "z", "n")} == {
        "a.b": "mean", "c": "mean", "z": "${z}", "n": "${no}",
    }  # fmt: skip
    assert resolve_reference(config, "x", "${y}") in ("${x}", "${y}")
    assert select(config, "a.b.c") is MISSING


@given(st.sets(st.tuples(*[st.sampled_from("pq")] * 4), min_size=2, max_size=6))
def test_the_names_chosen_for_labels_tell_all_apart(values: set[tuple[str, ...]]) -> None:
    keys = [tuple(zip(("lr", "env._target_", "workers", "model.size"), value, strict=True)) for value in values]
    chosen = distinguishing_keys(keys, preferred=["model.size"])
    assert len({tuple(pair for pair in key if pair[0] in chosen) for key in keys}) == len(keys)


@pytest.mark.parametrize("how", ["finished", "failed", "running", "killed", "half-written", "old"])
def test_a_glance_says_what_reading_the_whole_run_says(tmp_path: Path, how: str) -> None:
    states: dict[str, dict[str, Any]] = {
        "finished": {},
        "failed": {"status": "failed", "reason": "a worker died"},
        "running": {"status": "running", "pid": os.getpid()},
        "killed": {"status": "running", "pid": DEAD_PID},
        "half-written": {"status": "running", "pid": DEAD_PID, "half_written": True},
        "old": {"old": True},
    }
    path = write_run(tmp_path / how, seed=3, episodes=31, **states[how])
    entry, run = RunSummary(path), RunData(path)
    assert (entry.status, entry.name, str(entry.seed), entry.config) == (run.status, run.name, run.seed, run.config)
    fields = {"episodes", "env_steps", "updates", "moving_average", "wall_time", "steps_per_second"}
    if run.summary_json:
        fields |= {"policy_lag", "policy_lag_max"} if how != "old" else set()
        fields |= {"best", "best_low", "best_step"}
    for field in fields:
        assert entry.result(field) == pytest.approx(run.result(field)), field
    assert [entry.result(key) for key in ("evaluation", "evaluation_low")] == [
        run.result(key) for key in ("evaluation", "evaluation_low")
    ]
    assert dict(entry.config_items()) == dict(flatten_as_text(run.config))


@settings(max_examples=40, deadline=None)
@given(
    content=st.one_of(st.binary(max_size=40), st.sampled_from([b"[]", b"{}", b'{"status": 1}', b'{"git": 3, "timings": []}']))
)
def test_no_content_of_any_file_crashes_the_summary(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("run")
    for name in ("run.json", "summary.json", "episodes.jsonl", "metrics.jsonl", "evaluations.jsonl"):
        (path / name).write_bytes(content)
    (path / ".hydra").mkdir()
    (path / ".hydra" / "config.yaml").write_bytes(content)
    entry = RunSummary(path)
    assert all(isinstance(entry.result(key), float) for key in RESULT_KEYS)
    for key in ("status", "commit", "created", "env", "workers", "host", "seed", "git.commit"):
        entry.value(key)


def test_a_group_is_known_by_the_option_that_was_chosen(tmp_path: Path) -> None:
    folder = write_seeds(tmp_path / "many", episodes=3, run_json={"env": "pendulum"})
    choices = "hydra:\n  runtime:\n    choices:\n      optimizer: shared_adam\n      hydra/help: x\n  verbose: false\n"
    (folder / ".hydra" / "hydra.yaml").write_text(choices)
    entry = RunSummary(folder / "seed=1")
    assert (entry.value("env"), entry.value("optimizer"), entry.value("env.id")) == ("pendulum", "shared_adam", "Pendulum-v1")
    assert entry.value("model") is MISSING
    named = write_run(tmp_path / "a", episodes=3, config={"ablation": {"name": "worker_count", "arm": "6"}})
    assert RunSummary(named).value("ablation") == "worker_count"


def test_the_last_line_of_a_long_file_is_found_from_its_end(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps({"episode": number, "pad": "x" * 100}) + "\n" for number in range(1000)) + '{"epi')
    assert last_json_object(path)["episode"] == 999
    path.write_text(json.dumps({"pad": "x" * 20_000}) + "\n" + "\0" * 10)  # nothing whole within reach
    assert last_json_object(path) == {}


def test_text_of_a_number_does_not_depend_on_its_notation() -> None:
    assert {as_text(value) for value in (1e-4, "1e-4", "0.0001", "1.0e-04")} == {"0.0001"}
    assert [as_text(value) for value in (True, None, [1.0, "2"], "a")] == ["true", "null", "[1, 2]", "a"]
    assert math.isnan(RunSummary(Path("nowhere")).result("evaluation"))


def test_a_reused_process_id_is_not_taken_for_the_run(tmp_path: Path) -> None:
    path = write_run(tmp_path / "a", status="running", pid=os.getpid(), episodes=3, run_json={"pid_started": 1.0})
    assert RunSummary(path).status == "killed"
    said = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**said, "pid_started": process_start_time(os.getpid())}))
    assert RunSummary(path).status == "running"
