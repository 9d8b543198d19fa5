"""Program: train with two worker processes, for ever. Says so once both are at work.

One plays an endless episode; the other idles, because there is no second one, and has nothing to send: it can learn that the
main process is gone only by looking.
"""

from a3c_exp.core.budget import Budget
from a3c_exp.parallelism.hogwild import Hogwild
from a3c_exp.parallelism.ledger import Slot
from a3c_exp.track import NEVER
from tests.parallelism.driving import Training, small_task


def main() -> None:
    hogwild = Hogwild(processes=2)
    with Training(hogwild, small_task(Budget(max_episodes=1), workers=2, lengths=(10**9,))) as training:
        training.until(lambda: bool(hogwild._ledger.table[:, Slot.heartbeat].all()) and hogwild.counts().updates > 50, "work")
        print("working", *training.workers(), flush=True)
        while True:
            training.parallelism.advance(0.1, [NEVER])


if __name__ == "__main__":
    main()
