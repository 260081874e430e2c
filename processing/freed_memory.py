"""Memory that a process frees and soon needs again.

Every step of the processing creates and frees arrays of some MB. The C library of Linux (glibc)
gives such memory back to the system at once, and the system clears each page before it hands the
page out again. On a virtual machine one page can take a tenth of a millisecond then: most of the
time of a preview of 2048 x 2048 px.
"""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
"""Parameters of `mallopt` (malloc.h)."""
LARGEST_KEPT_BYTES = 32 * 2**20
"""Largest array whose memory is kept, the most that glibc allows. Volumes are larger: the system
gets them back."""
KEPT_BYTES = 2**31 - 1
"""Memory that is kept in all, the most that glibc allows."""


def keep_freed_memory() -> None:
    """Let this process keep the memory of small arrays for the next ones; only with glibc.

    All threads share one store: with one for each, as by default, the process would need a tenth
    more memory. Meant for the start of a process, before its threads.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return
    library.mallopt(ARENA_MAX, 1)
    library.mallopt(MMAP_THRESHOLD, LARGEST_KEPT_BYTES)
    library.mallopt(TRIM_THRESHOLD, KEPT_BYTES)
