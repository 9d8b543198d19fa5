"""Weights that are given away: what they are said to be worth is what they are worth, and nothing is overwritten."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from a3c_exp.evaluate import __main__ as evaluate
from a3c_exp.export import __main__ as export
from a3c_exp.export.privacy import without_private_arguments
from a3c_exp.system.errors import ConfigError
from a3c_exp.training import pretrained
from a3c_exp.training.build import build_run
from a3c_exp.training.checkpoint import read
from tests.support.command import ROOT
from tests.support.trained import trained

GIVEN_AWAY = sorted(path.parent for path in (ROOT / "pretrained").glob("*/weights.pt"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("runs") / "run", "normalize.observation=false", "normalize.reward=false")


@pytest.fixture(scope="module")
def half(run: Path) -> Path:
    folder = run.parent / "given" / "half"
    assert export.main([str(run), "--out", str(folder), "--half", "--episodes", "9"]) == 0
    return folder


def evaluated(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, str]:
    assert evaluate.main([*arguments]) == 0, capsys.readouterr().err
    return {line[:14].strip(): line[15:] for line in capsys.readouterr().out.splitlines()}


def test_what_it_is_worth_is_measured_on_the_weights_as_they_are_kept(
    run: Path, half: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    provenance = json.loads((half / "provenance.json").read_text())
    best = read(run / "checkpoints" / "best.pt")["weights"]
    kept = pretrained.load(half).saved.weights
    assert torch.equal(kept, best.half().float()) and not torch.equal(kept, best)
    assert provenance["precision"] == "float16" and provenance["largest_rounding"] == float((kept - best).abs().max()) > 0
    assert evaluated(capsys, str(half), "--episodes", "9")["mean return"] == f"{provenance['evaluation']['mean']:.1f}"


def test_in_single_precision_they_are_the_runs_own(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "given"
    assert export.main([str(run), "--out", str(folder), "--checkpoint", "last", "--episodes", "1"]) == 0
    assert torch.equal(pretrained.load(folder).saved.weights, read(run / "checkpoints" / "step_400.pt")["weights"])
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "provenance.json", "weights.pt"]
    assert list(tmp_path.iterdir()) == [folder]


def test_in_half_precision_the_statistics_of_normalization_stay_as_they_are(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", "normalize.observation=true", "normalize.reward=true", "evaluation.every_env_steps=null")
    assert export.main([str(run), "--out", str(tmp_path / "half"), "--checkpoint", "last", "--half", "--episodes", "2"]) == 0
    before, after = read(run / "checkpoints" / "step_400.pt")["weights"], pretrained.load(tmp_path / "half").saved.weights
    size = build_run(pretrained.load(tmp_path / "half").config).setup.statistics_size
    assert size and torch.equal(after[-size:], before[-size:]) and before[-size:].abs().max() > 100
    assert torch.equal(after[:-size], before[:-size].half().float())
    assert (tmp_path / "half" / "weights.pt").stat().st_size < 2 * len(before) + 4_000, "more than the weights is in the file"


def test_the_provenance_names_the_run(run: Path, half: Path) -> None:
    provenance, record = json.loads((half / "provenance.json").read_text()), json.loads((run / "run.json").read_text())
    assert provenance["trained"]["command"] == without_private_arguments(record["command"])
    assert provenance["trained"]["git"] == record["git"]
    assert provenance["trained"]["seed"] == 4 and provenance["trained"]["machine"] == record["machine"]
    assert (
        provenance["checkpoint"] == "best.pt" and provenance["env_steps"] == read(run / "checkpoints" / "best.pt")["env_steps"]
    )
    assert (
        provenance["exported"]["command"].startswith("python -m a3c_exp.export ")
        and "--half" in provenance["exported"]["command"]
    )
    assert f'"{record["host"]}"' not in (half / "provenance.json").read_text()


def test_evaluating_exported_weights_writes_nothing_next_to_them(
    half: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in half.rglob("*")}
    monkeypatch.chdir(tmp_path)
    shown = evaluated(capsys, str(half), "--episodes", "1", "--video")
    assert Path(shown["video"]) == Path("outputs/pretrained/half/videos/episode_1.mp4")
    assert (tmp_path / shown["video"]).read_bytes()[4:8] == b"ftyp"
    assert (
        "in outputs/pretrained/half/screenshots/episode_1,"
        in evaluated(capsys, str(half), "--episodes", "1", "--saliency")["pictures"]
    )
    assert {path: path.stat().st_mtime_ns for path in half.rglob("*")} == before


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["{run}", "--out", "{half}"], "exists, and nothing is overwritten"),
        (["{half}", "--out", "{new}"], "is no run directory"),
        (["{run}", "--out", "{new}", "--seed", "4"], "is the seed that the run trained with"),
        (["{run}", "--out", "{new}", "--checkpoint", "gone.pt"], "there is no checkpoint gone.pt"),
        (["{run}", "--out", "{new}", "--episodes", "0"], "at least 1"),
    ],
)
def test_what_cannot_be_exported_is_one_line_and_leaves_nothing(
    run: Path, half: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], what: str
) -> None:
    places = {"run": run, "half": half, "new": tmp_path / "new"}
    assert export.main([argument.format(**places) for argument in arguments]) == 2
    provenance = capsys.readouterr()
    assert provenance.out == "" and provenance.err.count("\n") == 1 and what in provenance.err
    assert not any(tmp_path.iterdir())


def test_weights_beyond_half_precision_are_not_turned_into_infinity() -> None:
    with pytest.raises(ConfigError, match="Leave out --half"):
        pretrained.to_stored_precision(torch.tensor([1.0, 7e4]), half=True)


def test_a_damaged_folder_is_not_evaluated(half: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = shutil.copytree(half, tmp_path / "copy")
    content = torch.load(copy / "weights.pt", weights_only=True)
    content["weights"][0] += 1
    torch.save(content, copy / "weights.pt")
    assert evaluate.main([str(copy)]) == 2
    assert "checksum" in capsys.readouterr().err
    assert evaluate.main([str(half), "--checkpoint", "last"]) == 2
    assert "one set of weights" in capsys.readouterr().err


@pytest.mark.parametrize("folder", GIVEN_AWAY, ids=lambda folder: folder.name)
def test_what_comes_with_the_code_fits_the_code(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A change of a model or of an environment would else leave weights that cannot be used."""
    given = pretrained.load(folder)
    task = build_run(given.config).setup
    envs = task.make_evaluation_envs(num_envs=1)
    _, layout = task.model(envs)
    envs.close()
    assert layout.size == given.saved.weights.numel() == given.provenance["weights"]
    assert not any(part.startswith("/") for part in json.dumps(given.provenance).replace('"', " ").split())
    if (envs.default_max_episode_steps or 1000) <= 200 and len(envs.observation_space.shape or ()) == 1:
        monkeypatch.chdir(tmp_path)
        low, high = (float(given.provenance["evaluation"][key]) for key in ("min", "max"))
        evaluated_mean = float(evaluated(capsys, str(folder), "--episodes", "2")["mean return"])
        assert low - 0.1 <= evaluated_mean <= high + 0.1  # two of the episodes that those are the worst and the best of
