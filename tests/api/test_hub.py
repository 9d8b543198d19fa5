"""The Hugging Face hub, by its own library and a stand-in on loopback: an upload is there as it was sent, or a line says no."""

import json
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

import a3c_exp
from a3c_exp.export import __main__ as export
from tests.support.command import ROOT
from tests.support.hub_server import TOKEN, Hub, signed_in
from tests.support.offline_wandb import CLOSED_PORT

pytest.importorskip("huggingface_hub", reason="extra `hub` is not installed")
CARTPOLE = ROOT / "pretrained" / "cartpole"
NAME = "someone/a2c-CartPole-v1"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with signed_in(tmp_path, monkeypatch) as hub:
        yield hub


@pytest.fixture
def given(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CARTPOLE, tmp_path / "given"))


def test_what_was_pushed_is_what_is_loaded(
    hub: Hub, given: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (given / ".notes").write_text("mine")
    address = a3c_exp.push_to_hub(given, NAME, private=True, commit_message="The first")
    sha, files = hub.repositories[NAME][-1]
    assert address == f"{hub.address}/{NAME}/commit/{sha}" and hub.private == [NAME] and hub.messages == ["The first"]
    assert sorted(files) == [".gitattributes", "README.md", "config.yaml", "provenance.json", "weights.pt"]
    assert all(files[path.name] == path.read_bytes() for path in CARTPOLE.iterdir())
    assert f'a3c_exp.load_from_hub("{NAME}")' in files["README.md"].decode() and not (given / "README.md").exists()
    observation = np.random.default_rng(0).normal(size=(5, 4))
    policy = a3c_exp.load_from_hub(NAME)
    assert (policy.predict(observation)[0] == a3c_exp.load(CARTPOLE).predict(observation)[0]).all()
    assert policy.value(observation).tolist() == a3c_exp.load_from_hub(NAME, sha).value(observation).tolist()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", CLOSED_PORT)
    assert a3c_exp.load_from_hub(NAME).config.env.id == "CartPole-v1"
    assert f"could not be reached; taken instead: an earlier download ({sha[:7]})" in capsys.readouterr().err


def test_what_is_there_is_replaced_only_if_asked(hub: Hub, given: Path) -> None:
    hub.commit(NAME, {"README.md": b"by hand", "LICENSE": b"mine", "replay.mp4": b"of other weights"})
    (given / "README.md").write_text("---\ntags: [a]\n---\n")
    with pytest.raises(a3c_exp.ConfigError, match=r"has README.md already, and nothing is overwritten\. .*replace=True"):
        a3c_exp.push_to_hub(given, NAME)
    a3c_exp.push_to_hub(given, NAME, replace=True)
    _, files = hub.repositories[NAME][-1]
    assert (
        files["README.md"] == (given / "README.md").read_bytes() and files["LICENSE"] == b"mine" and "replay.mp4" not in files
    )
    assert hub.repositories[NAME][0][1]["README.md"] == b"by hand", "the history has it"
    a3c_exp.push_to_hub(given, NAME)  # the same again replaces nothing


def test_half_an_upload_is_never_called_done(hub: Hub, given: Path) -> None:
    for failing in ("/lfs/", "/commit/"):
        hub.failing = failing
        with pytest.raises(a3c_exp.HubError, match=r"has all of it or nothing\."):
            a3c_exp.push_to_hub(given, NAME)
        assert [sorted(files) for _, files in hub.repositories[NAME]] == [[".gitattributes"]]
    hub.failing, hub.losing = "", "weights.pt"
    with pytest.raises(a3c_exp.HubError, match=r"does not hold weights\.pt as they were sent\. Type the command again"):
        a3c_exp.push_to_hub(given, NAME)
    with pytest.raises(a3c_exp.A3CError, match=r"weights\.pt is damaged"):
        a3c_exp.load_from_hub(NAME)
    hub.losing = ""
    a3c_exp.push_to_hub(given, NAME, replace=True)
    assert a3c_exp.load_from_hub(NAME).value(np.zeros(4)) > 0


def test_a_strangers_weights_execute_nothing(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil.py").write_text("from pathlib import Path\nPath(__file__).with_name('pwned').touch()\n")
    monkeypatch.syspath_prepend(tmp_path)
    files = {path.name: path.read_bytes() for path in CARTPOLE.iterdir()}
    config = yaml.safe_load(files["config.yaml"])
    config["optimizer"] = {"_target_": "evil.Optimizer"}
    hub.commit(NAME, {**files, "config.yaml": yaml.safe_dump(config).encode(), "../evil.txt": b"out"})
    with pytest.raises(a3c_exp.ConfigError, match=r"optimizer\._target_=evil\.Optimizer.*--trust evil"):
        a3c_exp.load_from_hub(NAME)
    assert not (tmp_path / "pwned").exists() and "evil" not in sys.modules and not [*tmp_path.rglob("evil.txt")]


def test_every_mistake_is_one_line(hub: Hub, given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit("someone/else", {"README.md": b"a page"})
    for message, repo_id, revision in (
        ("there is no repository someone/nothing, or it is private", "someone/nothing", None),
        ("someone/else holds no weights of a3c_exp", "someone/else", None),
        ("has no revision v2", "someone/else", "v2"),
        ("is no repository of the Hugging Face hub", "nothing", None),
        ("is no repository of the Hugging Face hub", "a b/c", None),
    ):
        with pytest.raises(a3c_exp.A3CError, match=message) as caught:
            a3c_exp.load_from_hub(repo_id, revision)
        assert "\n" not in str(caught.value)
    monkeypatch.setenv("HF_TOKEN", "hf_read_only")
    with pytest.raises(a3c_exp.HubError, match=r"refuses someone/.* to this token\. Nothing was uploaded\. Type hf auth login"):
        a3c_exp.push_to_hub(given, NAME)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(a3c_exp.ConfigError, match="not logged in to the Hugging Face hub"):
        a3c_exp.push_to_hub(given, NAME)
    config = yaml.safe_load((given / "config.yaml").read_text())
    config["logger"] = {"_target_": "a3c_exp.loggers.wandb_logger.logger.WandbLogger", "entity": "me"}
    (given / "config.yaml").write_text(yaml.safe_dump(config))
    provenance = json.loads((given / "provenance.json").read_text())
    provenance["trained"]["sessions"].append("python -m a3c_exp resume=/home/me/run")
    (given / "provenance.json").write_text(json.dumps(provenance))
    with pytest.raises(a3c_exp.ConfigError, match=r"need not see \(logger, commands in provenance\.json\)"):
        a3c_exp.push_to_hub(given, NAME, token=TOKEN)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(a3c_exp.HubError, match="HF_HUB_OFFLINE keeps huggingface_hub from the network"):
        a3c_exp.load_from_hub("someone/else")


def test_the_command_pushes_a_folder(hub: Hub, given: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export.main([str(given), "--push-to-hub", NAME, "--half"]) == 2
    assert "is uploaded as it is" in capsys.readouterr().err
    assert export.main([str(given), "--push-to-hub", NAME]) == 0
    assert f"uploaded       {hub.address}/{NAME}/commit/" in capsys.readouterr().out


def test_a_network_that_refuses_or_hangs_is_one_line(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr("a3c_exp.export.hub._ANSWER_SECONDS", 0.2)
    monkeypatch.setattr("a3c_exp.export.hub._CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        for address in (CLOSED_PORT, f"http://127.0.0.1:{hanging.getsockname()[1]}"):
            monkeypatch.setattr(constants, "ENDPOINT", address)
            assert export.main([str(CARTPOLE), "--push-to-hub", NAME]) == 1
            said = capsys.readouterr().err
            assert f"{address} could not be reached: " in said and said.count("\n") == 1, said
            assert "Nothing was uploaded. Make sure of the network" in said
            with pytest.raises(a3c_exp.HubError, match=f"{address} could not be reached: "):
                a3c_exp.load_from_hub(NAME)


def test_without_the_package_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(a3c_exp.ConfigError, match=r"pip install 'a3c_exp\[hub\]'"):
        a3c_exp.load_from_hub(NAME)
