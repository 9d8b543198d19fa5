"""What a run has logged, as pandas tables."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from a3c_exp.runs.record import load as load_record
from a3c_exp.runs.tolerant_io import read_json_lines, read_json_object
from a3c_exp.system.extras import import_extra
from a3c_exp.training.resume import saved_config

if TYPE_CHECKING:
    from pandas import DataFrame

    from a3c_exp.api.policy import Policy


class Run:
    """A run directory, finished or not; what is read is what its files hold now. Raises RunDirectoryError if it is none.

    Of seeds that trained together (``num_seeds``) the tables have the lines of all of them, and a column ``seed``.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory).expanduser()
        load_record(self.directory)

    def __repr__(self) -> str:
        return f"Run({str(self.directory)!r})"

    @property
    def config(self) -> DictConfig:
        """The configuration; errors as of ``a3c_exp.load``."""
        return saved_config(self.directory)

    @property
    def summary(self) -> dict[str, Any]:
        """summary.json: how the run ended, its evaluations, digests; empty while it trains."""
        return dict(read_json_object(self.directory / "summary.json", []) or {})

    @property
    def episodes(self) -> "DataFrame":
        """A row for each training episode: ``return``, ``length``, ``worker``, ``env_step`` and so on."""
        return self._table("episodes")

    @property
    def metrics(self) -> "DataFrame":
        """A row every ``metrics.every_env_steps``: losses, entropy, speed."""
        return self._table("metrics")

    @property
    def evaluations(self) -> "DataFrame":
        """A row for each evaluation of the weights: ``mean``, its interval ``ci_low`` to ``ci_high``, ``returns``."""
        return self._table("evaluations")

    def policy(self, checkpoint: str = "best") -> "Policy":
        """``a3c_exp.load`` of this run."""
        from a3c_exp.api.policy import load

        return load(self.directory, checkpoint)

    def _table(self, name: str) -> "DataFrame":
        table: DataFrame = import_extra(f"a table of {name}", "pandas").DataFrame(list(self._lines(name)))
        return table

    def _lines(self, name: str) -> Iterator[dict[str, Any]]:
        seeds = load_record(self.directory).get("seeds")
        if not isinstance(seeds, list):
            yield from map(dict, read_json_lines(self.directory / f"{name}.jsonl"))
            return
        for seed in map(str, seeds):
            if Path(seed).name == seed:  # a stranger's run.json cannot lead elsewhere
                number = json.loads(seed.removeprefix("seed="))
                yield from ({"seed": number, **line} for line in read_json_lines(self.directory / seed / f"{name}.jsonl"))
