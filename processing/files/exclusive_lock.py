"""Lock of an open file, which the system frees when its holder closes the file or dies."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from io import FileIO
from typing import BinaryIO

ASKED_S = 0.02
ATTEMPTS = 5
"""Somebody who asks whether a file is locked holds its lock for an instant: try again."""


def lock_exclusively(file: FileIO) -> None:
    """Lock an open file, and leave the id of this process in it.

    Raises
    ------
    BlockingIOError
        Another process holds the lock.
    """
    for _ in range(ATTEMPTS - 1):
        with suppress(BlockingIOError):
            _lock(file)
            break
        time.sleep(ASKED_S)
    else:
        _lock(file)
    file.truncate(0)
    file.seek(0)
    file.write(f"{os.getpid()}\n".encode())


if os.name == "nt":
    import msvcrt

    PLACE = 1_000
    """Place of the locked byte, far behind the process id, so that others can read the id."""

    def _lock(file: FileIO | BinaryIO) -> None:
        file.seek(PLACE)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError as error:
            raise BlockingIOError(*error.args) from None

    def is_locked(file: BinaryIO) -> bool:
        """Tell whether an open file is locked; the lock is taken for an instant if it is not."""
        try:
            _lock(file)
        except BlockingIOError:
            return True
        file.seek(PLACE)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]
        return False

    def lock_folder(descriptor: int) -> None:
        """Do nothing: Windows locks no folders."""

else:
    import fcntl

    def _lock(file: FileIO | BinaryIO) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)

    def is_locked(file: BinaryIO) -> bool:
        """Tell whether an open file is locked; the lock is taken for an instant if it is not."""
        try:
            # a shared lock needs no permission to write, also on NFS
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(file.fileno(), fcntl.LOCK_UN)
        return False

    def lock_folder(descriptor: int) -> None:
        """Lock an open folder, where a folder can be locked (not on NFS).

        Raises
        ------
        BlockingIOError
            Another process holds the lock.
        """
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            return
