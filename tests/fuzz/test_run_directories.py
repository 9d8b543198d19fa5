"""A run directory that was cut, emptied or scribbled on anywhere is read as far as it goes, or refused in a line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, strategies as st

from tests.fuzz.conftest import fuzzed
from tests.support.command import run
from tests.support.trained import trained

FILES = (
    ".hydra/config.yaml", "checkpoints/best.pt", "checkpoints/step_200.pt", "checkpoints/step_400.pt", "episodes.jsonl",
    "evaluations.jsonl", "messages.log", "metrics.jsonl", "run.json", "summary.json",
)  # fmt: skip
COMMANDS: dict[str, Callable[[Path], tuple[str, list[str]]]] = {
    "resume": lambda folder: ("a3c_exp", [f"resume={folder}", "max_env_steps=600"]),
    "evaluate": lambda folder: ("a3c_exp.evaluate", [str(folder), "--episodes", "1"]),
    "report": lambda folder: ("a3c_exp.report", [str(folder), "--out", str(folder.parent / "page")]),
    "runs": lambda folder: ("a3c_exp.runs", [str(folder.parent)]),
}
DAMAGES: dict[str, Callable[[bytes, int, bytes], bytes]] = {
    "cut": lambda content, at, _: content[:at],
    "zeroed from there on": lambda content, at, _: content[:at] + bytes(len(content) - at),
    "overwritten": lambda content, at, noise: content[:at] + noise + content[at + len(noise) :],
    "inserted": lambda content, at, noise: content[:at] + noise + content[at:],
    "a line lost": lambda content, at, _: content[:at] + content[content.find(b"\n", at) + 1 :],
    "a line twice": lambda content, at, _: content[: content.find(b"\n", at) + 1] + content[at:],
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("runs") / "run", "checkpoint.every_env_steps=100")


@fuzzed(share=12, weight=0.2)
@given(
    command=st.sampled_from(sorted(COMMANDS)),
    name=st.sampled_from(FILES),
    damage=st.sampled_from(sorted(DAMAGES)),
    where=st.floats(0, 1),
    noise=st.binary(min_size=1, max_size=6) | st.sampled_from([b"null", b"NaN", b'"', b"[]", b"{}", b"-1", b"1e999", b"\xff"]),
)
def test_a_damaged_directory_is_read_as_far_as_it_goes_or_refused(
    own: Path, command: str, name: str, damage: str, where: float, noise: bytes
) -> None:
    with TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(own, Path(folder, "run")))
        content = (copy / name).read_bytes()
        (copy / name).write_bytes(DAMAGES[damage](content, round(where * len(content)), noise))
        module, arguments = COMMANDS[command](copy)
        ended = run(*arguments, module=module, cwd=Path(folder))
        assert ended.returncode in (0, 2), ended.stderr
        assert "Traceback" not in ended.stderr + ended.stdout, ended.stderr
        if ended.returncode == 2:
            assert ended.stderr.strip(), "a refusal says why"
        elif command == "resume":
            counts_are_right(copy, ended.stderr)


def counts_are_right(folder: Path, said: str) -> None:
    """Every line of the log is whole, none stands twice, and the summary has the number of them unless losses were said."""
    numbers = [json.loads(line)["episode"] for line in (folder / "episodes.jsonl").read_text().splitlines()]
    assert len(set(numbers)) == len(numbers), numbers
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["env_steps"] == 600
    assert summary["episodes"] == len(numbers) or "episodes.jsonl" in said, (summary["episodes"], len(numbers), said)
