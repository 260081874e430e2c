"""Disk space kept for the frames still to come, so that no other program takes it.

The space lies in a file beside the stacks: reserved inside a stack it would be a hole that
readers take for images.
"""

from __future__ import annotations

import os
from pathlib import Path


class Ballast:
    """A file that shrinks as frames come.

    Parameters
    ----------
    path
        The file; removed when it has shrunk to nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def reserve(self, size_bytes: int) -> None:
        """Take `size_bytes` of the disk in all.

        Raises
        ------
        OSError
            There is not so much room; nothing is held then.
        """
        if size_bytes <= 0:
            self.release()
            return
        try:
            with self._path.open("ab") as file:
                file.truncate(size_bytes)
                if hasattr(os, "posix_fallocate"):  # on NTFS a longer file has its space already
                    os.posix_fallocate(file.fileno(), 0, size_bytes)
        except OSError:
            self.release()
            raise

    def shrink(self, size_bytes: int) -> None:
        """Give back room for one frame, just before it is written."""
        held = self.held_bytes
        if held > size_bytes:
            with self._path.open("r+b") as file:
                file.truncate(held - size_bytes)
        elif held:
            self.release()

    def release(self) -> None:
        """Give back everything."""
        self._path.unlink(missing_ok=True)

    @property
    def held_bytes(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0
