"""Judging a folder of several seeds: every seed by its own weights, and an interval that is over seeds."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from a3c_exp.evaluate.__main__ import main
from a3c_exp.export import __main__ as export
from a3c_exp.stats.estimates import bootstrap_interval
from tests.support.command import QUICK, run

SEEDS = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seeds that trained together, a little."""
    where = tmp_path_factory.mktemp("seeds") / "many"
    cartpole = ("env=gymnasium", "env.id=CartPole-v1", "parallelism=deterministic", f"num_seeds={SEEDS}", "seed=4")
    budget = ("max_env_steps=400", "evaluation.every_env_steps=200", "evaluation.episodes=2")
    ended = run(*QUICK, *cartpole, *budget, f"hydra.run.dir={where}", cwd=where.parent)
    assert ended.returncode == 0, ended.stderr
    return where


def evaluated(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, str]:
    """What the command prints, by the first words of each line."""
    assert main([*arguments, "--episodes", "7"]) == 0, capsys.readouterr().err
    return {line[:14].strip(): line[15:] for line in capsys.readouterr().out.splitlines()}


def test_every_seed_is_evaluated_with_its_own_weights_and_the_interval_is_over_seeds(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = evaluated(capsys, str(folder))
    alone = [evaluated(capsys, str(folder / f"seed={seed}")) for seed in range(4, 4 + SEEDS)]
    means = [float(printed["mean return"]) for printed in alone]
    assert [float(whole[f"seed {seed}"].split()[0]) for seed in range(4, 4 + SEEDS)] == means
    assert len(set(means)) > 1, "seeds that all do the same would not distinguish their weights"
    assert float(whole["mean return"]) == pytest.approx(np.mean(means), abs=0.1)
    low, high = bootstrap_interval(np.array(means))
    assert whole["95 % interval"] == f"{low:.1f} to {high:.1f} (bootstrap over seeds)"
    assert "bootstrap over episodes" in alone[0]["95 % interval"]


def test_two_seeds_are_given_no_interval(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two = shutil.copytree(folder, tmp_path / "two")
    record = json.loads((two / "run.json").read_text())
    (two / "run.json").write_text(json.dumps({**record, "seeds": record["seeds"][:2]}))
    assert evaluated(capsys, str(two))["95 % interval"] == "none over fewer than 3 seeds"


def test_a_video_of_several_seeds_is_of_the_first(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    printed = evaluated(capsys, str(copy), "--video")
    assert Path(printed["video"]) == copy / "seed=4" / "videos" / "episode_1.mp4"
    assert Path(printed["video"]).is_file()


def test_a_file_of_several_seeds_is_refused_as_weights_are(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for format in ("--onnx", "--torch"):
        assert export.main([str(folder), format]) == 2
        assert f"holds {SEEDS} seeds. Name one of them: {folder}/seed=4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("damage", "arguments", "what"),
    [
        ("", ["--seed", "5"], "--seed 5 is a seed that the run trained with"),
        ("", ["--checkpoint", "some.pt"], "name that seed: "),
        ("", ["--episodes", "0"], "it is 0, but takes a whole number of at least 1. Try 100"),
        ("", ["--seed", "-1"], "a whole number of at least 0"),
        ("", ["--max-episode-steps", "0"], "a whole number of at least 1"),
        ("seed=5", [], "seed=5 is missing, though"),
        ("seed=6/checkpoints", [], "holds no checkpoint"),
        ("run.json", [], "holds no run.json"),
    ],
)
def test_what_cannot_be_evaluated_is_one_line_before_any_number(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str, arguments: list[str], what: str
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    if damage:
        gone = copy / damage
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    assert main([str(copy), *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1 and what in said.err
