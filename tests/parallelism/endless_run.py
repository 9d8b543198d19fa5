"""Program: train with two worker processes, for ever. Says so once both are at work."""

from a3c_exp.parallelism.hogwild import Hogwild
from tests.parallelism.driving import ENDLESS, Training, small_task


def main() -> None:
    with Training(Hogwild(processes=2), small_task(ENDLESS, workers=2)) as training:
        training.until(lambda: training.tally.windows > 50, "work")
        print("working", *training.workers(), flush=True)
        while True:
            training.hogwild.advance(0.1)


if __name__ == "__main__":
    main()
