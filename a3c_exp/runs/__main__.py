"""``python -m a3c_exp.runs``: lists, compares and ranks runs, from their files alone."""

import argparse
import gc
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

from a3c_exp.runs.config_values import MISSING
from a3c_exp.runs.format_table import Terminal
from a3c_exp.runs.listing import runs_csv, runs_table, sort_by_key, sort_by_time
from a3c_exp.runs.query import CONDITION_HINT, check_key, is_condition, parse_condition, select_runs
from a3c_exp.runs.run_directories import find_runs, natural_sort_key
from a3c_exp.runs.run_summary import RunSummary, find_run_summaries
from a3c_exp.runs.sweep_plan import describe_rest, is_sweep, read_sweep_plan
from a3c_exp.system.cli import CommandParser, run_command
from a3c_exp.system.errors import A3CError, ConfigError, RunDirectoryError

ROOT = Path("outputs")
_PROGRAM = "python -m a3c_exp.runs"
_EPILOG = """\
examples:
  python -m a3c_exp.runs                                          what lies below outputs/, the newest last
  python -m a3c_exp.runs env=pendulum 'workers>=6' status=finished
  python -m a3c_exp.runs outputs/2026-11-21 optimizer.lr=1e-4,3e-4 --columns optimizer.lr --sort evaluation
  python -m a3c_exp.runs best env=pendulum                        the runs with the best last evaluations
  python -m a3c_exp.runs best env=pendulum --over-seeds           the configurations with the best means over their seeds
  python -m a3c_exp.runs show workers=4,seed=0                    one run, by its folder or a part of its path
  python -m a3c_exp.runs compare workers=4,seed=0 workers=6,seed=0
  python -m a3c_exp.runs status outputs/mine                      all runs of a sweep, those in Slurm's queue included
  python -m a3c_exp.runs status=finished --csv > runs.csv         everything about them
  python -m a3c_exp.runs sync                                     send offline runs to W&B

conditions, all of which a run must meet:
  key=value, key!=value    one of several values: workers=4,6;  with * for any text: name=*lr*
  'key>=6' and <, <=, >    for numbers, and for the dates created and ended; quoted, because < and > mean something to the shell
  key~text, key!~text      contains the text, in any case
  A key is a value of the configuration (workers, optimizer.lr, env.id), a config group (env=pendulum, model=conv_gru), a result
  (evaluation, best, moving_average, env_steps, steps_per_second, policy_lag ...) or metadata (status, name, group, host,
  commit, created ...): docs/runs.md lists them."""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0; 1 if no run meets the conditions; 2, with one line on stderr, if the command was wrong."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = words.pop(0) if words and words[0] in _COMMANDS else "list"
    command, parser = _COMMANDS[name], _parser(name)
    return run_command("a3c_exp.runs", lambda: command(parser.parse_intermixed_args(words), Terminal.from_stream(sys.stdout)))


class _IncompleteError(A3CError):
    """The command was right, but there is nothing, or not all, that it asks for."""

    exit_code = 1


def _list(options: argparse.Namespace, terminal: Terminal) -> None:
    runs, keys = _select_summaries(options.words, options.columns)
    if options.sort:
        check_key(options.sort, runs or _load_summaries(options.words))
        runs = sort_by_key(runs, options.sort, options.reverse)
        keys.append(options.sort)
    else:
        runs = sort_by_time(runs)[:: -1 if options.reverse else 1]
    runs = runs[-options.last :] if options.last else runs
    _print_runs(runs, keys, options, terminal)
    if not options.csv:
        _print_unfinished_sweeps(runs, terminal)


def _print_unfinished_sweeps(runs: Sequence[RunSummary], terminal: Terminal) -> None:
    """Below a list of runs, on stderr where it goes into a pipe: which of their sweeps are to be gone on with, and how."""
    folders = dict.fromkeys(folder for run in runs for folder in (run.path.parent, run.path.parent.parent))  # of seeds too
    for folder in filter(is_sweep, folders):
        with suppress(RunDirectoryError):  # its plan is damaged; its runs are not
            if not (text := describe_rest(read_sweep_plan(folder))):
                continue
            if terminal.width:
                print(f"\n{terminal.paint(text, 'yellow')}")
            else:
                print(text, file=sys.stderr)


