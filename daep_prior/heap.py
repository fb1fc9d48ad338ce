"""The heap of the C library: whether what a computation frees is kept for the next one.

By default the GNU C library hands every large block back to the system when it is freed, and the system clears each of
its pages again when the next activation of the network asks for them. That is up to a fifth of a gradient on the CPU.
"""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory", "kept_bytes"]

#: Of ``malloc.h``.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
#: Blocks up to so many bytes are kept, the most that the library allows: the activations of a tile or an image of up to
#: a megapixel, but not the few buffers of the size of a large photograph.
LARGEST_KEPT = 2**25
#: By so many bytes the heap grows at once.
GROWTH = 2**26


class _Usage(ctypes.Structure):
    """``struct mallinfo2``."""

    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd")),
        *((name, ctypes.c_size_t) for name in ("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")),
    ]


def keep_freed_memory() -> bool:
    """Keep the memory that is freed for later, in this process, instead of handing it back to the system.

    Blocks of up to 32 MiB then come from one heap that does not shrink. The command line calls this; a program of your
    own may. ``MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=-1`` in the environment does the same.

    :return: whether it took effect: on Linux with the GNU C library.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all([mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT), mallopt(M_TRIM_THRESHOLD, -1), mallopt(M_TOP_PAD, GROWTH)])


def kept_bytes() -> int:
    """Bytes of freed memory that the heap holds; 0 where the C library does not say."""
    usage = getattr(ctypes.CDLL(None), "mallinfo2", None) if sys.platform == "linux" else None
    if usage is None:
        return 0
    usage.restype = _Usage
    return int(usage().fordblks)
