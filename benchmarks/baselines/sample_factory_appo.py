"""sample-factory's APPO: training speed on gymnasium's CarRacing-v3 from pixels, on the processor.

python -m benchmarks.baselines.sample_factory_appo --workers 8 --seconds 20                     steps per second
python -m benchmarks.baselines.sample_factory_appo --serial_mode=True --async_rl=False          in one process
python -m benchmarks.baselines.sample_factory_appo --num_envs_per_worker=2 --worker_num_splits=2

How to install it is in benchmarks/README.md, under driving. Options it does not know go to sample-factory. Without any,
settings are the library's own defaults: asynchronous training, windows of 32 steps, batches of 1024, one epoch,
``convnet_simple`` (three convolutions of 32, 64 and 128 filters), a dense layer and a GRU of 512, Adam. Four are not:

- ``device=cpu``;
- ``obs_scale=255``, as all of its own tasks from pixels have it;
- one environment per worker instead of two, so that 8 workers are 8 cars here as in the other libraries, and so
  ``worker_num_splits=1``, as its own preset for Atari has both: its default splits a worker's environments into two halves.

The images are gymnasium's, 96x96 in three colors, with the colors first by sample-factory's own wrapper, as in its Doom.
"""

import argparse
import contextlib
import importlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

ENV = "CarRacing-v3"
WARM_UP = 2  # batches: the second ends while the next is being collected, as all later ones do
MISSING = "sample-factory cannot be imported ({}). How to install it is in benchmarks/README.md, under driving"


class SpeedMeter:
    """Measures a training between ends of batches, and lets it end.

    Args:
        seconds: least length of the measurement, which lasts until the batch ends that is being trained by then.
        batch: environment steps per batch.
    """

    def __init__(self, seconds: float, batch: int) -> None:
        self._seconds = seconds
        self._batch = batch
        self._ends: list[float] = []

    def batch_ended(self, now: float) -> bool:
        """Take note of the end of a batch; whether the measurement is complete."""
        self._ends.append(now)
        return len(self._ends) > WARM_UP and now - self._ends[WARM_UP - 1] >= self._seconds

    def steps_per_second(self) -> float:
        """Environment steps trained per second, without the warm-up."""
        return (len(self._ends) - WARM_UP) * self._batch / (self._ends[-1] - self._ends[WARM_UP - 1])


def speed(workers: int, seconds: float, seed: int, settings: Sequence[str] = ()) -> float:
    """Environment steps trained per second in the steady state.

    Args:
        workers: processes that step one environment each.
        settings: sample-factory's own options, as on its command line; they come after those of this file.

    Raises:
        RuntimeError: the training ended before the measurement; sample-factory's log, on stderr, has the reason.
    """
    from sample_factory.algo.runners.runner import AlgoObserver
    from sample_factory.algo.utils.misc import ExperimentStatus
    from sample_factory.cfg.arguments import parse_full_cfg, parse_sf_args
    from sample_factory.envs.env_utils import register_env
    from sample_factory.train import make_runner

    class Observer(AlgoObserver):  # type: ignore[misc]  # the library has no types where it is not installed
        def on_training_step(self, runner: Any, _: int) -> None:
            if meter.batch_ended(time.perf_counter()):
                runner.cfg.train_for_env_steps = 0  # it looks at its budget next

    register_env(ENV, make_env)
    with tempfile.TemporaryDirectory(prefix="sample_factory_", ignore_cleanup_errors=True) as folder:
        arguments = [
            *(f"--env={ENV}", f"--seed={seed}", f"--train_dir={folder}", "--device=cpu", "--obs_scale=255"),
            *(f"--num_workers={workers}", "--num_envs_per_worker=1", "--worker_num_splits=1"),
            *settings,
        ]
        parser, _ = parse_sf_args(arguments)
        config, runner = make_runner(parse_full_cfg(parser, arguments))
        meter = SpeedMeter(seconds, config.batch_size * config.num_batches_per_epoch)
        runner.register_observer(Observer())
        status = runner.init()
        if status == ExperimentStatus.SUCCESS:
            status = runner.run()
        if status != ExperimentStatus.SUCCESS:
            raise RuntimeError(f"sample-factory ended with status {status}: its log above has the reason")
    return meter.steps_per_second()


def make_env(name: str, config: Any = None, env_config: Any = None, render_mode: str | None = None) -> Any:
    """gymnasium's environment with the colors first. sample-factory's processes import it by name."""
    import gymnasium
    from sample_factory.envs.env_wrappers import PixelFormatChwWrapper

    return PixelFormatChwWrapper(gymnasium.make(name, render_mode=render_mode))


def missing() -> str | None:
    """Why sample-factory cannot be used with this interpreter, or ``None`` if it can."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            importlib.import_module("sample_factory.train")
            importlib.import_module("sample_factory.envs.env_wrappers")
    except ImportError as error:
        return MISSING.format(error)
    return None


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.baselines.sample_factory_appo",
        description=(__doc__ or "").splitlines()[0],
        epilog="Other options, as --name=value, go to sample-factory.",
        allow_abbrev=False,
    )
    parser.add_argument("--workers", type=int, default=8, help="processes with one environment each (8)")
    parser.add_argument("--seconds", type=float, default=20.0, help="least length of the measurement (20)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    arguments, settings = parser.parse_known_args()
    if (reason := missing()) is not None:
        print(reason, file=sys.stderr)
        return 2
    rate = speed(arguments.workers, arguments.seconds, arguments.seed, settings)
    print(json.dumps({"steps_per_second": rate}) if arguments.json else f"{rate:,.1f} steps/s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
