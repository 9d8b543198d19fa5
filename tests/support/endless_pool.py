"""Program: a pool of two processes, one of which is in a step that never returns. Says the process ids before that step."""

import multiprocessing
import sys
from functools import partial
from pathlib import Path

import numpy as np

from a3c_exp.envs.process_pool.envs import SubprocessEnvs
from tests.support.troubled import FATAL, TroubledEnvironments


def main(marker: Path) -> None:
    envs = SubprocessEnvs(partial(TroubledEnvironments, trouble="spin", marker=marker), num_envs=2, processes=2)
    envs.reset(0, 1)
    envs.reset(1, FATAL)
    print(*(process.pid for process in multiprocessing.active_children()), flush=True)
    envs.step(np.zeros(2, np.int64), np.array([True, True]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
