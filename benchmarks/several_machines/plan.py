"""How far ``parallelism=ray`` goes: costs of a call, a queue that predicts measured rates, and 10 to 1,000 nodes on paper.

python -m benchmarks.several_machines.plan                 about fifteen minutes, on a quiet machine
python -m benchmarks.several_machines.plan --write-docs    also into docs/several-machines.md
"""

import argparse
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from a3c_exp.config.compose import compose_jobs
from a3c_exp.system.number_format import format_number
from a3c_exp.training.build import build_run
from benchmarks.harness.environment import ROOT, environment
from benchmarks.harness.training_runs import CAR_RACING, PENDULUM, TrainingRuns
from benchmarks.several_machines.costs import Costs, calls_per_second, measure_costs, measure_slowdown, measure_training
from benchmarks.several_machines.queue import ClosedQueue, Flow, Stage

BEGIN, END = "<!-- plan:begin -->", "<!-- plan:end -->"
PAGE = ROOT / "docs" / "several-machines.md"
GROUPS_PER_NODE = 8
NODES = 10, 100, 1_000
GIGABITS = 10.0
QUIET = ("compile=false", "evaluation.every_env_steps=null", "checkpoint.every_env_steps=null")
ON_RAY = ("parallelism=ray", "parallelism.address=local")
TASKS = {  # with the steps of a first, short run
    "env=pendulum": (PENDULUM, 50_000),
    "env=car_racing model.hidden_size=136": ((*CAR_RACING, "model.hidden_size=136"), 2_000),
    "env=car_racing": (CAR_RACING, 2_000),
}


@dataclass(frozen=True)
class Task:
    """What a call of a training costs beyond one that only carries as many numbers, as a training with one group shows it.

    Attributes:
        window: seconds of a core for one worker's window, learning included.
        numbers: P weights.
        steps: of a window.
        gateway, server: more seconds of each for a call, such as budgets, logs, and waking each other.
        waiting: seconds of a call in which nobody works.
        slowdown: how many times as long all this takes while every core of a machine is busy.
    """

    name: str
    window: float
    numbers: int
    steps: int
    gateway: float = 0.0
    server: float = 0.0
    waiting: float = 0.0
    slowdown: float = 1.0


@dataclass(frozen=True)
class Design:
    """K workers in a group, windows so many times as long as the preset's, and the weights cut among several servers."""

    what: str
    workers: int
    longer: int = 1
    servers: int = 1


DESIGNS = (
    Design("as it is", 6),
    Design("larger groups", 32),
    Design("windows 5 times as long", 6, longer=5),
    Design("8 servers with a part of the weights each", 6, servers=8),
)


def stages(task: Task, costs: Costs, design: Design, node: str, own_link: bool = True) -> list[Stage]:
    """Of one call. ``node`` has the groups' cores, ``head`` the server's; without an ``own_link`` they are one machine."""
    k, p = design.workers, task.numbers / design.servers
    bits = GIGABITS * 1e9 if own_link else math.inf
    weights, gradients = 32 * p / bits, 16 * k * p / bits  # one row, and bfloat16
    return [
        Stage(design.longer * k * task.window + costs.host.seconds(k, task.numbers), (node,)),
        Stage(costs.travel.seconds(k, p) + task.waiting),
        Stage(gradients, ("link in",)),
        Stage(costs.gateway.seconds(k, p) + task.gateway, ("gateway", "head")),
        Stage(costs.server.seconds(k, p) + task.server, ("server", "head")),
        Stage(weights, ("link out",)),
    ]


def predict(task: Task, costs: Costs, design: Design, groups: int, one_machine: int | None = None, calls: int = 4_000) -> Flow:
    """Groups on nodes of their own; or all, with the server, on one machine with so many cores, which slow each other down."""
    places = {"gateway": 1, "server": 1, "link in": 1, "link out": 1, "head": one_machine or 8}
    node = "head" if one_machine else "nodes"
    places.setdefault(node, groups)
    own = stages(task, costs, design, node, own_link=one_machine is None)
    slowdown = {"head": task.slowdown} if one_machine else {}
    return ClosedQueue([own] * groups, places, slowdown, exponential=True).run(max(calls, 5 * groups))


def predicted_and_measured(
    tasks: Sequence[Task], costs: Costs, runs: TrainingRuns, cores: int, seconds: float
) -> list[tuple[str, float, float]]:
    """Gradients per second by the queue and by real runs, and calls per second of actors that compute nothing."""
    rows = []
    for groups in (1, 2, 4):
        nothing = Task("nothing", 0.0, tasks[0].numbers, 1)
        flow = predict(nothing, no_server(costs), Design("", 6), groups, one_machine=cores)
        measured = calls_per_second(groups, 6, tasks[0].numbers, seconds)
        rows.append((f"calls of {groups} that compute nothing, P = {tasks[0].numbers:,}", flow.calls_per_second, measured))
    for task in tasks:
        for groups, k in ((1, 6), (1, 12), (2, 6), (2, 12)):
            flow = predict(task, costs, Design("", k), groups, one_machine=cores)
            steps = runs.steps_per_second(on_ray(groups, k), *TASKS[task.name])
            windows = f"windows of {task.name}, {groups} group{'s' * (groups > 1)} of {k} workers"
            rows.append((windows, k * flow.calls_per_second, steps / task.steps))
    return rows


def no_server(costs: Costs) -> Costs:
    """Of actors that a caller, and nobody else, waits for."""
    free = type(costs.server)(0.0, 0.0, 0.0)
    return Costs(costs.gateway, costs.host, costs.travel, free)


