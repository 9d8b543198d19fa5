"""Program: train with two worker processes, for ever. Says so once both are at work."""

import sys
import time

from a3c_exp.parallelism.hogwild import Hogwild
from a3c_exp.parallelism.supervisor import StartMethod
from tests.parallelism.driving import ENDLESS, Training, small_task


def main(start_method: StartMethod) -> None:
    with Training(Hogwild(processes=2, start_method=start_method), small_task(ENDLESS, workers=2)) as training:
        training.until(lambda: training.tally.windows > 50, "work")
        print("working", *training.workers(), flush=True)
        while True:
            training.hogwild.advance(0.1)
            time.sleep(0.001)


if __name__ == "__main__":
    main("spawn" if "spawn" in sys.argv else "forkserver")
