"""What a node of a cluster must agree in, and how what a process there says comes home once, whatever happens to the calls."""

import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from a3c_exp.system.child_process import ParentPipe
from a3c_exp.system.ray.node import NodeDescription, adopt_arithmetic_environment, arithmetic_environment
from a3c_exp.system.ray.process_host import HostedProcess, HostReply, ProcessHost
from tests.support.pushing import PATIENCE

HERE = NodeDescription.of_this_machine()


def test_a_node_with_other_versions_or_other_code_is_refused_and_one_with_another_processor_is_said() -> None:
    assert HERE.refusal(HERE) is HERE.difference(HERE) is None
    other = replace(HERE, versions={**HERE.versions, "torch": "1.0"})
    assert f"{HERE.node} has torch {HERE.versions['torch']}, and not 1.0" in (HERE.refusal(other) or "")
    assert "there has other files of a3c_exp" in (replace(HERE, node="there", code="-").refusal(HERE) or "")
    slower = replace(HERE, node="there", cpu="Z80", instruction_sets="-")
    assert slower.refusal(HERE) is None
    assert "there has another processor (Z80) than" in (slower.difference(HERE) or "")


def test_what_chooses_kernels_is_the_same_on_all_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKL_CBWR", "AUTO")
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    there = arithmetic_environment()
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    adopt_arithmetic_environment(there)
    assert arithmetic_environment() == there and "ATEN_CPU_CAPABILITY" not in os.environ


def count_and_echo(pipe: Connection) -> None:
    parent = ParentPipe(pipe)
    for number in range(3):
        parent.send(number)
    while (request := pipe.recv()) != "end":
        parent.send(request)


@contextmanager
def hosted(expected: NodeDescription = HERE, silence_timeout: float = PATIENCE) -> Iterator[ProcessHost]:
    content = pickle.dumps((count_and_echo, ()))
    spec = HostedProcess(content, "child", (), str(Path.cwd()), arithmetic_environment(), expected, PATIENCE, silence_timeout)
    host = ProcessHost(spec, lambda: "this one")
    yield host
    if host._pid:
        with suppress(ProcessLookupError):
            os.kill(host._pid, signal.SIGKILL)


def asked(host: ProcessHost, enough: Callable[[HostReply], object], *question: Any) -> HostReply:
    """The reply to a question that is repeated until there is enough."""
    deadline = time.monotonic() + PATIENCE
    while not enough(reply := host.ask(*question)):
        assert time.monotonic() < deadline
    return reply


def test_a_message_is_kept_until_it_has_arrived_and_a_request_counts_once() -> None:
    def said(reply: HostReply) -> list[tuple[int, Any]]:
        return [(number, pickle.loads(content)) for number, content in reply.messages]

    first, second, end = (pickle.dumps(request) for request in ("first", "second", "end"))
    with hosted() as host:
        three = asked(host, lambda reply: len(reply.messages) == 3, 0, 0, b"")
        assert said(three) == [(1, 0), (2, 1), (3, 2)]
        assert said(host.ask(0, 0, b"")) == said(three), "the first reply may not have arrived"
        assert said(host.ask(2, 0, b"")) == [(3, 2)]
        host.tell(1, first)
        echo = asked(host, lambda reply: reply.messages, 3, 1, first)
        assert said(echo) == [(4, "first")]
        host.tell(2, second)
        host.tell(1, first)  # late, for the second time
        assert said(asked(host, lambda reply: len(reply.messages) == 2, 3, 2, second)) == [(4, "first"), (5, "second")]
        ended = asked(host, lambda reply: reply.cause, 5, 3, end)
        assert (ended.cause, ended.killed, ended.refused) == ("ended with exit code 0", False, False)


def test_a_process_of_which_nobody_asks_is_ended_as_lost() -> None:
    with hosted(silence_timeout=0.2) as host:
        time.sleep(0.3)
        ended = asked(host, lambda reply: time.sleep(1.5) or reply.cause, 0, 0, b"")  # type: ignore[func-returns-value]
        assert ended.killed and "nothing was heard of the run for 0.2 s" in (ended.cause or "")


def test_a_process_that_is_killed_counts_as_lost_and_one_on_an_odd_node_is_not_started() -> None:
    with hosted() as host:
        os.kill(asked(host, lambda reply: reply.messages, 0, 0, b"").pid, signal.SIGKILL)
        killed = asked(host, lambda reply: reply.cause, 3, 0, b"")
        assert killed.killed and killed.cause == "was killed by SIGKILL"
    with hosted(replace(HERE, code="-")) as host:
        refused = host.ask(0, 1, b"")
        assert refused.refused and not refused.killed and "other files of a3c_exp" in (refused.cause or "")
