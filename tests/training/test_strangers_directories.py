"""A directory from a stranger executes nothing: exploits that work where a configuration is believed.

Each would leave a file; in one's own runs the same names go on working.
"""

import json
import pickle
import shutil
import sys
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
import yaml

from a3c_exp.config import trust
from a3c_exp.report import __main__ as report
from a3c_exp.training.checkpoint import digest
from tests.support.command import run
from tests.support.trained import trained

COMMANDS: dict[str, Callable[[str], tuple[str, Sequence[str]]]] = {
    "evaluate": lambda folder: ("a3c_exp.evaluate", [folder, "--episodes", "1"]),
    "export": lambda folder: ("a3c_exp.export", [folder, "--out", "given", "--episodes", "1"]),
    "resume": lambda folder: ("a3c_exp", [f"resume={folder}", "max_env_steps=500"]),
    "report": lambda folder: ("a3c_exp.report", [folder, "--out", "page"]),
    "runs": lambda folder: ("a3c_exp.runs", [folder]),
}
OBEYING = ("evaluate", "export", "resume")

EVIL = """
from pathlib import Path
import gymnasium
Path("pwned").touch()
from a3c_exp.algorithm.window_stats import Statistic
from a3c_exp.optimizers.sgd import SGD as Optimizer
statistic = Statistic("seen", "", compute=lambda window: window.entropy)
class Wrapper(gymnasium.Wrapper): pass
gymnasium.register("Evil-v0", "gymnasium.envs.classic_control:CartPoleEnv", max_episode_steps=500)
"""


def change(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change_config(config: dict[str, Any]) -> None:
        *parents, last = key.split(".")
        for parent in parents:
            config = config[parent]
        config[last] = value

    return change_config


POPEN = {"_target_": "subprocess.Popen", "args": ["touch", "pwned"]}
EXPLOITS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "a command in place of the optimizer": (change("optimizer", POPEN), "optimizer._target_=subprocess.Popen"),
    "a command in place of the logger": (change("logger", POPEN), "logger._target_=subprocess.Popen"),
    "a command in place of the parallelism": (change("parallelism", POPEN), "parallelism._target_=subprocess.Popen"),
    "a command in place of the environment": (change("env", POPEN), "env._target_=subprocess.Popen"),
    "a command below the model": (change("model.head", POPEN), "model.head._target_=subprocess.Popen"),
    "a command among an environment's arguments": (change("env.kwargs", POPEN), "env.kwargs._target_=subprocess.Popen"),
    "a module in place of the optimizer": (change("optimizer._target_", "evil.Optimizer"), "optimizer._target_=evil.Optimizer"),
    "an environment's module": (change("env.id", "evil:Evil-v0"), "env.id=evil:Evil-v0"),
    "a wrapper by name": (change("env.wrappers", ["evil.Wrapper"]), "env.wrappers[0]=evil.Wrapper"),
    "a wrapper with arguments": (change("env.wrappers", [{"_target_": "evil.Wrapper"}]), "env.wrappers[0]._target_=evil"),
    "a statistic": (change("metrics.extra", ["evil.statistic"]), "metrics.extra[0]=evil.statistic"),
    "a name that looks like ours": (change("optimizer._target_", "a3c_exp_evil.Optimizer"), "_target_=a3c_exp_evil.Opt"),
    "an old gym's environment": (
        lambda config: config["env"].update(id="GymV21Environment-v0", kwargs={"env_id": "evil:Evil-v0"}),
        "env.id=GymV21Environment-v0",
    ),
    "an interpolation": (
        lambda config: (config.update(name="evil.Optimizer"), change("optimizer._target_", "${name}")(config)),
        "optimizer._target_=evil.Optimizer",
    ),
    "a variable": (change("optimizer._target_", "${oc.env:NOT_THERE,evil.Optimizer}"), "optimizer._target_=evil.Optimizer"),
    "an interpolation within one": (change("optimizer._target_", "\\${name}"), "optimizer._target_=${name}"),
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("runs") / "run", "checkpoint.every_env_steps=200")


@pytest.fixture
def stranger(own: Path, tmp_path: Path) -> Path:
    """A run as one downloads it, in a folder with the code that it would like to be imported."""
    for name in ("evil", "a3c_exp_evil"):
        (tmp_path / f"{name}.py").write_text(EVIL)
    return Path(shutil.copytree(own, tmp_path / "run"))


def rewrite(path: Path, change_config: Callable[[dict[str, Any]], None]) -> None:
    config = yaml.safe_load(path.read_text())
    change_config(config)
    path.write_text(yaml.safe_dump(config))


def refused(folder: Path, command: str, expected: str) -> str:
    """The one line with which the command refuses it, and nothing has been executed."""
    module, arguments = COMMANDS[command](folder.name)
    ended = run(*arguments, module=module, cwd=folder.parent)
    assert not (folder.parent / "pwned").exists(), ended.stderr
    assert ended.returncode == 2 and expected in ended.stderr and len(ended.stderr.splitlines()) == 1, ended.stderr
    return ended.stderr