def _best(options: argparse.Namespace, terminal: Terminal) -> None:
    runs, keys = _select_summaries(options.words, options.columns)
    key: str = options.by
    check_key(key, runs or _load_summaries(options.words))
    if options.over_seeds:
        from a3c_exp.runs.listing import rank_configs, ranking_csv, ranking_table

        if len(tasks := [task for task in _tasks(runs) if task]) > 1:
            named = ", ".join(tasks)
            raise ConfigError(f"runs of several tasks ({named}) have no common ranking; choose one: env.id={tasks[0]}")
        configs = rank_configs(runs, key, options.lowest)[: options.last or None]
        if not configs:
            raise _IncompleteError(f"no run that meets the conditions has a number {key} yet")
        print(ranking_csv(configs, key) if options.csv else ranking_table(configs, key, terminal))
        return
    ranked = [run for run in sort_by_key(runs, key, not options.lowest) if run.value(key) not in (MISSING, None)]
    rankings = {task: [run for run in ranked if run.task == task][: options.last or None] for task in _tasks(ranked)}
    if options.csv or len(rankings) < 2:
        _print_runs(list(chain(*rankings.values())), [*keys, key], options, terminal)
    else:  # numbers of different tasks do not compare
        for task, best in rankings.items():
            print(terminal.paint(task or "(no task)", "bold"))
            _print_runs(best, [*keys, key], options, terminal)
    if len(ranked) > 1 and terminal.width:
        hint = "\nThe best of many single runs is partly chance; --over-seeds ranks configurations by their means."
        print(terminal.paint(hint, "dim"))


def _tasks(runs: Iterable[RunSummary]) -> list[str]:
    return sorted({run.task for run in runs})


def _show(options: argparse.Namespace, terminal: Terminal) -> None:
    from a3c_exp.runs.details import details_csv, run_details

    if len(options.words) != 1:
        raise ConfigError(f"show takes one run, got {len(options.words)}. Try: {_PROGRAM} show RUN, or compare RUN RUN")
    run = _find_summary(options.words[0])
    print(details_csv(run) if options.csv else run_details(run, terminal))


def _compare(options: argparse.Namespace, terminal: Terminal) -> None:
    from a3c_exp.runs.details import comparison_csv, comparison_tables

    if len(options.words) < 2:
        raise ConfigError(f"compare takes two runs or more, got {len(options.words)}. Try: {_PROGRAM} compare RUN RUN")
    runs = [_find_summary(word) for word in options.words]
    print(comparison_csv(runs) if options.csv else comparison_tables(runs, terminal))


def _sync(options: argparse.Namespace, terminal: Terminal) -> None:
    from a3c_exp.loggers.wandb_logger.sync import require_login, send, unsent

    runs, _ = _select_summaries(options.words, [])
    running = [run for run in runs if run.status == "running"]
    folders = unsent(run.path for run in runs if run not in running)
    if running:
        print(f"{len(running)} still running, left for later", file=sys.stderr)
    if options.dry_run or not folders:
        print("\n".join(map(str, folders)) or "nothing to send: W&B has all of these runs")
        return
    require_login()
    if (sent := send(folders)) < len(folders):
        raise _IncompleteError(f"{sent} of {len(folders)} sent; repeat the command to send the rest")
    print(f"{sent} of {sent} sent")


def _status(options: argparse.Namespace, terminal: Terminal) -> None:
    from a3c_exp.runs.sweeps.sweep_status import status_table

    if not options.words:
        raise ConfigError(f"status takes the directory of a sweep. Try: {_PROGRAM} status DIR")
    for number, word in enumerate(options.words):
        if not is_sweep(Path(word)):
            raise ConfigError(f"{word} is no directory of a sweep that keeps its plan. Try {_PROGRAM} {word}")
        table, problem = status_table(Path(word), terminal)
        print("\n" * bool(number) + table)
        if problem:
            print(f"a3c_exp.runs: what waits in Slurm's queue is not known: {problem}", file=sys.stderr)


_COMMANDS = {"list": _list, "best": _best, "show": _show, "compare": _compare, "status": _status, "sync": _sync}