def on_ray(groups: int, workers: int) -> list[str]:
    """A training on a cluster of this machine alone."""
    return [*QUIET, *ON_RAY, f"parallelism.processes={groups}", f"workers={groups * workers}"]


def measure_task(name: str, costs: Costs, runs: TrainingRuns) -> Task:
    """From a training with one group of six workers."""
    k, overrides = 6, on_ray(1, 6)
    (job,) = compose_jobs([*TASKS[name][0], *overrides, "max_env_steps=1000", "logger=none"], False)
    components = build_run(job.config)
    steps, numbers = components.setup.learner.n_step, components.initial_states[0].weights.numel()
    used, rate = measure_training(overrides, *TASKS[name], runs)
    call = k * steps / rate
    host, gateway, server = (used[part] * call for part in ("host", "gateway", "server"))
    return Task(
        name,
        window=max(host - costs.host.seconds(k, numbers), 0.0) / k,
        numbers=numbers,
        steps=steps,
        gateway=max(gateway - costs.gateway.seconds(k, numbers), 0.0),
        server=max(server - costs.server.seconds(k, numbers), 0.0),
        waiting=max(call - host - gateway - server - costs.travel.seconds(k, numbers), 0.0),
        slowdown=measure_slowdown([*QUIET, f"workers={k}"], *TASKS[name], runs),
    )


def saturation(task: Task, costs: Costs, design: Design) -> tuple[float, str]:
    """From how many groups on more do not help, and what is busy then."""
    own = stages(task, costs, design, "nodes")
    shared = [stage for stage in own if stage.resources and stage.resources[0] != "nodes"]
    longest = max(shared, key=lambda stage: stage.seconds)
    return sum(stage.seconds for stage in own) / longest.seconds, longest.resources[0]


def plan_table(tasks: Sequence[Task], costs: Costs) -> str:
    """Windows per second for each design and number of nodes, in Markdown."""
    heads = [f"{nodes:,} nodes" for nodes in NODES]
    lines = [
        f"| task | design | K | {' | '.join(heads)} | saturated from | by |",
        "|---|---|---" + "|---:" * (len(NODES) + 1) + "|---|",
    ]
    for task in tasks:
        for design in DESIGNS:
            flows = [predict(task, costs, design, nodes * GROUPS_PER_NODE) for nodes in NODES]
            steps = [design.workers * design.longer * task.steps * flow.calls_per_second for flow in flows]
            groups, resource = saturation(task, costs, design)
            cells = " | ".join(format_number(value) for value in steps)
            name = f"`{task.name}`, P = {task.numbers:,}"
            lines.append(f"| {name} | {design.what} | {design.workers} | {cells} | {groups:,.0f} groups | the {resource} |")
    return "\n".join(lines)


def as_markdown(tasks: Sequence[Task], costs: Costs, compared: Sequence[tuple[str, float, float]], machine: str) -> str:
    lines = [
        machine,
        "",
        "| part of a call | fixed | for each worker | for each 1,000 weights of a worker |",
        "|---|---:|---:|---:|",
    ]
    for name, label in (
        ("gateway", "the process that calls"), ("host", "the group's host"), ("travel", "on the way"), ("server", "the server"),
    ):  # fmt: skip
        cost = getattr(costs, name)
        lines.append(
            f"| {label} | {1e6 * cost.fixed:.0f} µs | {1e6 * cost.per_worker:.1f} µs | {1e9 * cost.per_number:.2f} µs |"
        )
    lines += ["", "Beyond that, a training with one group of six workers takes:", ""]
    lines += ["| task | a worker's window | gateway | server | waiting | all cores busy |", "|---|---:|---:|---:|---:|---:|"]
    for task in tasks:
        window, *more = (f"{1e3 * part:.3g} ms" for part in (task.window, task.gateway, task.server, task.waiting))
        lines.append(f"| `{task.name}` ({task.steps} steps) | {window} | {' | '.join(more)} | {task.slowdown:.2f} times |")
    lines.append("")
    lines += ["| a second, on this machine | the queue says | measured | ratio |", "|---|---:|---:|---:|"]
    lines += [f"| {name} | {format_number(said)} | {format_number(is_)} | {said / is_:.2f} |" for name, said, is_ in compared]
    lines += [
        "",
        f"Environment steps a second, with {GROUPS_PER_NODE} groups on each node and {GIGABITS:g} Gbit/s to the server:",
        "",
    ]
    return "\n".join([*lines, plan_table(tasks, costs)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each measurement of training (10)")
    parser.add_argument("--write-docs", action="store_true", help="write the tables into docs/several-machines.md")
    arguments = parser.parse_args()
    about = environment()
    with tempfile.TemporaryDirectory(prefix="a3c_benchmarks_", ignore_cleanup_errors=True) as folder:
        runs = TrainingRuns(Path(folder), arguments.seconds)
        costs = measure_costs(arguments.seconds / 10)
        tasks = [measure_task(name, costs, runs) for name in TASKS]
        compared = predicted_and_measured(tasks, costs, runs, about["machine"]["cores"], arguments.seconds / 5)
    machine = (
        f"`python -m {__spec__.name} --seconds {arguments.seconds:g}`, {about['machine']['cpu']}, "
        f"{about['machine']['cores']} cores, {about['date'][:10]}."
    )
    text = as_markdown(tasks, costs, compared, machine)
    print(text)
    if arguments.write_docs:
        before, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
