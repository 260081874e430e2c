"""Lock of an open file, which the system frees when its holder closes the file or dies."""

from __future__ import annotations

import os
from io import FileIO

if os.name == "nt":
    import msvcrt

    def lock_exclusively(file: FileIO) -> None:
        """Lock an open file.

        Raises
        ------
        BlockingIOError
            Another process holds the lock.
        """
        file.seek(1_000)  # a byte far behind the process id, so that others can read the id
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError as error:
            raise BlockingIOError(*error.args) from None

    def lock_folder(descriptor: int) -> None:
        """Do nothing: Windows locks no folders."""

else:
    import fcntl

    def lock_exclusively(file: FileIO) -> None:
        """Lock an open file.

        Raises
        ------
        BlockingIOError
            Another process holds the lock.
        """
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)

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