def _parser(command: str) -> argparse.ArgumentParser:
    program = "a3c_exp.runs" if command == "list" else f"a3c_exp.runs {command}"
    does = "List, filter, compare, rank and export runs, from their files alone."
    usage = f"{_PROGRAM} [list | best | show | compare | status | sync] [DIR ...] [CONDITION ...] [options]"
    parser = CommandParser(program, does, _EPILOG, usage)
    add = parser.add_argument
    metavar = "RUN" if command in ("show", "compare") else "SWEEP" if command == "status" else "DIR or CONDITION"
    add("words", nargs="*", metavar=metavar, help=f"run directories, or folders of them (default: {ROOT}); conditions")
    if command not in ("status", "sync"):
        add("--csv", action="store_true", help="comma-separated values, numbers in full")
    if command in ("list", "best"):
        number = {"list": 0, "best": 10}[command]
        add("--columns", type=_keys, default=[], metavar="KEY,...", help="further columns")
        add("-n", "--last", type=_non_negative_int, default=number, metavar="N", help="only this many (0: all)")
    if command == "list":
        add("--sort", metavar="KEY", help="sort by this key (default: by time, the newest last)")
        add("--reverse", action="store_true", help="in reverse order")
    if command == "best":
        add("--by", default="evaluation", metavar="KEY", help="rank by this key (default: the last evaluation)")
        add("--lowest", action="store_true", help="the lowest value is the best")
        add("--over-seeds", action="store_true", help="rank configurations by the mean over their seeds")
    if command == "sync":
        add("--dry-run", action="store_true", help="list what would be sent")
    return parser


def _print_runs(runs: Sequence[RunSummary], keys: Sequence[str], options: argparse.Namespace, terminal: Terminal) -> None:
    if not runs:
        raise _IncompleteError("no run meets these conditions")
    columns, grouped = list(dict.fromkeys(keys)), not getattr(options, "sort", "by")  # grouped: a list in order of time
    print(runs_csv(runs, columns) if options.csv else runs_table(runs, terminal, columns, grouped))


def _select_summaries(words: Sequence[str], columns: Sequence[str]) -> tuple[list[RunSummary], list[str]]:
    """The runs that meet the conditions among ``words``, and the keys that the table should show."""
    conditions = [parse_condition(word) for word in words if _is_condition(word)]
    runs = _load_summaries(words)
    for key in columns:
        check_key(key, runs)
    # Runs that meet a condition may differ in its key, unless that names the one value.
    varying = [one.key for one in conditions if one.operator != "=" or len(one.values) > 1 or "*" in one.values[0]]
    return select_runs(runs, conditions), [*columns, *varying]


def _load_summaries(words: Sequence[str]) -> list[RunSummary]:
    folders = [Path(word) for word in words if not _is_condition(word)]
    for folder in folders:
        if not folder.exists() and os.sep not in str(folder):
            raise ConfigError(f"{folder}: neither a folder nor a condition; {CONDITION_HINT}")
    if not folders and not ROOT.is_dir():
        raise ConfigError(f"there is no folder {ROOT} here. Name a folder of runs: {_PROGRAM} DIR")
    return find_run_summaries(folders or [ROOT])


def _is_condition(word: str) -> bool:
    return is_condition(word) and not Path(word).is_dir()


def _find_summary(word: str) -> RunSummary:
    """The run in a folder, or the only run below outputs/ whose path contains ``word``."""
    if Path(word).is_dir():
        matches, pattern = find_runs([word]), word
    else:
        paths, pattern = find_runs([ROOT]) if ROOT.is_dir() else [], f"{ROOT}/*{word}*"
        matches = [path for path in paths if str(path).endswith(os.sep + word)] or [path for path in paths if word in str(path)]
    if len(matches) == 1:
        return RunSummary(matches[0])
    if not matches:
        raise ConfigError(f"there is no run {word} below {ROOT}/. Try {_PROGRAM}, which lists them, or name its folder")
    names = ", ".join(sorted(map(str, matches), key=natural_sort_key)[:3])
    more = ", ..." if len(matches) > 3 else ""
    raise ConfigError(f"{pattern} matches {len(matches)} runs ({names}{more}); name one of them")


def _keys(text: str) -> list[str]:
    return [key.strip() for key in text.split(",") if key.strip()]


def _non_negative_int(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of runs")
    return int(text)


if __name__ == "__main__":
    gc.disable()  # it would traverse everything that is read again and again, and there are no cycles
    sys.exit(main())
