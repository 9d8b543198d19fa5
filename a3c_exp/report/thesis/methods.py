"""A paragraph on methods, made from the runs that a report is about, ready to be pasted and gone over."""

from collections.abc import Iterable, Sequence

from a3c_exp import __version__
from a3c_exp.report.aggregate import Comparison
from a3c_exp.report.run_reader import RunData
from a3c_exp.report.thesis.latex import escape_latex
from a3c_exp.report.thesis.references import cited_keys, class_name, has_looks
from a3c_exp.runs.config_values import MISSING, as_text, select
from a3c_exp.runs.run_directories import natural_sort_key
from a3c_exp.runs.tolerant_io import mapping
from a3c_exp.system.number_format import format_count

_WAYS = {
    "Hogwild": r"asynchronous workers that share their weights without waiting for each other~\cite{recht2011}",
    "Deterministic": "asynchronous workers in virtual time, which repeats bit for bit",
    "Synchronous": "synchronous workers (A2C)",
    "ParameterServer": "asynchronous workers with a parameter server",
}
_BUDGETS = {"max_env_steps": "environment steps", "max_episodes": "episodes", "max_updates": "updates"}
_CITED = {"kingma2015": "Adam", "tieleman2012": "RMSprop", "schulman2016": "generalized advantage estimation"}


def methods_paragraph(comparison: Comparison, has_verdicts: bool) -> str:
    """LaTeX on algorithm, seeds, steps, evaluation, statistics and versions; values in which runs differ are ranges or lists.

    Args:
        comparison: all runs; what did not finish is counted, and said to be left out.
        has_verdicts: whether the report judges claims.
    """
    runs = [run for run in comparison.runs if run.status == "finished"] or list(comparison.runs)
    left_out = len(comparison.runs) - len(runs)
    sentences = [
        _algorithm(runs, cited_keys(runs, has_verdicts)),
        _budget(comparison, runs),
        *([f"{left_out} of {len(comparison.runs)} runs did not finish and are left out."] if left_out else []),
        *_evaluation(runs),
        _statistics(has_verdicts, any(map(has_looks, runs))),
        _versions(runs),
    ]
    head = "% Made by python -m a3c_exp.report --thesis from the runs; the keys cited are in references.bib."
    return "\n".join([head, *sentences]) + "\n"


def _algorithm(runs: Sequence[RunData], cited: Sequence[str]) -> str:
    tasks = _listed(run.task for run in runs)
    ways = _joined([_WAYS.get(name, escape_latex(name)) for name in _distinct(class_name(run, "parallelism") for run in runs)])
    workers, windows = _values(runs, "workers"), _values(runs, "n_step")
    parts = rf"We trained advantage actor-critic~\cite{{mnih2016}}{f' on {tasks}' if tasks else ''}"
    parts += f" with {ways}" if ways else ""
    parts += f"; the number of workers was {workers}" if workers else ""
    parts += f" and windows had up to {windows} steps" if windows else ""
    used = [rf"{name}~\cite{{{key}}}" for key, name in _CITED.items() if key in cited]
    return (
        f"{parts}. {f'We used {_joined(used)}. ' if used else ''}The discount factor was {_values(runs, 'gamma') or 'unknown'}."
    )


def _budget(comparison: Comparison, runs: Sequence[RunData]) -> str:
    configurations = len(comparison.configurations)
    counts = [len({run.seed for run in runs if run in item.runs}) for item in comparison.configurations]
    seeds = _span([count for count in counts if count] or [0])
    each = "The configuration" if configurations == 1 else f"Each of the {configurations} configurations"
    budgets = [f"{text} {unit}" for key, unit in _BUDGETS.items() if (text := _values(runs, key))]
    return f"{each} was trained with {seeds} random seeds, each for {_joined(budgets) or 'an unknown budget'}."


def _evaluation(runs: Sequence[RunData]) -> list[str]:
    every, episodes = _values(runs, "evaluation.every_env_steps"), _values(runs, "evaluation.episodes")
    if not every or not episodes:
        return []
    modes = {select(run.config, "evaluation.deterministic") for run in runs}
    actions = {frozenset({True}): "the most likely actions", frozenset({False}): "sampled actions"}.get(
        frozenset(modes), "the most likely or sampled actions"
    )
    return [
        f"Every {every} environment steps the current policy was evaluated without learning on {episodes} held-out episodes, "
        f"the same ones every time, with {actions}."
    ]


def _statistics(has_verdicts: bool, in_batches: bool) -> str:
    means = r"Means over seeds are given with standard deviations or with 95\,\% percentile bootstrap intervals."
    if not has_verdicts:
        return means
    looks = (
        r" Seeds came in batches until claims were decided; the looks were planned before, and by alpha "
        r"spending~\cite{lan1983} the intervals hold at all of them together."
    )
    return (
        rf"{means} Groups are compared by interquartile means over seeds with 95\,\% bootstrap "
        r"intervals~\cite{agarwal2021}. Claims are judged by intervals of Yuen's test on trimmed means~\cite{yuen1974} at "
        r"Bonferroni's level, which hold together with 95\,\% confidence; a claim is supported only if its effect is also as "
        r"large as the margin that was set before."
    ) + (looks if in_batches else "")


def _versions(runs: Sequence[RunData]) -> str:
    versions: dict[str, list[str]] = {}
    for run in runs:
        for name, version in mapping(run.run_json.get("versions")).items():
            versions.setdefault(str(name), []).append(str(version))
    own = _listed(versions.pop("a3c_exp", [str(__version__)]))
    named = [f"{escape_latex(name)} {_listed(found)}" for name, found in versions.items()]
    code = _listed(run.code for run in runs if mapping(run.run_json.get("git")).get("commit"))
    software = [rf"a3c\_exp {own}{f' ({code})' if code else ''}", *named]
    return rf"We used {_joined(software)}; networks and gradients were computed with PyTorch~\cite{{paszke2019}}."


def _values(runs: Sequence[RunData], key: str) -> str:
    """The value of a key; a range where runs differ in numbers; empty where it is null or unknown."""
    values = [value for run in runs if (value := select(run.config, key)) not in (None, MISSING)]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return _span(numbers) if numbers and len(numbers) == len(values) else _listed(map(as_text, values))


def _span(numbers: Sequence[float]) -> str:
    low, high = (as_text(edge) if edge % 1 else format_count(edge) for edge in (min(numbers), max(numbers)))
    return low if low == high else f"{low} to {high}"


def _distinct(texts: Iterable[str]) -> list[str]:
    return sorted({text for text in texts if text}, key=natural_sort_key)


def _listed(texts: Iterable[str]) -> str:
    return _joined(list(map(escape_latex, _distinct(texts))))


def _joined(texts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))
