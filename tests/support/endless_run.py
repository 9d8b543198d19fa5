"""Program: train with two worker processes, for ever. Says so once both are at work. Argument: hogwild or parameter_server.

One plays an endless episode; the other idles, because there is no second one, and has nothing to send: it can learn that the
main process is gone only by looking.
"""

import sys

from a3c_exp.config.budget import Budget
from a3c_exp.parallelism.hogwild.strategy import Hogwild
from a3c_exp.parallelism.multiprocess.shared_counters import CounterColumn
from a3c_exp.parallelism.parameter_server.strategy import ParameterServer
from a3c_exp.training.run_tracker import NEVER_DUE
from tests.support.driving import Training, small_task


def main(name: str) -> None:
    kind = {"hogwild": Hogwild, "parameter_server": ParameterServer}[name](processes=2)
    with Training(kind, small_task(Budget(max_episodes=1), workers=2, lengths=(10**9,))) as training:
        training.until(
            lambda: bool(kind._counters.table[:, CounterColumn.heartbeat].all()) and kind.counts().updates > 50, "work"
        )
        print("working", *training.workers(), flush=True)
        while True:
            training.parallelism.advance(0.1, [NEVER_DUE])


if __name__ == "__main__":
    main(sys.argv[1])
