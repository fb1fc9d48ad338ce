"""The heap of the C library: whether what a computation frees is kept for the next one.

By default the GNU C library hands every large block back to the system when it is freed, and the system clears each of
its pages again when the next activation of the network asks for them. That is up to a fifth of a gradient on the CPU.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["keep_freed_memory", "kept_bytes", "working_memory"]

#: Of ``malloc.h``.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -2, -3, -4
#: Blocks up to so many bytes are kept always, the most that the library allows.
LARGEST_KEPT = 2**25
#: By so many bytes the heap grows at once.
GROWTH = 2**26
#: So many blocks may lie outside of the heap by default.
OUTSIDE = 2**16

#: ``mallopt`` of the C library, once :func:`keep_freed_memory` has taken effect.
_mallopt: Callable[[int, int], int] | None = None


class _Usage(ctypes.Structure):
    """``struct mallinfo2``."""

    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd")),
        *((name, ctypes.c_size_t) for name in ("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")),
    ]


def keep_freed_memory() -> bool:
    """Keep the memory that is freed for later, in this process, instead of handing it back to the system.

    Blocks of up to 32 MiB, and those of any size that a network works with, then come from one heap that does not
    shrink; the images of a large photograph do not, which would leave holes in it. The command line calls this; a
    program of your own may.

    :return: whether it took effect: on Linux with the GNU C library.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    global _mallopt
    kept = all([mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT), mallopt(M_TRIM_THRESHOLD, -1), mallopt(M_TOP_PAD, GROWTH)])
    _mallopt = mallopt if kept else None
    return kept


@contextmanager
def working_memory() -> Iterator[None]:
    """Blocks of any size that are asked for in here are kept when they are freed, if :func:`keep_freed_memory` was
    called."""
    if _mallopt is None:
        yield
        return
    _mallopt(M_MMAP_MAX, 0)
    try:
        yield
    finally:
        _mallopt(M_MMAP_MAX, OUTSIDE)


def kept_bytes() -> int:
    """Bytes of freed memory that the heap holds; 0 where the C library does not say."""
    usage = getattr(ctypes.CDLL(None), "mallinfo2", None) if sys.platform == "linux" else None
    if usage is None:
        return 0
    usage.restype = _Usage
    return int(usage().fordblks)
