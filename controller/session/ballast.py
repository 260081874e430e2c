"""Disk space reserved for the frames still to be recorded, so that no other program takes it.

A file beside the stacks holds the space. Space reserved inside a stack would be a hole that
readers take for images.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from processing.files.atomic import open_plain, remove_file


class Ballast:
    """File that reserves disk space and shrinks with each frame.

    Parameters
    ----------
    path
        The file; removed when its size reaches 0.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def reserve(self, size_bytes: int) -> None:
        """Reserve `size_bytes` in total.

        Raises
        ------
        OSError
            Too little free space; nothing is reserved then.
        """
        if size_bytes <= 0:
            self.release()
            return
        try:
            with open_plain(self._path, "ab") as file:
                file.truncate(size_bytes)
                if hasattr(os, "posix_fallocate"):  # NTFS reserves it on truncate
                    os.posix_fallocate(file.fileno(), 0, size_bytes)
        except OSError:
            with contextlib.suppress(OSError):
                self.release()
            raise

    def shrink(self, size_bytes: int) -> None:
        """Free `size_bytes`, the space of a frame that is about to be written.

        What cannot be freed is left: no frame waits for the ballast.
        """
        held = self.held_bytes
        with contextlib.suppress(OSError):
            if held > size_bytes:
                with open_plain(self._path, "r+b") as file:
                    file.truncate(held - size_bytes)
            elif held:
                self.release()

    def release(self) -> None:
        """Free all reserved space.

        Raises
        ------
        OSError
            The file cannot be removed, or a folder has its name.
        """
        if self._path.is_dir() and not self._path.is_symlink():
            raise OSError(errno.EISDIR, "is a folder, not a file; remove it", str(self._path))
        remove_file(self._path)

    @property
    def held_bytes(self) -> int:
        """Reserved space (bytes); a file with a second name, a link or a folder reserves none."""
        try:
            found = self._path.lstat()
        except OSError:
            return 0
        return found.st_size if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 else 0
