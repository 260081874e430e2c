"""Read files whose size nobody guarantees, in bounded memory."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import BinaryIO

SMALL_FILE_BYTES = 1 << 26
"""Largest settings or status file; real ones have a few kB."""
LOG_BYTES = 1 << 28
"""Largest journal or event log; those of a session of 147 tilts have about 1 MB."""


def read_bounded(path: Path, limit_bytes: int = SMALL_FILE_BYTES) -> bytes:
    """Read a whole file of at most `limit_bytes`.

    Raises
    ------
    OSError
        The file cannot be read, or is larger (EFBIG).
    """
    with path.open("rb") as file:
        return read_whole(file, limit_bytes)


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
