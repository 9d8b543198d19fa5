"""Program: train with two worker processes, for ever. Says so once both are at work. Argument: hogwild or parameter_server.

One plays an endless episode; the other idles, because there is no second one, and has nothing to send: it can learn that the
main process is gone only by looking.
"""

import sys

from a3c_exp.core.budget import Budget
from a3c_exp.parallelism.hogwild import Hogwild
from a3c_exp.parallelism.ledger import Slot
from a3c_exp.parallelism.parameter_server import ParameterServer
from a3c_exp.track import NEVER
from tests.parallelism.driving import Training, small_task


def main(name: str) -> None:
    kind = {"hogwild": Hogwild, "parameter_server": ParameterServer}[name](processes=2)
    with Training(kind, small_task(Budget(max_episodes=1), workers=2, lengths=(10**9,))) as training:
        training.until(lambda: bool(kind._ledger.table[:, Slot.heartbeat].all()) and kind.counts().updates > 50, "work")
        print("working", *training.workers(), flush=True)
        while True:
            training.parallelism.advance(0.1, [NEVER])


if __name__ == "__main__":
    main(sys.argv[1])
