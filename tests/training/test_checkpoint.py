"""Checkpoints are whole, or they are refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from a3c_exp.algorithm.types import TrainingState
from a3c_exp.system.errors import RunDirectoryError
from a3c_exp.training.checkpoint import Checkpoints, load, read


def state(env_steps: int) -> TrainingState:
    generator = torch.Generator().manual_seed(env_steps)
    return TrainingState(
        weights=torch.randn(50, generator=generator),
        optimizer_state=torch.randn(2, 50, generator=generator),
        updates=env_steps // 10,
        env_steps=env_steps,
        episodes=3,
        rounds=np.arange(4),
        episodes_begun=np.arange(4) * 2,
    )


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    saved = state(120)
    path = Checkpoints(tmp_path, keep_last=2).save(saved, {"moving_average": -1.5, "wall_time": 3.0})
    loaded, extra = load(path)
    assert torch.equal(loaded.weights, saved.weights) and torch.equal(loaded.optimizer_state, saved.optimizer_state)
    assert (loaded.updates, loaded.env_steps, loaded.episodes) == (12, 120, 3)
    assert loaded.rounds.tolist() == [0, 1, 2, 3] and loaded.episodes_begun.tolist() == [0, 2, 4, 6]
    assert extra == {"moving_average": -1.5, "wall_time": 3.0}


def test_only_the_last_few_of_its_own_files_go(tmp_path: Path) -> None:
    (tmp_path / "step_mine.pt").write_text("a person's own file")
    checkpoints = Checkpoints(tmp_path, keep_last=2)
    for env_steps in (10, 9_000, 200, 3_000):
        checkpoints.save(state(env_steps), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_3000.pt", "step_9000.pt", "step_mine.pt"]
    assert checkpoints.latest().name == "step_9000.pt"


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9])
def test_a_damaged_checkpoint_is_not_loaded(tmp_path: Path, where: float) -> None:
    checkpoints = Checkpoints(tmp_path, keep_last=3)
    older, newer = checkpoints.save(state(100), {}), checkpoints.save(state(200), {})
    content = bytearray(newer.read_bytes())
    for offset in range(16):
        content[int(len(content) * where) + offset] ^= 0xFF
    newer.write_bytes(bytes(content))
    try:
        damaged = torch.equal(read(newer)["weights"], state(200).weights)
        assert damaged, "other weights were loaded without a word"  # the flipped bytes were padding
    except RunDirectoryError as error:
        assert "damaged" in str(error)
        assert checkpoints.latest() == older, "the one before is still good"


def test_a_changed_weight_does_not_pass_for_the_saved_one(tmp_path: Path) -> None:
    path = Checkpoints(tmp_path, keep_last=1).save(state(100), {})
    content = torch.load(path, weights_only=True)
    content["weights"][7] += 1e-6
    torch.save(content, path)
    with pytest.raises(RunDirectoryError, match="checksum"):
        read(path)


def test_half_a_file_is_not_a_checkpoint(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep_last=1)
    path = checkpoints.save(state(100), {})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(RunDirectoryError, match="no checkpoint to go on from"):
        checkpoints.latest()


def test_a_full_disk_leaves_the_old_checkpoint_and_no_scrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(tmp_path, keep_last=1)
    first = checkpoints.save(state(100), {})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunDirectoryError, match="No space"):
        checkpoints.save(state(200), {})
    assert [path.name for path in tmp_path.iterdir()] == [first.name]
