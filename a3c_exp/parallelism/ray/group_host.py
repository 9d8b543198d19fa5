"""The inside of a Ray actor: it hosts the workers of one group on its node, and does what the gateway orders.

It does nothing of its own accord. So whoever is cut off from the gateway cannot train on, and a host that was replaced
meanwhile has nobody left to whom it could report.
"""

import gc
import os
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import replace

import numpy as np

from a3c_exp.compile.compiler import Compiler
from a3c_exp.parallelism.multiprocess.worker_process import Sharing
from a3c_exp.parallelism.ray.gradient_dtype import pack
from a3c_exp.parallelism.ray.messages import Answer, GroupSpec, Order, Prepared, Reply, Truncation, Window, WindowResult
from a3c_exp.parallelism.worker_group import WorkerGroup, WorkerId
from a3c_exp.system.child_process import Crash, end_children
from a3c_exp.system.errors import EnvInterfaceError
from a3c_exp.system.ray.node import NodeDescription
from a3c_exp.system.torch_settings import use_one_thread

_LOOK_SECONDS = 1.0


class GroupHost:
    """Executes each order once: one that comes again gets the answer that it had."""

    def __init__(self, spec: GroupSpec) -> None:
        self._spec, self._lock = spec, threading.Lock()
        self._group: WorkerGroup | None = None
        self._latest = 0  # the number of the order that was executed last
        self._answer: Answer | None = None  # to that order
        self._rounds, self._episodes_begun = spec.rounds.copy(), spec.episodes_begun.copy()
        self._tickets: int | None = 0
        self._heard = time.monotonic()  # when the gateway last said that it is there

    def prepare(self) -> Prepared | Crash | EnvInterfaceError:
        """Make the workers, and compile what they compute."""
        expected = self._spec.node
        if expected is not None and (refusal := NodeDescription.of_this_machine().refusal(expected)) is not None:
            return Prepared(refusal)
        try:
            use_one_thread()
            group = self._group = self._make_group()
        except EnvInterfaceError as error:
            return error
        except Exception:
            return Crash(traceback.format_exc())
        together = self._spec.pull_together
        return Prepared(pulls_together=not group.stackable if together is None else together)

    def _make_group(self) -> WorkerGroup:
        spec, compiler = self._spec, None
        sharing = Sharing(pull_together=spec.pull_together).of_group
        setup, ids = spec.setup, [WorkerId(spec.setup.seed, worker) for worker in spec.workers]
        if setup.compile:
            compiler = Compiler(bfloat16=setup.bfloat16)
            rounds, begun = np.zeros((2, len(ids)), np.int64)
            trial = WorkerGroup(setup, ids, rounds, begun, lambda _: True, *sharing, compiler=compiler)
            try:
                trial.round(np.full(len(ids), setup.learner.n_step))
            finally:
                trial.close()
            setup = replace(setup, compile=not compiler.failures)
        return WorkerGroup(setup, ids, self._rounds, self._episodes_begun, self._take_ticket, *sharing, compiler=compiler)

    def execute(self, order: Order) -> Answer:
        """Do what the next order says.

        Raises:
            ValueError: it is for another host of this group, or no order that could come next.
        """
        with self._lock:  # an order that is repeated waits for its first execution
            self.beat()
            if order.incarnation != self._spec.incarnation:
                raise ValueError(f"this is host {self._spec.incarnation} of group {self._spec.group}, not {order.incarnation}")
            if order.number == self._latest and self._answer is not None:
                return self._answer
            if order.number != self._latest + 1:
                raise ValueError(f"order {order.number} cannot follow order {self._latest}")
            self._latest, self._answer = order.number, None
            self._answer = self._execute(order)
            return self._answer

    def _execute(self, order: Order) -> Answer:
        group = self._group
        assert group is not None, "the workers were not prepared"
        try:
            match order.task:
                case Truncation(workers):
                    ended, window = group.truncate(workers), None
                case Window(weights, allowed, tickets, fraction):
                    self._tickets = tickets
                    group.weights.numpy()[:] = weights
                    if fraction is not None:
                        group.loss_inputs.follow_schedules(np.full(len(allowed), fraction))
                    use_one_thread()
                    result = group.round(allowed.copy())  # what comes by Ray cannot be written
                    ended = list(result.ended)
                    gradients = pack(result.gradients, self._spec.gradient_dtype)
                    window = WindowResult(gradients, result.window_stats, result.steps)
        except EnvInterfaceError as error:
            return error
        except Exception:
            return Crash(traceback.format_exc())
        state = group.in_episode.copy(), self._rounds.copy(), self._episodes_begun.copy()
        return Reply(order.incarnation, order.number, window, ended, *state)

    def _take_ticket(self, worker: int) -> bool:
        if self._tickets is None:
            return True
        self._tickets -= 1
        return self._tickets >= 0

    def beat(self) -> None:
        """The gateway is there."""
        self._heard = time.monotonic()


class GroupActor(GroupHost):
    """A host in a process of its own, which ends when its gateway is silent."""

    def __init__(self, spec: GroupSpec) -> None:
        super().__init__(spec)
        threading.Thread(target=self._end_if_abandoned, name="abandoned", daemon=True).start()

    def prepare(self) -> Prepared | Crash | EnvInterfaceError:
        prepared = super().prepare()
        gc.freeze()  # Ray has garbage collected again and again, which would look through all that was imported
        return prepared

    def close(self) -> None:
        """End the environments, and this process."""
        if self._group is not None:
            with suppress(Exception):  # a third party's
                self._group.close()
        end_children()
        os._exit(0)

    def _end_if_abandoned(self) -> None:
        looked = time.monotonic()
        while time.monotonic() - self._heard < self._spec.silence_timeout:
            time.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            if now - looked > 10 * _LOOK_SECONDS:  # this process was suspended, and could not hear anything
                self._heard = now
            looked = now
        self.close()
