"""Read files whose size and kind nobody guarantees, in bounded memory and without waiting."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

SMALL_FILE_BYTES = 1 << 26
"""Largest settings or status file; real ones have a few kB."""
LOG_BYTES = 1 << 28
"""Largest journal or event log; those of a session of 147 tilts have about 1 MB."""
READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Flags for `os.open`: opening a pipe would otherwise wait for its other end, for ever."""


def read_bounded(path: Path, limit_bytes: int = SMALL_FILE_BYTES) -> bytes:
    """Read a whole file of at most `limit_bytes`.

    Raises
    ------
    OSError
        The file cannot be read, is a pipe or device, or is larger (EFBIG).
    """
    with open_plain_file(os.open(path, READING), path) as file:
        return read_whole(file, limit_bytes)


def open_plain_file(descriptor: int, path: Path) -> BinaryIO:
    """Return a file object for a descriptor opened with `READING`.

    Raises
    ------
    OSError
        It is a folder, pipe or device; the descriptor is closed then.
    """
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "is a folder, not a file", str(path))
        raise OSError(errno.EINVAL, "is a pipe or device, not a file", str(path))
    if hasattr(os, "O_NONBLOCK"):
        os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "rb")


def read_whole(file: BinaryIO, limit_bytes: int = SMALL_FILE_BYTES) -> bytes:
    """Read an open file as `read_bounded` does."""
    size_bytes = file.seek(0, 2)
    if size_bytes > limit_bytes:
        raise OSError(
            errno.EFBIG,
            f"has {size_bytes / 1e9:.2f} GB, at most {limit_bytes / 1e9:.2f} GB are read",
        )
    file.seek(0)
    return file.read(limit_bytes)
