"""``python -m a3c_exp.runs``: which runs there are, which are alike, which is best, from their files alone."""

import argparse
import gc
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from a3c_exp.runs.config_values import MISSING
from a3c_exp.runs.discovery import find_runs, natural_sort_key
from a3c_exp.runs.format_table import Terminal
from a3c_exp.runs.listing import runs_csv, runs_table, sort_by_key, sort_by_time
from a3c_exp.runs.query import CONDITION_HINT, Condition, check_key, is_condition, parse_condition, select_runs
from a3c_exp.runs.run_summary import RunSummary, find_run_summaries
from a3c_exp.system.cli import CommandParser, run_command
from a3c_exp.system.errors import ConfigError

ROOT = Path("outputs")
_PROGRAM = "python -m a3c_exp.runs"
_EPILOG = """\
examples:
  python -m a3c_exp.runs                                          what lies below outputs/, the newest last
  python -m a3c_exp.runs env=pendulum 'workers>=6' status=finished
  python -m a3c_exp.runs outputs/2026-11-21 optimizer.lr=1e-4,3e-4 --columns optimizer.lr --sort evaluation
  python -m a3c_exp.runs best env=pendulum                        the runs that ended best
  python -m a3c_exp.runs best env=pendulum --over-seeds           the configurations that did, each over its seeds
  python -m a3c_exp.runs show workers=4,seed=0                    one run, by its folder or a part of its path
  python -m a3c_exp.runs compare workers=4,seed=0 workers=6,seed=0
  python -m a3c_exp.runs status=finished --csv > runs.csv         everything about them
  python -m a3c_exp.runs sync                                     send to W&B what runs kept offline

conditions, all of which must hold:
  key=value, key!=value    several values, any of which will do: workers=4,6;  * stands for anything: name=*lr*
  'key>=6' and <, <=, >    for numbers, and for the dates created and ended; in quotes, for the shell takes < and >
  key~text, key!~text      contains it, in any case
  A key is a value of the configuration (workers, optimizer.lr, env.id), a config group (env=pendulum, model=conv_gru), a result
  (evaluation, best, moving_average, env_steps, steps_per_second, policy_lag ...) or a fact (status, name, group, host, commit,
  created ...): docs/runs.md lists them."""


