"""A folder to be shared: its card says what the weights score, the hub can read it, and nothing in it is anybody's secret."""

import json
import shutil
import socket
from pathlib import Path

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf

from a3c_exp.config.trust import modules_of_others
from a3c_exp.export import __main__ as export
from a3c_exp.export.model_card import env_name
from a3c_exp.export.privacy import without_private_arguments, without_private_values
from a3c_exp.training import pretrained
from tests.support.command import ROOT
from tests.support.hub_server import signed_in
from tests.support.trained import trained

SECRETS = ("alice", "secret_team", "hunter2")
COMMAND = (
    "python -m a3c_exp --config-dir /home/alice/conf env=cartpole logger.entity=secret_team hydra.run.dir=/home/alice/a "
    "logger.tracking_uri=http://alice:hunter2@host seed=4"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of somebody who has an account, folders and a video."""
    directory = trained(tmp_path_factory.mktemp("runs") / "run", "max_env_steps=200")
    record = json.loads((directory / "run.json").read_text())
    record |= {"command": COMMAND, "host": socket.gethostname()}
    record["sessions"][0]["command"] = COMMAND
    (directory / "run.json").write_text(json.dumps(record))
    path = directory / ".hydra" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["logger"] = {"_target_": "a3c_exp.loggers.wandb_logger.logger.WandbLogger", "entity": "secret_team"}
    config["tags"], config["name"] = ["alice"], "/home/alice/run"
    path.write_text(yaml.safe_dump(config))
    (directory / "videos").mkdir()
    (directory / "videos" / "episode_1.mp4").write_bytes(b"a video")
    return directory


@pytest.fixture(scope="module")
def shared(run: Path) -> Path:
    assert export.main([str(run), "--card", "--episodes", "5"]) == 0
    return run / "share"


def test_the_card_has_the_score_the_configuration_the_command_and_the_video(shared: Path) -> None:
    provenance, card = json.loads((shared / "provenance.json").read_text()), (shared / "README.md").read_text()
    score = provenance["evaluation"]
    _, head, page = card.split("---\n", 2)
    metadata = yaml.safe_load(head)
    (entry,) = metadata["model-index"]
    (result,) = entry["results"]
    assert metadata["library_name"] == "a3c_exp" and {"reinforcement-learning", "CartPole-v1", "a2c"} <= {*metadata["tags"]}
    assert (entry["name"], result["task"]["type"], result["dataset"]["type"]) == (
        "A2C",
        "reinforcement-learning",
        "CartPole-v1",
    )
    (metric,) = result["metrics"]
    assert metric["type"] == "mean_reward" and metric["value"] == f"{score['mean']:.2f} +/- {score['std']:.2f}"
    assert f"| interquartile mean | {score['iqm']:.2f}, 95 % interval [" in page and "| episodes | 5, " in page
    assert "python -m a3c_exp --config-dir conf env=cartpole seed=4" in page and f"{provenance['weights']:,} weights" in page
    assert "`videos/episode_1.mp4`" in page and (shared / "replay.mp4").read_bytes() == b"a video"
    assert "a3c_exp.load(" in page and (shared / "config.yaml").read_text().strip() in page
    assert pretrained.load(shared).config.env.id == "CartPole-v1"


def test_the_hubs_own_library_reads_the_card(shared: Path) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="extra `hub` is not installed")
    data = hub.ModelCard.load(shared / "README.md").data
    (result,) = data.eval_results
    assert (data.model_name, data.library_name, data.pipeline_tag) == ("A2C", "a3c_exp", "reinforcement-learning")
    assert (result.task_type, result.dataset_name, result.metric_type) == (
        "reinforcement-learning",
        "CartPole-v1",
        "mean_reward",
    )


def test_nothing_private_is_shared(run: Path, shared: Path) -> None:
    secrets = [*SECRETS, socket.gethostname(), str(run.parent), str(Path.home()) + "/"]
    assert sorted(path.name for path in shared.iterdir()) == [
        "README.md", "config.yaml", "provenance.json", "replay.mp4", "weights.pt",
    ]  # fmt: skip
    for path in shared.iterdir():
        found = [secret for secret in secrets if secret.encode() in path.read_bytes()]
        assert not found, (path.name, found)


def test_what_acting_does_not_need_is_left_out_and_paths_are_their_last_part() -> None:
    section = {"_target_": "mine.Env", "kwargs": {"map": "/home/alice/maps/a.xml", "of": ["https://x:hunter2@host/b", "a/b"]}}
    config = OmegaConf.create({"env": section, "callbacks": [{"_target_": "mine.Stop"}], "metrics": {"extra": ["other.x"]}})
    changed_config, changed = without_private_values(config)
    kwargs = OmegaConf.to_container(changed_config.env.kwargs)
    assert kwargs == {"map": "a.xml", "of": ["https://host/b", "a/b"]} and changed == ["env.kwargs.map", "env.kwargs.of[0]"]
    assert modules_of_others(config) == ["mine", "other"] and modules_of_others(changed_config) == ["mine"]
    assert config.env.kwargs.map == "/home/alice/maps/a.xml", "the run's own configuration is as it was"
    assert without_private_arguments("a3c-exp 'env.kwargs={map:/home/alice/a b}' logger=[wandb,csv]") == (
        "a3c-exp 'env.kwargs={map:a b}' 'logger=[wandb,csv]'"
    )


def test_an_environment_is_named_as_gymnasium_names_it() -> None:
    racing = OmegaConf.load(ROOT / "pretrained" / "car_racing" / "config.yaml")
    assert isinstance(racing, DictConfig) and env_name(racing) == "CarRacing-v3"
    assert env_name(OmegaConf.create({"env": {"_target_": "mine.Envs", "id": "mine:Maze-v0"}})) == "Maze-v0"
    assert env_name(OmegaConf.create({"env": {"_target_": "mine.MazeEnvs"}})) == "MazeEnvs"


def test_a_card_of_ones_own_is_never_overwritten(
    run: Path, shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = Path(shutil.copytree(ROOT / "pretrained" / "cartpole", tmp_path / "cartpole"))
    assert export.main([str(given), "--card"]) == 0
    (given / "README.md").write_text(text := (given / "README.md").read_text() + "My own words.")
    assert "value: 500.00 +/- 0.00" in text and "interquartile" not in text
    for arguments, message in (
        ([given, "--card"], "README.md exists, and nothing is overwritten"),
        ([run, "--card"], "share exists, and nothing is overwritten"),
        ([run, "--card", "--onnx"], "a model card is of a folder of weights"),
        ([run, "--video", "--out", tmp_path / "new"], "Try --card --video"),
        ([given, "--card", "--half"], "is exported already"),
    ):
        assert export.main([*map(str, arguments)]) == 2
        assert message in (said := capsys.readouterr().err) and said.count("\n") == 1, said
    assert (given / "README.md").read_text() == text


def test_the_command_pushes_a_run_with_its_card(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("huggingface_hub", reason="extra `hub` is not installed")
    with signed_in(tmp_path, monkeypatch) as hub:
        arguments = [str(run), "--push-to-hub", "me/cartpole", "--half", "--episodes", "2", "--private"]
        assert export.main(arguments) == 0, capsys.readouterr().err
        files = hub.repositories["me/cartpole"][-1][1]
        assert json.loads(files["provenance.json"])["precision"] == "float16" and files["replay.mp4"] == b"a video"
        assert 'a3c_exp.load_from_hub("me/cartpole")' in files["README.md"].decode() and hub.private == ["me/cartpole"]
        assert "/me/cartpole/commit/" in capsys.readouterr().out
        assert export.main(arguments) == 2
        assert "has config.yaml, weights.pt, provenance.json, README.md already" in capsys.readouterr().err
