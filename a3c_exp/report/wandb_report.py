"""The report's figures as a report in Weights & Biases, drawn there from the runs that it has. Needs an account.

What goes into it is decided by ``wandb_panels``, ``run_ids`` and ``group_by_keys``, which need neither an account nor wandb;
``publish`` sends it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from a3c_exp.report.aggregate import Comparison
from a3c_exp.report.figures.plot_specs import HEADINGS, PLOTS
from a3c_exp.report.run_reader import RunData
from a3c_exp.runs.tolerant_io import mapping
from a3c_exp.system.errors import A3CError, first_line

_PREFIXES = {"episodes": "episode", "metrics": "train", "evaluations": "eval"}
_AXIS_KEYS = {"env_step": "env_step", "episode": "episode/number", "wall_time": "train/wall_time"}
_RUN_ID = re.compile(r"\w{4,64}")
_COLUMNS, _HEIGHT = 2, 8  # W&B's grid is 24 units wide
_MAX_TITLE_LENGTH = 128


@dataclass(frozen=True)
class WandbPanel:
    """A line plot: what W&B calls the numbers, and how they are drawn.

    Attributes:
        title: above it.
        section: the heading it stands under, as on the page.
        x, y: keys as the W&B logger writes them.
        log: whether the upward axis is logarithmic.
    """

    title: str
    section: str
    x: str
    y: str
    log: bool


def wandb_panels() -> list[WandbPanel]:
    """The figures of the report whose numbers W&B has, in the same order."""
    found = []
    for plot in PLOTS:
        if plot.source == "lags" or "." in plot.quantity:
            continue  # of these W&B has no numbers: they are made by the report
        y = f"{_PREFIXES[plot.source]}/{plot.quantity}"
        if plot.axis == "wall_time":
            y = f"train/{plot.quantity}"  # the only rows that carry the clock
        found.append(WandbPanel(plot.title, HEADINGS[plot.section], _AXIS_KEYS[plot.axis], y, plot.scale == "log"))
    return found


def run_ids(runs: Sequence[RunData]) -> list[str]:
    """What the runs are called in W&B, each once: seeds that trained together are one run there, kept one folder up."""
    found = []
    for run in runs:
        for folder in (run.path, run.path.resolve().parent):
            try:
                text = (folder / "wandb_id").read_text(encoding="utf-8", errors="replace").strip()
            except OSError:
                continue
            if _RUN_ID.fullmatch(text):
                found.append(text)
                break
    return list(dict.fromkeys(found))


def group_by_keys(comparison: Comparison) -> list[str]:
    """What W&B is to draw one curve of: an ablation's arms, else the value that differs, else group and job type."""
    configs = [mapping(run.config.get("ablation")) for run in comparison.runs]
    if not all(config.get("name") for config in configs) and len(comparison.varying_keys) == 1:
        return [f"config.{comparison.varying_keys[0]}"]
    return ["group", "jobType"]


def check_ready() -> None:
    """Pass if what builds such a report is installed.

    Raises:
        A3CError: it is not; says what to type.
    """
    _import_workspaces()


def publish(comparison: Comparison, title: str) -> str:
    """Make the report in W&B; returns its address.

    Raises:
        A3CError: no run was ever sent to W&B, or it does not take the report.
    """
    if not run_ids(comparison.runs):
        raise A3CError("none of these runs was logged to W&B (logger=none), so a report there would show nothing")
    settings = next((mapping(run.config.get("logger")) for run in comparison.runs if mapping(run.config.get("logger"))), {})
    project = str(settings.get("project") or "a3c_exp")
    try:
        import wandb

        entity = str(settings.get("entity") or wandb.Api(timeout=15).default_entity)
        report = build_report(comparison, title, project, entity)
        report.save()
        return str(report.url)
    except Exception as error:  # whatever the network, the account or the library makes of it
        raise A3CError(f"W&B did not take the report: {type(error).__name__}: {first_line(error)[:200]}") from error


def build_report(comparison: Comparison, title: str, project: str, entity: str) -> Any:
    """The report as wandb-workspaces' ``Report``, not yet saved; with ``entity`` empty it needs no network."""
    wr = _import_workspaces()
    runs = {
        "name": f"{len(comparison.runs)} runs",
        "filters": f"Metric('ID') in {run_ids(comparison.runs)!r}",
        "groupby": group_by_keys(comparison),
    }
    blocks: list[Any] = [
        wr.P(f"Made by a3c_exp.report from {len(comparison.runs)} runs of {len(comparison.configurations)} configurations."),
        wr.P("Verdicts, intervals over seeds and diagnostics are on the report's own page, index.html."),
    ]
    for section in HEADINGS.values():
        some = [panel for panel in wandb_panels() if panel.section == section]
        if some:
            place = {"project": project, "entity": entity} if entity else {}
            grid = wr.PanelGrid(
                runsets=[wr.Runset(**place, **runs)], panels=[_line_plot(wr, i, one) for i, one in enumerate(some)]
            )
            blocks += [wr.H2(section), grid]
    return wr.Report(
        project=project, entity=entity, title=f"a3c_exp: {title}"[:_MAX_TITLE_LENGTH], blocks=blocks, width="fluid"
    )


def _line_plot(wr: Any, index: int, panel: WandbPanel) -> Any:
    width = 24 // _COLUMNS
    place = wr.Layout(x=width * (index % _COLUMNS), y=_HEIGHT * (index // _COLUMNS), w=width, h=_HEIGHT)
    shade = {"groupby_aggfunc": "mean", "groupby_rangefunc": "stddev"}
    return wr.LinePlot(title=panel.title, x=panel.x, y=[panel.y], log_y=panel.log or None, layout=place, **shade)


def _import_workspaces() -> Any:
    try:
        import wandb_workspaces.reports.v2 as library
    except ImportError as error:
        raise A3CError(
            'a report in W&B needs wandb-workspaces, which is not installed: pip install "a3c_exp[report]"'
        ) from error
    return library
