"""The report's figures as a report in Weights & Biases, from the runs that it has. Only ``publish`` needs an account."""

import re
from collections.abc import Sequence
from typing import Any

from a3c_exp.report.aggregate import Comparison
from a3c_exp.report.figures.plot_specs import HEADINGS, PLOTS
from a3c_exp.report.run_reader import RunData
from a3c_exp.runs.run_directories import WANDB_ID_FILE
from a3c_exp.runs.tolerant_io import mapping, read_text
from a3c_exp.system.errors import A3CError, first_line
from a3c_exp.system.extras import import_extra

_PREFIXES = {"episodes": "episode", "metrics": "train", "evaluations": "eval"}
_AXIS_KEYS = {"env_step": "env_step", "episode": "episode/number", "wall_time": "train/wall_time"}
_RUN_ID = re.compile(r"\w{4,64}")
_COLUMNS, _WIDTH, _HEIGHT = 2, 12, 8  # of panels in W&B's grid, which is 24 units wide
_MAX_TITLE_LENGTH = 128


def wandb_panels(section: str) -> list[dict[str, Any]]:
    """The figures of one of ``HEADINGS`` whose numbers W&B has, in the same order, each by the arguments of its line plot."""
    found: list[dict[str, Any]] = []
    for plot in PLOTS:
        if plot.section == section and plot.source != "lags" and "." not in plot.quantity:  # numbers that the report makes
            prefix = "train" if plot.axis == "wall_time" else _PREFIXES[plot.source]  # the only rows that carry the clock
            x, y = _AXIS_KEYS[plot.axis], f"{prefix}/{plot.quantity}"
            found.append({"title": plot.title, "x": x, "y": [y], "log_y": plot.scale == "log" or None})
    return found


def run_ids(runs: Sequence[RunData]) -> list[str]:
    """What the runs are called in W&B, each once: seeds that trained together are one run there, kept one folder up."""
    found: dict[str, None] = {}
    for run in runs:
        texts = (read_text(folder / WANDB_ID_FILE, []).strip() for folder in (run.path, run.path.resolve().parent))
        found |= dict.fromkeys(list(filter(_RUN_ID.fullmatch, texts))[:1])
    return list(found)


def group_by_keys(comparison: Comparison) -> list[str]:
    """What W&B is to draw one curve of: an ablation's arms, else the value that differs, else group and job type."""
    ablations = [mapping(run.config.get("ablation")) for run in comparison.runs]
    if not all(ablation.get("name") for ablation in ablations) and len(comparison.varying_keys) == 1:
        return [f"config.{comparison.varying_keys[0]}"]
    return ["group", "jobType"]


def publish(comparison: Comparison, title: str) -> str:
    """Make the report in W&B; returns its address. Raises A3CError if it has none of the runs, or does not take the report."""
    if not run_ids(comparison.runs):
        raise A3CError("none of these runs was logged to W&B (logger=none), so a report there would show nothing")
    settings = next((mapping(run.config.get("logger")) for run in comparison.runs if mapping(run.config.get("logger"))), {})
    settings = mapping(settings.get("wandb")) or settings  # of several loggers
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
    wr = import_workspaces()
    runs: dict[str, Any] = {"name": f"{len(comparison.runs)} runs", "groupby": group_by_keys(comparison)}
    runs |= {"filters": f"Metric('ID') in {run_ids(comparison.runs)!r}"}
    runs |= {"project": project, "entity": entity} if entity else {}
    blocks: list[Any] = [
        wr.P(f"Made by a3c_exp.report from {len(comparison.runs)} runs of {len(comparison.configurations)} configurations."),
        wr.P("Verdicts, intervals over seeds and diagnostics are on the report's own page, index.html."),
    ]
    for section, heading in HEADINGS.items():
        plots = []
        for index, panel in enumerate(wandb_panels(section)):
            place = wr.Layout(x=_WIDTH * (index % _COLUMNS), y=_HEIGHT * (index // _COLUMNS), w=_WIDTH, h=_HEIGHT)
            plots.append(wr.LinePlot(**panel, layout=place, groupby_aggfunc="mean", groupby_rangefunc="stddev"))
        if plots:
            blocks += [wr.H2(heading), wr.PanelGrid(runsets=[wr.Runset(**runs)], panels=plots)]
    title = f"a3c_exp: {title}"[:_MAX_TITLE_LENGTH]
    return wr.Report(project=project, entity=entity, title=title, blocks=blocks, width="fluid")


def import_workspaces() -> Any:
    """The library that builds such reports. Raises ConfigError, which says what to type, if it is not installed."""
    return import_extra("--wandb", "wandb_workspaces.reports.v2")
