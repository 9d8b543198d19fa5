"""Whatever a run, a sweep or a study was damaged to, the dashboard answers: with what can be read, or a sentence."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, strategies as st

from a3c_exp.dashboard.outputs_index import OutputsIndex
from a3c_exp.dashboard.payloads import to_json
from a3c_exp.dashboard.server import answers
from a3c_exp.runs.sweep_plan import PlannedJob, SweepPlan
from a3c_exp.system.errors import A3CError
from tests.dashboard.conftest import write_study
from tests.fuzz.conftest import fuzzed
from tests.fuzz.test_run_directories import DAMAGES
from tests.support.synthetic_runs import write_run

RUN = [".hydra/config.yaml", ".hydra/overrides.yaml", "run.json", "summary.json", "episodes.jsonl", "metrics.jsonl",
       "evaluations.jsonl"]  # fmt: skip
FILES = [*(f"sweep/a/{name}" for name in RUN), "sweep/sweep.json", "s/study.json", "s/trial=0/trial.json", "s/trial=3/run.json"]
NOISE = [b"null", b"NaN", b'"', b"[]", b"{}", b"-1", b"1e999", b"\xff", b"[1]", b"true", b'""']


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole") / "outputs"
    own = [{"name": "mine", "help": "What is mine."}]
    write_run(root / "sweep" / "a", episodes=3, evaluations=2, run_json={"statistics": own})
    SweepPlan(root / "sweep", "x", (), (), (), None, {}, (PlannedJob(0, "a", (), {}), PlannedJob(1, "b", (), {}))).write()
    write_study(root / "s")
    return root


@fuzzed(share=12, weight=0.3)
@given(
    name=st.sampled_from(FILES),
    damage=st.sampled_from([*sorted(DAMAGES), "one value another"]),
    where=st.floats(0, 1),
    noise=st.binary(min_size=1, max_size=6) | st.sampled_from(NOISE),
)
def test_every_question_is_answered(whole: Path, name: str, damage: str, where: float, noise: bytes) -> None:
    with TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(whole, Path(folder, "outputs")))
        content = (copy / name).read_bytes()
        at = round(where * len(content))
        if damage in DAMAGES:
            content = DAMAGES[damage](content, at, noise)
        elif (begin := content.find(b": ", at)) >= 0:  # what stays is well-formed, and of another kind
            end = min((place for mark in (b",", b"}", b"\n") if (place := content.find(mark, begin)) >= 0), default=begin + 2)
            content = content[: begin + 2] + noise + content[end:]
        (copy / name).write_bytes(content)
        index = OutputsIndex(copy)
        asked = answers(index)
        ids = list(index.snapshot().runs)[:2]
        questions = {"runs": {}, "run": {"id": ids[:1]}, "curves": {"id": ids}, "compare": {"id": ids}, "sweeps": {},
                     "sweep": {"id": ["sweep"]}, "studies": {}, "study": {"id": ["s"]}, "verdicts": {"id": ["."]}}  # fmt: skip
        for question, query in questions.items():
            try:
                to_json(asked[question](query))
            except A3CError as error:
                assert str(error).strip(), "a refusal says why"
