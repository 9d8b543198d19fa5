"""Tensors that several processes read and write."""

import errno
import os

from torch import Tensor

from a3c_exp.system.errors import A3CError, first_line


def share(*tensors: Tensor) -> None:
    """Move tensors into memory that processes share.

    Raises:
        A3CError: the system has too little of it, as containers often do.
        OSError: too many files are open.
    """
    try:
        for tensor in tensors:
            tensor.share_memory_()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        if f"({errno.EMFILE})" in str(error):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE)) from None
        size = 1 + sum(tensor.nbytes for tensor in tensors) // 1024
        raise A3CError(
            f"the memory that processes share (/dev/shm) does not take another {size:,} KiB: "
            f"{first_line(error).rpartition(': ')[2]}. Give it more (docker run --shm-size=1g), or train in one process "
            "(parallelism=deterministic)"
        ) from None