def main(argv: Sequence[str] | None = None) -> int:
    """0 done, 1 no run fits the conditions, 2 with one line on stderr where the command was wrong."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = words.pop(0) if words and words[0] in _COMMANDS else "list"
    command = _COMMANDS[name]
    return run_command(
        "a3c_exp.runs", lambda: command(_parser(name).parse_intermixed_args(words), Terminal.from_stream(sys.stdout))
    )


def _list(options: argparse.Namespace, terminal: Terminal) -> int:
    entries, asked = _select_summaries(options.words, options.columns)
    if options.sort:
        check_key(options.sort, entries or _load_summaries(options.words))
        entries = sort_by_key(entries, options.sort, options.reverse)
        asked.append(options.sort)
    else:
        entries = sort_by_time(entries)
        entries = entries[::-1] if options.reverse else entries
    return _show_list(entries[-options.last :] if options.last else entries, asked, options, terminal)


def _best(options: argparse.Namespace, terminal: Terminal) -> int:
    entries, asked = _select_summaries(options.words, options.columns)
    key: str = options.by
    check_key(key, entries or _load_summaries(options.words))
    if options.over_seeds:
        from a3c_exp.runs.ranking import rank_configs, ranking_csv, ranking_table

        found = rank_configs(entries, key, options.lowest)[: options.last or None]
        if not found:
            return _print_nothing_found(f"no run that fits has a number {key} yet")
        print(ranking_csv(found, key).rstrip("\n") if options.csv else ranking_table(found, key, terminal))
        return 0
    ranked = [entry for entry in sort_by_key(entries, key, not options.lowest) if entry.value(key) not in (MISSING, None)]
    code = _show_list(ranked[: options.last or None], [*asked, key], options, terminal)
    if len(ranked) > 1 and terminal.width:
        print(
            terminal.paint(
                "\nThe best of many single runs is partly luck; --over-seeds ranks configurations by their mean.", "dim"
            )
        )
    return code


def _show(options: argparse.Namespace, terminal: Terminal) -> int:
    from a3c_exp.runs.details import details_csv, run_details

    if len(options.words) != 1:
        raise ConfigError(f"show takes one run, got {len(options.words)}. Try: {_PROGRAM} show RUN, or compare RUN RUN")
    entry = _find_summary(options.words[0])
    print(details_csv(entry).rstrip("\n") if options.csv else run_details(entry, terminal))
    return 0


def _compare(options: argparse.Namespace, terminal: Terminal) -> int:
    from a3c_exp.runs.details import comparison_csv, comparison_tables

    if len(options.words) < 2:
        raise ConfigError(f"compare takes two runs or more, got {len(options.words)}. Try: {_PROGRAM} compare RUN RUN")
    entries = [_find_summary(word) for word in options.words]
    print(comparison_csv(entries).rstrip("\n") if options.csv else comparison_tables(entries, terminal))
    return 0


def _sync(options: argparse.Namespace, terminal: Terminal) -> int:
    from a3c_exp.loggers.wandb_logger.sync import require_login, send, unsent

    entries, _ = _select_summaries(options.words, [])
    running = [entry for entry in entries if entry.status == "running"]
    folders = unsent(entry.path for entry in entries if entry not in running)
    if running:
        print(f"{len(running)} still running, left for later", file=sys.stderr)
    if not folders:
        print("nothing to send: no run here keeps anything that W&B does not have")
        return 0
    if options.dry_run:
        print("\n".join(map(str, folders)))
        return 0
    require_login()
    sent = send(folders)
    print(f"{sent} of {len(folders)} sent" + ("" if sent == len(folders) else "; type the same again to send the rest"))
    return 0 if sent == len(folders) else 1


_COMMANDS: dict[str, Callable[[argparse.Namespace, Terminal], int]] = {
    "list": _list,
    "best": _best,
    "show": _show,
    "compare": _compare,
    "sync": _sync,
}


def _parser(command: str) -> argparse.ArgumentParser:
    parser = CommandParser(
        "a3c_exp.runs" if command == "list" else f"a3c_exp.runs {command}",
        "List, filter, compare, rank and export runs, from their files alone.",
        _EPILOG,
        usage=f"{_PROGRAM} [list | best | show | compare | sync] [DIR ...] [CONDITION ...] [options]",
    )
    runs = command in ("show", "compare")
    what = "RUN" if runs else "DIR or CONDITION"
    parser.add_argument(
        "words", nargs="*", metavar=what, help=f"run directories, or folders of them (default: {ROOT}); conditions"
    )
    if command != "sync":
        parser.add_argument("--csv", action="store_true", help="comma-separated values, numbers in full")
    if command in ("list", "best"):
        number = {"list": 0, "best": 10}[command]
        parser.add_argument("--columns", type=_keys, default=[], metavar="KEY,...", help="further columns")
        parser.add_argument("-n", "--last", type=_non_negative_int, default=number, metavar="N", help="only so many (0: all)")
    if command == "list":
        parser.add_argument("--sort", metavar="KEY", help="in order of this (default: of time, the newest last)")
        parser.add_argument("--reverse", action="store_true", help="the other way round")
    if command == "best":
        parser.add_argument("--by", default="evaluation", metavar="KEY", help="what decides (default: the last evaluation)")
        parser.add_argument("--lowest", action="store_true", help="the lowest is the best")
        parser.add_argument("--over-seeds", action="store_true", help="rank configurations by the mean over their seeds")
    if command == "sync":
        parser.add_argument("--dry-run", action="store_true", help="say what would be sent")
    return parser


def _show_list(
    summaries: Sequence[RunSummary], requested_keys: Sequence[str], options: argparse.Namespace, terminal: Terminal
) -> int:
    if not summaries:
        return _print_nothing_found("no run fits these conditions")
    columns = list(dict.fromkeys(requested_keys))
    if options.csv:
        print(runs_csv(summaries, columns).rstrip("\n"))
    else:
        print(
            runs_table(summaries, terminal, columns, grouped=options.words is not None and not getattr(options, "sort", "by"))
        )
    return 0


def _print_nothing_found(reason: str) -> int:
    print(f"a3c_exp.runs: {reason}", file=sys.stderr)
    return 1


def _select_summaries(words: Sequence[str], columns: Sequence[str]) -> tuple[list[RunSummary], list[str]]:
    """The runs that are meant, and the keys that were asked for and so are to be seen."""
    conditions = [parse_condition(word) for word in words if _is_condition(word)]
    entries = _load_summaries(words)
    for key in columns:
        check_key(key, entries)
    asked = [*columns, *(condition.key for condition in conditions if _distinguishes_runs(condition))]
    return select_runs(entries, conditions), asked


def _distinguishes_runs(condition: Condition) -> bool:
    """Whether runs that fulfil it may differ in its key."""
    return condition.operator != "=" or len(condition.values) > 1 or "*" in condition.values[0]


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
    """The run that is meant by its folder, or by a part of its path below outputs/ that no other has."""
    if Path(word).is_dir():
        found, where = find_runs([word]), word
    elif ROOT.is_dir():
        paths, where = find_runs([ROOT]), f"{ROOT}/*{word}*"
        found = [path for path in paths if str(path).endswith(os.sep + word)] or [path for path in paths if word in str(path)]
    else:
        found, where = [], word
    if len(found) == 1:
        return RunSummary(found[0])
    if not found:
        raise ConfigError(f"there is no run {word}. {_PROGRAM} lists those below {ROOT}/; or name its folder")
    names = ", ".join(sorted(map(str, found), key=natural_sort_key)[:3])
    raise ConfigError(f"{where} means {len(found)} runs ({names}{', ...' if len(found) > 3 else ''}); name one of them")


def _keys(text: str) -> list[str]:
    return [key.strip() for key in text.split(",") if key.strip()]


def _non_negative_int(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of runs")
    return int(text)


if __name__ == "__main__":
    gc.disable()  # it would look through all that was read, again and again, for cycles that there are none of
    sys.exit(main())
