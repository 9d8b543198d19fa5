"""Each verdict is reached by data that should reach it, and by no other."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from a3c_exp.config.ablation import Expected
from a3c_exp.report.ablations.comparisons import find_comparisons
from a3c_exp.report.ablations.effect_estimates import Decision
from a3c_exp.report.ablations.verdicts import combine_decisions
from a3c_exp.report.run_reader import read_runs
from a3c_exp.stats.significance import MIN_VERDICT_SEEDS
from tests.support.synthetic_ablations import Way, ruled, write_arm

LIMIT, WORKERS = "max_episode_steps", "worker_count"
GOOD = Way(end=-0.3, speed=0.08)
BAD = Way(end=-2.9, speed=0.5)


def limits(root: Path, control: str, long: Way, middle: Way, short: Way, **more: object) -> None:
    for arm, way, steps in (("steps_4000", long, 4000), ("steps_3000", middle, 3000), ("steps_500", short, 500)):
        write_arm(root, LIMIT, control, arm, way, steps=steps, **more)  # type: ignore[arg-type]


def workers(root: Path, control: str, twelve: Way, six: Way, four: Way, **more: object) -> None:
    for arm, way in (("workers_12", twelve), ("workers_6", six), ("workers_4", four)):
        write_arm(root, WORKERS, control, arm, way, **more)  # type: ignore[arg-type]


def test_a_whole_is_no_better_than_its_parts() -> None:
    assert combine_decisions(["supported", "supported"]) == "supported"
    assert combine_decisions(["reversed", "reversed"]) == "reversed"
    assert combine_decisions(["supported", "undecided"]) == "undecided"
    assert combine_decisions(["supported", "reversed"]) == "not supported"
    assert combine_decisions(["not supported", "undecided"]) == "not supported"
    nothing: Decision = "no difference that matters"
    assert combine_decisions([nothing, nothing]) == nothing
    assert combine_decisions([nothing, "supported"]) == combine_decisions([nothing, "reversed"]) == "not supported"


def test_a_world_like_the_reports_supports_its_conclusions(tmp_path: Path) -> None:
    limits(tmp_path / "a", "published", replace(GOOD, noise=0.02), replace(GOOD, noise=0.1), BAD)
    workers(tmp_path / "b", "published", GOOD, BAD, replace(BAD, end=-3.5))
    verdicts = ruled(tmp_path)
    for number in (1, 2, 3):
        for measure in ("training", "evaluation"):
            verdict = verdicts[number, "published", measure]
            assert verdict.decision == "supported", (number, measure, verdict.effects)
            assert min(effect.seeds for effect in verdict.effects) == 10


def test_a_world_upside_down_reverses_them(tmp_path: Path) -> None:
    for arm, way in (("steps_4000", GOOD), ("steps_3000", BAD), ("steps_500", GOOD)):
        write_arm(tmp_path / "a", LIMIT, "fair", arm, way, in_steps=True)
    workers(tmp_path / "b", "fair", BAD, GOOD, GOOD, in_steps=True)
    verdicts = ruled(tmp_path)
    for measure in ("training", "evaluation"):
        assert verdicts[1, "fair", measure].decision == "reversed"
        assert verdicts[3, "fair", measure].decision == "reversed"
        assert verdicts[2, "fair", measure].decision == "not supported"  # from 3000 to 4000 is anything but hardly faster


def test_the_same_runs_under_other_seeds_support_nothing(tmp_path: Path) -> None:
    """The control `own_limit`: what differs is chance, and chance must not be called an effect."""
    for index, arm in enumerate(("steps_4000", "steps_3000", "steps_500")):
        write_arm(tmp_path, LIMIT, "own_limit", arm, GOOD, first_seed=100 * index, steps=200)
    verdicts = ruled(tmp_path)
    for measure in ("training", "evaluation"):
        first = verdicts[1, "own_limit", measure]
        assert first.decision == "no difference that matters"
        assert not any(finding.paired for finding in first.effects)
        assert {
            item.decision for item in verdicts[2, "own_limit", measure].effects if item.part.expected is Expected.hardly
        } == {"supported"}


def test_a_difference_that_seeds_drown_is_undecided(tmp_path: Path) -> None:
    wild = Way(end=-1.5, speed=0.3, spread=1.2)
    workers(tmp_path, "published", wild, replace(wild, end=-1.9), replace(wild, end=-2.1))
    verdicts = ruled(tmp_path)
    assert verdicts[3, "published", "training"].decision == "undecided"
    ends = [item for item in verdicts[3, "published", "training"].effects if item.part.quantity == "final"]
    assert all(item.decision == "undecided" and not item.reason and item.seeds_needed > 10 for item in ends)
    assert verdicts[3, "published", "training"].seeds_needed > 10


def test_four_seeds_get_no_verdict_however_large_the_effect(tmp_path: Path) -> None:
    workers(tmp_path / "few", "published", GOOD, BAD, BAD, seeds=MIN_VERDICT_SEEDS - 1)
    verdicts = ruled(tmp_path / "few")
    verdict = verdicts[3, "published", "evaluation"]
    assert verdict.decision == "undecided" and "4 of 5 seeds" in verdict.reason and verdict.num_intervals == 0
    workers(tmp_path / "enough", "published", GOOD, BAD, BAD, seeds=MIN_VERDICT_SEEDS)
    enough = ruled(tmp_path / "enough")[3, "published", "evaluation"]
    assert not enough.reason and {item.decision for item in enough.effects if item.part.quantity == "final"} == {"supported"}


@pytest.mark.parametrize("control", ["equal_steps", "fair"])
def test_groups_that_were_not_run_for_as_many_steps_are_said_and_not_judged(tmp_path: Path, control: str) -> None:
    for arm, way, episodes in (("workers_12", GOOD, 100), ("workers_6", BAD, 30), ("workers_4", BAD, 30)):
        write_arm(tmp_path, WORKERS, control, arm, way, episodes=episodes, steps=1000, in_steps=True)
    (comparison,) = find_comparisons(read_runs([tmp_path]))
    counts = "env steps are 30,000 to 100,000"
    assert comparison.warnings[0] == f"Its groups are not judged, since their {counts}."
    judged = [verdict for verdict in ruled(tmp_path).values() if verdict.measure != "clock"]
    assert {verdict.decision for verdict in judged} == {"undecided"} and all(counts in verdict.reason for verdict in judged)
    assert {verdict.num_intervals for verdict in judged} == {0}


def test_ends_after_different_numbers_of_episodes_are_not_judged_and_the_way_is_over_as_many_as_all_have(
    tmp_path: Path,
) -> None:
    for arm, way, episodes in (("workers_12", GOOD, 100), ("workers_6", BAD, 50), ("workers_4", BAD, 100)):
        write_arm(tmp_path, WORKERS, "published", arm, way, episodes=episodes)
    for measure in ("training", "evaluation"):
        effects = ruled(tmp_path)[3, "published", measure].effects
        unjudged = {
            (effect.change, str(effect.part.quantity)) for effect in effects if effect.reason == "their episodes are 50 to 100"
        }
        assert unjudged == {("12 to 6 workers", "final")} and len(effects) > 2


def test_groups_with_budgets_of_different_kinds_are_not_judged(tmp_path: Path) -> None:
    for arm, in_steps in (("workers_12", True), ("workers_6", False), ("workers_4", False)):
        write_arm(tmp_path, WORKERS, "fair", arm, GOOD, in_steps=in_steps)
    (comparison,) = find_comparisons(read_runs([tmp_path]))
    assert "different kinds: max_env_steps, max_episodes" in comparison.warnings[0]


def test_groups_of_different_tasks_are_not_judged(tmp_path: Path) -> None:
    for arm, task in (("workers_12", "CartPole-v1"), ("workers_6", "Pendulum-v1"), ("workers_4", "Pendulum-v1")):
        write_arm(tmp_path, WORKERS, "published", arm, GOOD, config={"env": {"id": task}})
    (comparison,) = find_comparisons(read_runs([tmp_path]))
    assert comparison.unequal == "since they are of several tasks: CartPole-v1, Pendulum-v1"


def test_a_control_or_a_group_that_repeats_another_number_for_number_is_said(tmp_path: Path) -> None:
    for control, end in (("equal_steps", -0.3), ("fair", -0.3), ("equal_updates", -0.31)):
        for arm in ("workers_12", "workers_6", "workers_4"):
            config = {"workers": int(arm.rpartition("_")[2])}
            write_arm(tmp_path, WORKERS, control, arm, Way(end=end), seeds=3, in_steps=True, config=config)
    warnings = {comparison.control: comparison.warnings for comparison in find_comparisons(read_runs([tmp_path]))}
    # the groups of six and of four workers are drawn alike, too
    alike = "6 workers and 4 workers have the same runs, number for number."
    again = "Its runs are the same as those of equal steps, number for number: what one shows, the other does not confirm."
    assert warnings == {"equal_steps": (alike,), "equal_updates": (alike,), "fair": (again, alike)}


def test_a_run_that_failed_is_no_seed(tmp_path: Path) -> None:
    workers(tmp_path, "published", GOOD, BAD, BAD, seeds=4)
    write_arm(tmp_path / "more", WORKERS, "published", "workers_4", BAD, first_seed=4, seeds=3, status="failed")
    (protocol,) = find_comparisons(read_runs([tmp_path]))
    assert len(protocol.arm("workers_4")) == 4 and protocol.num_excluded == 3
    assert ruled(tmp_path)[3, "published", "training"].decision == "undecided"


def test_the_more_is_compared_the_more_a_verdict_takes(tmp_path: Path) -> None:
    unsure = Way(end=-1.0, speed=0.2, spread=0.45)
    near = replace(unsure, end=-1.9)
    write_arm(tmp_path / "a", LIMIT, "published", "steps_3000", unsure, steps=3000)
    write_arm(tmp_path / "a", LIMIT, "published", "steps_500", near, steps=500)
    alone = ruled(tmp_path)[1, "published", "evaluation"]
    for index in range(4):
        workers(tmp_path / f"b{index}", f"other_{index}", GOOD, BAD, BAD, episodes=25, seeds=5)
    among = ruled(tmp_path)[1, "published", "evaluation"]
    assert among.num_intervals > alone.num_intervals
    for one, other in zip(alone.effects, among.effects, strict=True):
        assert (
            one.effect == other.effect
            and one.interval == other.interval
            and one.uncorrected_decision == other.uncorrected_decision
        )
        assert (
            other.simultaneous_interval[0] < one.simultaneous_interval[0]
            and other.simultaneous_interval[1] > one.simultaneous_interval[1]
        )
    ends = [next(item for item in verdict.effects if item.part.quantity == "final") for verdict in (alone, among)]
    assert [item.decision for item in ends] == ["supported", "undecided"] and ends[1].uncorrected_decision == "supported"


def test_a_threshold_that_nobody_reaches_says_nothing_of_speed(tmp_path: Path) -> None:
    slow = Way(end=-4.0, speed=0.3)
    workers(tmp_path, "published", slow, slow, slow)
    finding = next(item for item in ruled(tmp_path)[3, "published", "training"].effects if item.part.quantity == "time")
    assert finding.decision == "undecided" and "never reach" in finding.reason


def test_half_the_episodes_are_compared_with_the_first_half(tmp_path: Path) -> None:
    """Six workers had 500 episodes, twelve 1000: episode by episode as fast, they must not look slower for having stopped."""
    write_arm(tmp_path, WORKERS, "published", "workers_12", replace(GOOD, speed=0.1), episodes=100)
    write_arm(tmp_path, WORKERS, "published", "workers_6", replace(GOOD, speed=0.2), episodes=50)
    write_arm(tmp_path, WORKERS, "published", "workers_4", replace(GOOD, speed=0.1), episodes=100)
    findings = ruled(tmp_path)[3, "published", "training"].effects
    halved = [item for item in findings if item.change == "12 to 6 workers" and item.part.quantity in ("time", "area")]
    assert all(item.decision == "no difference that matters" for item in halved), halved


def test_stacked_seeds_have_no_wall_time_of_their_own(tmp_path: Path) -> None:
    workers(tmp_path / "a", "published", GOOD, replace(GOOD, seconds=200.0), replace(GOOD, seconds=300.0))
    workers(tmp_path / "b", "hogwild", GOOD, replace(GOOD, seconds=200.0), replace(GOOD, seconds=300.0), stacked=False)
    verdicts = ruled(tmp_path)
    assert verdicts[4, "published", "clock"].decision == "undecided"
    assert "shared a process" in verdicts[4, "published", "clock"].reason
    real = verdicts[4, "hogwild", "clock"]
    assert real.decision == "supported"
    assert math.exp(real.effects[1].effect) == pytest.approx(3.0, rel=0.05)


def test_time_is_counted_for_the_same_number_of_episodes(tmp_path: Path) -> None:
    """Half the episodes in half the time is no faster."""
    for arm, episodes, seconds in (("workers_12", 100, 100.0), ("workers_6", 50, 50.0), ("workers_4", 100, 100.0)):
        way = replace(GOOD, seconds=seconds)
        write_arm(tmp_path, WORKERS, "hogwild", arm, way, episodes=episodes, stacked=False)
    assert ruled(tmp_path)[4, "hogwild", "clock"].decision == "no difference that matters"


def test_staleness_and_the_range_of_workers_judge_the_third_conclusion(tmp_path: Path) -> None:
    for lag, way in ((11, GOOD), (5, GOOD), (3, GOOD), (0, BAD)):
        write_arm(
            tmp_path / "s", "staleness", "fair", None, way, in_steps=True, config={"parallelism": {"lag": lag}}, folder=f"{lag}"
        )
    for count, way in ((12, GOOD), (6, BAD), (4, BAD), (1, BAD)):
        write_arm(
            tmp_path / "w", "worker_range", "fair", None, way, in_steps=True, config={"workers": count}, folder=f"{count}"
        )
    verdicts = ruled(tmp_path)
    assert verdicts[3, "staleness", "evaluation"].decision == "no difference that matters"
    assert verdicts[3, "worker_range", "evaluation"].decision == "supported"
    assert (4, "staleness", "clock") not in verdicts


def test_a_group_that_two_comparisons_share_need_run_only_once(tmp_path: Path) -> None:
    """The report's first groups are one run under two names."""
    write_arm(tmp_path / "l", LIMIT, "fair", "steps_4000", GOOD, in_steps=True)
    for arm in ("workers_6", "workers_4"):
        write_arm(tmp_path / "w", WORKERS, "fair", arm, BAD, in_steps=True)
    write_arm(tmp_path / "r", "worker_range", "fair", None, BAD, in_steps=True, config={"workers": 1}, folder="1")
    write_arm(tmp_path / "p", WORKERS, "published", "workers_4", BAD)
    write_arm(tmp_path / "g", WORKERS, "same_lag", "workers_4", BAD, in_steps=True, seeds=2)
    lag = {"parallelism": {"lag": 11}}
    write_arm(tmp_path / "s", "staleness", "fair", None, GOOD, in_steps=True, config=lag, folder="11", seeds=2)
    verdicts = ruled(tmp_path)
    assert verdicts[3, "fair", "evaluation"].decision == verdicts[3, "worker_range", "evaluation"].decision == "supported"
    by_key = {
        comparison.key: comparison for comparison in find_comparisons(read_runs([tmp_path])) if comparison.ablation != LIMIT
    }
    assert list(by_key["fair"].arms) == ["workers_12", "workers_6", "workers_4"]
    assert list(by_key["worker_range"].arms) == ["1", "4", "6", "12"]
    assert list(by_key["same_lag"].arms) == ["workers_12", "workers_4"]
    assert list(by_key["published"].arms) == ["workers_4"]  # nothing is borrowed from another control


def test_seeds_are_paired_only_where_they_are_the_same(tmp_path: Path) -> None:
    write_arm(tmp_path, LIMIT, "published", "steps_3000", GOOD, steps=3000)
    write_arm(tmp_path, LIMIT, "published", "steps_500", BAD, steps=500)
    assert all(item.paired for item in ruled(tmp_path)[1, "published", "training"].effects)


def test_runs_of_one_group_that_differ_are_noticed(tmp_path: Path) -> None:
    write_arm(tmp_path / "a", WORKERS, "published", "workers_4", GOOD, seeds=3)
    write_arm(tmp_path / "b", WORKERS, "published", "workers_4", GOOD, seeds=4, first_seed=2, config={"gamma": 0.5})
    (protocol,) = find_comparisons(read_runs([tmp_path]))
    assert len(protocol.arm("workers_4")) == 6 and protocol.num_excluded == 1
    assert any("differ in more than their seed: 4 workers" in text for text in protocol.warnings)
    assert any("more than once" in text for text in protocol.warnings)