@pytest.mark.parametrize("name", EXPLOITS)
def test_a_strangers_configuration_executes_nothing(name: str, stranger: Path) -> None:
    change_config, expected = EXPLOITS[name]
    rewrite(stranger / ".hydra" / "config.yaml", change_config)
    assert "--trust" in refused(stranger, "evaluate", expected)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_executes_it(command: str, stranger: Path) -> None:
    rewrite(stranger / ".hydra" / "config.yaml", change("optimizer", POPEN))
    if command in OBEYING:
        refused(stranger, command, "add --trust subprocess (with resume=: trust=subprocess)")
        return
    module, arguments = COMMANDS[command](stranger.name)
    ended = run(*arguments, module=module, cwd=stranger.parent)
    assert ended.returncode == 0 and not (stranger.parent / "pwned").exists(), ended.stderr


def test_play_does_not_execute_it_either(stranger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite(stranger / ".hydra" / "config.yaml", change("optimizer", POPEN))
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    ended = run("env=car_racing", "--against", "run", module="a3c_exp.play", cwd=stranger.parent)
    assert ended.returncode == 2 and "--trust subprocess" in ended.stderr and not (stranger.parent / "pwned").exists()


def test_exported_weights_execute_nothing(stranger: Path) -> None:
    assert run("run", "--out", "given", "--episodes", "1", module="a3c_exp.export", cwd=stranger.parent).returncode == 0
    rewrite(stranger.parent / "given" / "config.yaml", change("env.wrappers", ["evil.Wrapper"]))
    refused(stranger.parent / "given", "evaluate", "--trust evil")


@pytest.mark.parametrize("target", ["subprocess.Popen", "a3c_exp.system.child_process.subprocess", "pathlib.Path"])
def test_a_class_of_another_kind_is_not_called_even_if_its_module_is_trusted(target: str, stranger: Path) -> None:
    rewrite(stranger / ".hydra" / "config.yaml", change("optimizer", POPEN | {"_target_": target}))
    ended = run("run", "--trust", "subprocess,pathlib", module="a3c_exp.evaluate", cwd=stranger.parent)
    assert ended.returncode == 2 and target in ended.stderr and "--trust" not in ended.stderr, ended.stderr
    assert not (stranger.parent / "pwned").exists()


def test_what_the_user_trusts_is_imported_and_is_the_users_own_once_resumed(stranger: Path) -> None:
    """Neighbors: a sub-module is trusted with its package, another one of a similar name is not."""
    rewrite(stranger / ".hydra" / "config.yaml", change("env.wrappers", ["evil.Wrapper"]))
    rewrite(stranger / ".hydra" / "config.yaml", change("env.backend", "gymnasium"))  # tensors have no wrappers
    for trusted in ("evi", "evil.Wrapper.x", "evi.l"):
        ended = run("run", "--trust", trusted, module="a3c_exp.evaluate", cwd=stranger.parent)
        assert ended.returncode == 2 and not (stranger.parent / "pwned").exists()
    ended = run("resume=run", "max_env_steps=500", "trust=[evil]", cwd=stranger.parent)
    assert ended.returncode == 0 and (stranger.parent / "pwned").exists(), ended.stderr
    ended = run("run", "--episodes", "1", module="a3c_exp.evaluate", cwd=stranger.parent)
    assert ended.returncode == 0, ended.stderr


def test_ones_own_run_goes_on_working_wherever_it_is_moved_until_somebody_edits_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evil.py").write_text(EVIL)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    trained(tmp_path / "mine", "env.wrappers=[evil.Wrapper]", "metrics.extra=[evil.statistic]")
    moved = (tmp_path / "mine").rename(tmp_path / "moved")
    assert run("moved", "--out", "given", "--episodes", "1", module="a3c_exp.export", cwd=tmp_path).returncode == 0
    for folder in ("moved", "given"):
        ended = run(folder, "--episodes", "1", module="a3c_exp.evaluate", cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
    (tmp_path / "pwned").unlink()
    rewrite(moved / ".hydra" / "config.yaml", change("env.kwargs", {"sutton_barto_reward": True}))
    refused(moved, "evaluate", "--trust evil")


def test_a_run_without_code_of_others_leaves_nothing_in_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    trained(tmp_path / "plain", "env.wrappers=[gymnasium.wrappers.RecordEpisodeStatistics]")
    assert not (tmp_path / "data").exists() and not trust.is_own(tmp_path / "plain" / ".hydra" / "config.yaml")


class Pickled:
    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, ("touch pwned",)


@pytest.mark.parametrize("command", OBEYING)
def test_a_pickle_in_a_checkpoint_is_not_obeyed(command: str, stranger: Path) -> None:
    for path in (stranger / "checkpoints").glob("*.pt"):
        content = torch.load(path, weights_only=True)
        content.pop("sha256")
        torch.save({**content, "sha256": digest(content), "extra": Pickled()}, path)
    refused(stranger, command, "checkpoint")


def test_hydras_pickles_are_not_read(stranger: Path) -> None:
    (stranger / ".hydra" / "config.pickle").write_bytes(pickle.dumps(Pickled()))
    ended = run("--experimental-rerun", "run/.hydra/config.pickle", cwd=stranger.parent)
    assert ended.returncode == 2 and "resume=" in ended.stderr and not (stranger.parent / "pwned").exists()


def test_yaml_makes_no_objects(stranger: Path) -> None:
    path = stranger / ".hydra" / "config.yaml"
    path.write_text(path.read_text() + "\nnotes: !!python/object/apply:os.system ['touch pwned']\n")
    refused(stranger, "evaluate", "cannot be read")


def test_the_folders_of_seeds_stay_inside_their_folder(stranger: Path) -> None:
    rewrite(stranger / ".hydra" / "config.yaml", change("num_seeds", 2))
    for name in ("../run", "..", str(stranger), "seed=4/../.."):
        record = json.loads((stranger / "run.json").read_text()) | {"seeds": [name]}
        (stranger / "run.json").write_text(json.dumps(record))
        refused(stranger, "evaluate", "as a seed's folder")


BAD = (
    "</title></script></svg></style>--><script>x('pwned')</script><img src=x onerror=\"pwned()\">"
    "\" onload='pwned()' ' onload=\"pwned()\" {{7*7}}"
)


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def spoil(value: Any, key: str = "") -> Any:
    """Every text replaced but those by which a reader finds its way."""
    if isinstance(value, dict):
        return {name: spoil(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [spoil(item, key) for item in value]
    keep = ("format", "created", "started", "ended", "status", "reduction", "section", "scale")
    return BAD if isinstance(value, str) and key not in keep else value


def test_the_reports_page_shows_every_text_and_obeys_none(own: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        folder = Path(shutil.copytree(own, tmp_path / "runs" / f"run{number}<script>x('pwned')<"))
        record = json.loads((folder / "run.json").read_text())
        statistic = {"name": BAD, "help": BAD, "label": BAD, "title": BAD, "unit": BAD, "reduction": "mean_over_windows"}
        record |= {"status": "failed", "reason": BAD, "statistics": [statistic], "group": BAD, "tags": [BAD]}
        (folder / "run.json").write_text(json.dumps(spoil(record)))
        summary = json.loads((folder / "summary.json").read_text())
        (folder / "summary.json").write_text(json.dumps(spoil(summary)))
        config = spoil(yaml.safe_load((folder / ".hydra" / "config.yaml").read_text()))
        config["ablation"] |= {"name": BAD, "control": BAD, "arm": f"{BAD}{number}"}
        config["env"][BAD] = config["seed"] = f"{BAD}{number}"
        (folder / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config))
        for path in folder.glob("*.jsonl"):
            records = [spoil(json.loads(line)) | {BAD: 1.0} for line in path.read_text().splitlines()]
            path.write_text("".join(json.dumps(record) + "\n" for record in [*records, BAD]))
    assert report.main([str(tmp_path / "runs"), "--out", str(tmp_path / "page")]) in (0, None)
    html = (tmp_path / "page" / "index.html").read_text()
    page = Page()
    page.feed(html)
    assert "pwned" in html and not page.tags & {"script", "img", "iframe", "object", "embed"}
    assert not {name for name in page.attributes if name.startswith("on")} and "49" not in html.split("pwned")[1][:80]
    files = [path for path in tmp_path.rglob("*") if path.is_file() and tmp_path / "runs" not in path.parents]
    assert all((tmp_path / "page") in path.parents for path in files)
    for svg in (path for path in files if path.suffix == ".svg"):
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(svg).iter()}
        assert not tags & {"script", "img", "foreignObject"}, svg


def test_the_code_of_the_exploits_does_what_it_should_where_it_is_believed(tmp_path: Path) -> None:
    """Or the tests above would pass for another reason."""
    (tmp_path / "evil.py").write_text(EVIL)
    sys.modules.pop("evil", None)
    ended = run(
        "env=gymnasium", "env.id=evil:Evil-v0", "metrics.extra=[evil.statistic]", "optimizer._target_=evil.Optimizer",
        "optimizer=sgd", "env.wrappers=[evil.Wrapper]", "parallelism=synchronous", "workers=2", "logger=none",
        "max_env_steps=100", "evaluation.episodes=1", "hydra.run.dir=mine", cwd=tmp_path,
    )  # fmt: skip
    assert ended.returncode == 0 and (tmp_path / "pwned").exists(), ended.stderr
