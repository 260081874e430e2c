"""Memory that the live child frees with each frame and needs again with the next.

The C library of Linux (glibc) gives freed arrays of some MB back to the system at once, and the
system clears each page before it hands it out again. On a virtual machine one page can take a tenth
of a millisecond then: half a second for a frame of 2048 x 2048 px. Counts and final results do not
keep their memory: their arrays are larger, and gain more from the system's large pages.
"""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of `mallopt` (malloc.h)."""
LARGEST_KEPT_BYTES = 32 * 2**20
"""Largest array whose memory is kept, the most that glibc allows."""
KEPT_BYTES = 2**31 - 1
"""Memory that is kept in all, the most that glibc allows."""


def keep_freed_memory() -> None:
    """Let this process keep the memory of arrays up to `LARGEST_KEPT_BYTES`; only with glibc."""
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return
    library.mallopt(MMAP_THRESHOLD, LARGEST_KEPT_BYTES)
    library.mallopt(TRIM_THRESHOLD, KEPT_BYTES)
