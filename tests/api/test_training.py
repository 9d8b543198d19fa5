"""Training from Python is what the command does, with callbacks and tables."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import a3c_exp
from a3c_exp.api import training
from a3c_exp.api.training import as_override
from a3c_exp.config.compose import compose_jobs, hydra_initialized, parse_overrides
from a3c_exp.training.resume import saved_config
from tests.support.command import lines, record, summary
from tests.support.trained import SMALL, trained


class Recorder(a3c_exp.Callback):
    """Writes down what it is called with; asks to stop at the hook that it is told, from an environment step on."""

    def __init__(self, stop_in: str = "", stop_from: int = 0, signal_at: int | None = None) -> None:
        self.calls: list[tuple[str, Any]] = []
        self._stop_in, self._stop_from, self._signal_at = stop_in, stop_from, signal_at

    def _note(self, name: str, value: Any, env_step: int) -> bool | None:
        self.calls.append((name, value))
        return False if name == self._stop_in and env_step >= self._stop_from else None

    def on_start(self, run: Any) -> None:
        self._note("start", run.directory, 0)

    def on_episode(self, episode: Any) -> bool | None:
        return self._note("episode", episode.return_, episode.env_step)

    def on_metrics(self, metrics: Any) -> bool | None:
        return self._note("metrics", metrics.env_step, metrics.env_step)

    def on_evaluation(self, evaluation: Any) -> bool | None:
        if evaluation.env_step == self._signal_at:
            os.kill(os.getpid(), signal.SIGINT)
        return self._note("evaluation", evaluation.env_step, evaluation.env_step)

    def on_checkpoint(self, path: Path, env_step: int) -> bool | None:
        assert path.is_file()
        return self._note("checkpoint", env_step, env_step)

    def on_end(self, status: Any, summary: Any) -> None:
        self._note("end", (status, summary["reason"]), 0)

    def of(self, name: str) -> list[Any]:
        return [value for called, value in self.calls if called == name]


class Stopper(a3c_exp.Callback):
    """Named by a configuration."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_metrics(self, metrics: Any) -> bool | None:
        return metrics.env_step < self.step


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, recorder: Recorder) -> a3c_exp.Run:
    folder = tmp_path_factory.mktemp("run") / "mine"
    values: dict[str, Any] = {"workers": 3, "optimizer.lr": 1e-3, "name": "it's mine", "tags": ["a", "7"], "logger": "none"}
    return a3c_exp.train(*SMALL, f"hydra.run.dir={folder}", callbacks=[recorder], **values)


def test_a_run_is_that_of_the_command(run: a3c_exp.Run, tmp_path: Path) -> None:
    by_command = trained(tmp_path / "command", "workers=3", "optimizer.lr=1e-3")
    for key in ("weights_digest", "episodes_digest"):
        assert run.summary[key] == summary(by_command)[key]
    assert (run.summary["status"], run.summary["env_steps"]) == ("finished", 400)
    assert run.config.name == "it's mine" and list(run.config.tags) == ["a", "7"]
    assert run.config == saved_config(run.directory)
    assert record(run.directory)["command"].startswith("python -m a3c_exp env=gymnasium env.id=CartPole-v1")
    assert "workers=3" in record(run.directory)["overrides"]
    assert (run.directory / ".hydra" / "overrides.yaml").is_file()


def test_callbacks_are_called_with_what_is_logged(run: a3c_exp.Run, recorder: Recorder) -> None:
    assert recorder.of("start") == [run.directory]
    assert recorder.of("episode") == [line["return"] for line in lines(run.directory / "episodes.jsonl")]
    assert recorder.of("metrics") == [line["env_step"] for line in lines(run.directory / "metrics.jsonl")]
    assert recorder.of("evaluation") == [line["env_step"] for line in lines(run.directory / "evaluations.jsonl")]
    assert recorder.of("checkpoint") == [0, 400]
    assert recorder.of("end") == [("finished", None)] and recorder.calls[-1][0] == "end"


def test_tables_are_the_logs(run: a3c_exp.Run) -> None:
    pytest.importorskip("pandas", reason="extra `pandas` is not installed")
    assert run.episodes["return"].tolist() == [line["return"] for line in lines(run.directory / "episodes.jsonl")]
    assert run.metrics["entropy"].notna().all() and run.evaluations["returns"].map(len).tolist() == [2, 2]


def test_seeds_that_trained_together_are_told_apart(tmp_path: Path) -> None:
    pytest.importorskip("pandas", reason="extra `pandas` is not installed")
    recorder = Recorder()
    run = a3c_exp.train(*SMALL, f"hydra.run.dir={tmp_path / 'two'}", callbacks=[recorder], logger="none", num_seeds=2)
    counts = run.episodes.groupby("seed").size().to_dict()
    assert (
        counts == {seed: len(lines(run.directory / f"seed={seed}" / "episodes.jsonl")) for seed in (4, 5)}
        and recorder.of("episode") == []
    )
    assert recorder.of("evaluation") == [200, 400] and recorder.of("checkpoint") == [0, 0, 400, 400]


