"""Without an extra, whatever needs it says which one to install, in one line and before anything is started or made."""

import importlib
import re
import sys
import tomllib
from pathlib import Path

import gymnasium
import pytest
from hydra.core.config_store import ConfigStore

import a3c_exp
from a3c_exp.system.errors import ConfigError
from a3c_exp.system.extras import PROVIDERS, import_extra, require_extra
from tests.support.command import ROOT
from tests.support.synthetic_runs import write_run
from tests.test_layers import imports

SUBMITIT = "hydra_plugins.hydra_submitit_launcher"
COMMANDS = [
    ("ale_py", "a3c_exp env=atari"),
    ("ale_py", "a3c_exp env=gymnasium env.id=ALE/Pong-v5"),
    ("ale_py", "a3c_exp +experiment=zoo/pong"),
    ("envpool", "a3c_exp env=car_racing env.backend=envpool"),
    ("huggingface_hub", "a3c_exp.export pretrained/cartpole --push-to-hub someone/cartpole"),
    (SUBMITIT, "a3c_exp +study=pendulum hydra/launcher=submitit_local -m"),
    (SUBMITIT, "a3c_exp workers=1,2 hydra/launcher=submitit_slurm -m"),
    ("imageio_ffmpeg", "a3c_exp env=cartpole evaluation.video=true"),
    ("imageio_ffmpeg", "a3c_exp.evaluate pretrained/cartpole --video"),
    ("matplotlib", "a3c_exp.report run"),
    ("matplotlib", "a3c_exp.report --compare run run"),
    ("minigrid", "a3c_exp env=gymnasium env.id=MiniGrid-Empty-5x5-v0"),
    ("mlflow", "a3c_exp env=cartpole logger=mlflow"),
    ("mlflow", "a3c_exp env=cartpole logger=[csv,mlflow]"),
    ("mujoco", "a3c_exp env=gymnasium env.id=HalfCheetah-v5"),
    ("onnx", "a3c_exp.export pretrained/cartpole --onnx"),
    ("onnxruntime", "a3c_exp.export run --onnx --torch"),
    ("onnxscript", "a3c_exp.export pretrained/cartpole --onnx"),
    ("ray", "a3c_exp parallelism=ray"),
    ("ray", "a3c_exp workers=1,2 hydra/launcher=ray -m"),
    ("ray", "a3c_exp +study=pendulum hydra/launcher=ray -m"),
    ("skimage", "a3c_exp env=car_racing env.preprocessing=skimage"),
    ("tensorboard", "a3c_exp env=cartpole logger=tensorboard"),
    ("wandb_workspaces", "a3c_exp.report run --wandb"),
]
WITHOUT_COMMAND = {"pandas", "optuna_dashboard"}  # the Python API's, tested below; a program of its own


def hide(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it were not installed: gone with all that was imported of it, and what it registered."""
    for name in [*sys.modules]:
        if f"{name}.".startswith((f"{module}.", f"gymnasium.envs.{module}.")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    for id, spec in [*gymnasium.registry.items()]:
        if str(spec.entry_point).startswith(f"{module}."):
            monkeypatch.delitem(gymnasium.registry, id)
    if module == SUBMITIT:
        for name in ("submitit_local", "submitit_slurm"):
            monkeypatch.delitem(ConfigStore.instance().repo["hydra"]["launcher"], f"{name}.yaml", raising=False)


@pytest.mark.parametrize(("module", "command"), COMMANDS, ids=[command for _, command in COMMANDS])
def test_one_line_says_which_extra_to_install_and_nothing_is_made(
    module: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run", episodes=2)
    before = sorted(tmp_path.rglob("*"))
    program, *arguments = command.split()
    main = importlib.import_module(f"{program}.__main__").main
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    hide(module, monkeypatch)
    try:
        code = main()
    except SystemExit as ended:
        code = ended.code
    said = capsys.readouterr()
    package, extra = PROVIDERS[module]
    assert code == 2 and said.out == "" and said.err.count("\n") == 1, said.err
    assert f" needs {package}, which is not installed. Type pip install 'a3c_exp[{extra}]'" in said.err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_table_without_pandas_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = a3c_exp.Run(write_run(tmp_path / "run", episodes=2))
    hide("pandas", monkeypatch)
    with pytest.raises(ConfigError, match=r"a table of episodes needs pandas, .*Type pip install 'a3c_exp\[pandas\]'"):
        _ = run.episodes


def test_a_package_that_is_there_and_cannot_be_imported_is_not_called_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "skimage.py").write_text("raise ImportError('libGL.so.1: no such file')")
    hide("skimage", monkeypatch)
    monkeypatch.delitem(sys.modules, "skimage")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"which cannot be imported \(libGL.so.1: no such file\)\. Type pip install"):
        import_extra("this", "skimage.color")
    require_extra("this", "skimage", otherwise="that")


def test_every_package_beyond_the_dependencies_is_in_an_extra_and_has_its_command() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for package, extra in PROVIDERS.values():
        assert any(re.match(rf"{package}\b", wanted) for wanted in project["optional-dependencies"][extra]), package
    assert {module for module, _ in COMMANDS} | WITHOUT_COMMAND == PROVIDERS.keys()
    required = {re.match(r"[\w-]+", wanted)[0].lower() for wanted in project["dependencies"]}  # type: ignore[index]
    modules = {"hydra-core": "hydra", "pillow": "PIL", "annotated-types": "annotated_types", "box2d": "Box2D"}
    # What these bring along: gymnasium's extras, Jinja2, OmegaConf.
    own = {modules.get(name, name) for name in required} | {"pygame", "markupsafe", "yaml", "a3c_exp"}
    known = own | PROVIDERS.keys() | sys.stdlib_module_names
    files = [*Path(a3c_exp.__file__).parent.rglob("*.py"), *(ROOT / "hydra_plugins").glob("*.py")]
    unknown = {name for file in files for _, name in imports(file) if name.partition(".")[0] not in known}
    assert not unknown, "import_extra names the extra where it is missing: give PROVIDERS a line for each"
