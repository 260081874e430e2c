"""Folders held open: what is read and written below them is reached by their descriptor.

A session, each of its processes and `dualtilt process` hold their folder open. If the folder, or
one above it, is renamed and a link takes its place, files are still opened, made, renamed and
removed in the folder that was opened. No link below it is followed either. Windows has no such
descriptors; paths are used there.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedReader, FileIO
from pathlib import Path
from typing import BinaryIO

FOLDER_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
"""Opening a pipe would otherwise wait for its other end, for ever."""
NO_FILE = "is a pipe or device, not a file"
_BY_DESCRIPTOR = Path("/proc/self/fd")

_held: dict[Path, list[int]] = {}


def hold(folder: Path, descriptor: int) -> None:
    """Reach `folder` by its open descriptor until `let_go`; the caller closes the descriptor."""
    _held.setdefault(folder.absolute(), []).append(descriptor)


def let_go(folder: Path, descriptor: int) -> None:
    """Reach `folder` by its path again, or by the descriptor of an earlier `hold`."""
    descriptors = _held[folder.absolute()]
    descriptors.remove(descriptor)
    if not descriptors:
        del _held[folder.absolute()]


@contextmanager
def held(folder: Path, *, reached_by: Path | None = None) -> Iterator[None]:
    """Hold an existing folder open meanwhile; the folder itself may be a link of the user's.

    Parameters
    ----------
    reached_by
        Another path that leads to the folder now, e.g. "." in a process that was started in it.

    Raises
    ------
    OSError
        The folder cannot be opened.
    """
    if os.open not in os.supports_dir_fd:
        yield
        return
    descriptor = os.open(reached_by or folder, FOLDER_FLAGS & ~NO_LINK)
    try:
        hold(folder, descriptor)
        try:
            yield
        finally:
            let_go(folder, descriptor)
    finally:
        os.close(descriptor)


def open_to_read(path: Path) -> BinaryIO:
    """Open a file for reading bytes; below a held folder no link is followed.

    Raises
    ------
    OSError
        The file cannot be opened, is reached through a link (ELOOP), or is a pipe or device.
    """

    def opener(_: str, flags: int) -> int:
        with reached(path) as (name, folder):
            return open_at(name, flags if folder is None else flags | NO_LINK, folder, path)

    return BufferedReader(FileIO(path, "r", opener=opener))


def open_at(name: str, flags: int, folder: int | None, path: Path, mode: int = 0o666) -> int:
    """Open a file or folder as `os.open` does, and name the link that prevents it.

    Raises
    ------
    OSError
        It cannot be opened, is a link that the flags do not follow (ELOOP), or is a pipe or device.
    """
    try:
        descriptor = os.open(name, flags | _NO_WAIT, mode, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK) and _is_link(name, folder):
            raise OSError(
                errno.ELOOP, "is a link, and no link is followed here; remove it", str(path)
            ) from None
        error.filename = str(path)  # for messages: the name alone is in a folder that is held
        raise
    if not holds_bytes(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, NO_FILE, str(path))
    if _NO_WAIT:
        os.set_blocking(descriptor, True)
    return descriptor


def holds_bytes(mode: int) -> bool:
    """Tell whether a mode is that of a plain file or a folder, whose bytes are on a disk."""
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _is_link(name: str, folder: int | None) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False


@contextmanager
def reached(path: Path) -> Iterator[tuple[str, int | None]]:
    """Yield name and `dir_fd` with which the functions of `os` reach a file or folder.

    `dir_fd` is None, and the name the whole path, where no held folder contains it.

    Raises
    ------
    OSError
        A folder between the held one and `path` is missing or a link.
    """
    place = path.absolute()
    for folder, descriptors in list(_held.items()):  # another thread may hold one meanwhile
        if place == folder:
            yield ".", descriptors[-1]
            return
        if place.is_relative_to(folder):
            *between, name = place.relative_to(folder).parts
            with ExitStack() as opened:
                descriptor, where = descriptors[-1], folder
                for part in between:
                    where /= part
                    descriptor = open_at(part, FOLDER_FLAGS, descriptor, where)
                    opened.callback(os.close, descriptor)
                try:
                    yield name, descriptor
                except OSError as error:
                    if error.filename == name:  # for messages: the path that was asked for
                        error.filename = str(path)
                    raise
            return
    yield str(path), None


@contextmanager
def reached_folder(folder: Path) -> Iterator[Path]:
    """Yield a path to a folder for functions that take paths alone.

    On Linux a held folder, or one below it, is reached by its descriptor; elsewhere by its path.
    """
    with reached(folder / "any") as (_, descriptor):
        if descriptor is not None and _BY_DESCRIPTOR.is_dir():
            yield _BY_DESCRIPTOR / str(descriptor)
        else:
            yield folder
