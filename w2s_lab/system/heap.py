"""Memory that the process has freed goes back to the operating system."""

import ctypes
import sys


def give_back() -> None:
    """Return freed memory to the system, where its C library can do so (glibc); elsewhere nothing happens.

    glibc keeps blocks of up to 32 MB for later. After an evaluation of a large model on a CPU these are half a
    gigabyte, beside which the gradients and the optimizer then take theirs.
    """
    if not sys.platform.startswith("linux"):
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