@pytest.mark.parametrize(("hook", "stop_from", "ends"), [("evaluation", 0, 200), ("metrics", 300, 300), ("checkpoint", 0, 0)])
def test_a_callback_ends_a_run_at_its_own_step_as_if_it_were_the_budget(
    hook: str, stop_from: int, ends: int, tmp_path: Path
) -> None:
    recorder = Recorder(hook, stop_from)
    directory = f"hydra.run.dir={tmp_path / 'stopped'}"
    run = a3c_exp.train(*SMALL, directory, callbacks=[recorder], logger="none")
    assert (run.summary["status"], run.summary["env_steps"]) == ("finished", ends)
    assert run.summary["reason"] == "Recorder asked to stop"
    assert recorder.of("evaluation")[-1] == ends and (run.directory / "checkpoints" / f"step_{ends}.pt").is_file()


def test_a_configuration_names_callbacks_and_ctrl_c_is_pythons_own(tmp_path: Path) -> None:
    directory = tmp_path / "interrupted"
    named = f"callbacks=[{{_target_: {Stopper.__module__}.Stopper, step: 1000}}]"
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what tests are started by may ignore it, as nohup does
    with pytest.raises(KeyboardInterrupt):
        a3c_exp.train(
            *SMALL, named, "logger=none", f"hydra.run.dir={directory}", callbacks=[Recorder(signal_at=200)], max_env_steps=2000
        )
    assert record(directory)["status"] == "interrupted" and (directory / "checkpoints" / "step_200.pt").is_file()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    resumed = a3c_exp.train(resume=directory)
    assert resumed.summary["env_steps"] == 1000 and resumed.summary["reason"] == "Stopper asked to stop"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["env=cartpol"], "cartpole"),
        (["workers=1,2"], "Add -m"),
        (["callbacks=[{_target_: a3c_exp.loggers.base.NullLogger}]"], "no Callback"),
        (["hydra.run.dir={run}"], "no run is ever overwritten"),
    ],
)
def test_a_mistake_is_the_commands_line_as_an_exception(overrides: list[str], message: str, run: a3c_exp.Run) -> None:
    with pytest.raises(a3c_exp.ConfigError, match=message):
        a3c_exp.train(*(text.replace("{run}", str(run.directory)) for text in overrides))


def test_values_mean_the_same_in_hydra() -> None:
    texts = ["relu", "true", "12", "a,b", "it's", 'say "x"', "back\\slash'", "", "a=b"]
    nested = [[1, [2.5, "x y"], None], {"kind": "uniform", "low": 0.1}]
    values = [0, -3, 50_000, 1e-5, 2.5, None, True, False, *texts, *nested, Path("/tmp/a b"), np.float32(0.5)]
    with hydra_initialized([]):
        for value in values:
            (parsed,) = parse_overrides([f"+key={as_override(value)}"])
            expected = str(value) if isinstance(value, Path) else value
            assert parsed.value() == expected, value
    with pytest.raises(a3c_exp.ConfigError, match="what you would type"):
        as_override(object())


@pytest.fixture
def main_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    script = tmp_path / "script.py"
    main = ModuleType("__main__")
    main.__file__ = str(script)
    monkeypatch.setitem(sys.modules, "__main__", main)
    yield script
    training._guarded_lines.cache_clear()


@pytest.mark.parametrize(("guard", "refused"), [("if True:", True), ('if __name__ == "__main__":', False)])
def test_a_script_without_the_guard_is_told_so_before_its_processes_import_it(
    main_module: Path, guard: str, refused: bool
) -> None:
    text = f"def f():\n    require('parallelism=hogwild')\n{guard}\n    f()\n"
    main_module.write_text(text)
    names = vars(sys.modules["__main__"])
    names |= {"require": training._require_guard}
    code = compile(text, str(main_module), "exec")
    if refused:
        with pytest.raises(a3c_exp.ConfigError, match=r"script\.py, line 4, trains at the top level"):
            exec(code, names)
    else:
        exec(code, names)


def test_a_script_that_is_no_file_is_refused_and_a_notebook_is_not(main_module: Path) -> None:
    with pytest.raises(a3c_exp.ConfigError, match="is no file"):
        training._require_guard("parallelism=hogwild")
    del sys.modules["__main__"].__file__
    training._require_guard("parallelism=hogwild")


def test_only_runs_with_processes_need_the_guard() -> None:
    starts = {
        text: training._starts_processes(compose_jobs([text, "workers=4"], multirun=False)[0])
        for text in ("parallelism=hogwild", "parallelism=deterministic", "parallelism=parameter_server")
    }
    assert starts == {
        "parallelism=hogwild": True, "parallelism=deterministic": False, "parallelism=parameter_server": True,
    }  # fmt: skip


def test_another_thread_is_refused() -> None:
    errors: list[str] = []

    def call() -> None:
        try:
            a3c_exp.train("env=cartpole")
        except a3c_exp.ConfigError as error:
            errors.append(str(error))

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert len(errors) == 1 and "Call it in the main thread" in errors[0]
