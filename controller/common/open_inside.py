"""Open files inside a session's folder without following a link.

For the packages that may not import `processing`; `processing.files.held_folder` also holds a
folder open.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from controller.common.bounded_read import READING, open_plain_file
from controller.common.errors import UsageError

_FOLDER_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_BY_DESCRIPTOR = Path("/proc/self/fd")


class LinkRefusedError(UsageError):
    """A file of a session, or a folder between, is a link."""


def open_inside(folder: Path, inside: str | Path) -> BinaryIO:
    """Open a file of a session for reading; `folder` itself may be a link of the user's.

    Parameters
    ----------
    inside
        Path relative to `folder`.

    Raises
    ------
    LinkRefusedError
        The file, or a folder between, is a link.
    OSError
        The file cannot be opened, is a pipe or device, or is not inside `folder`.
    """
    path = Path(inside)
    if path.is_absolute() or ".." in path.parts:
        raise PermissionError(f"{path}: is not inside {folder}")
    places = [folder / part for part in (*reversed(path.parents), path)][1:]
    for place in places:
        if place.is_symlink():
            raise LinkRefusedError(
                f"{place}: is a link; a session is read without links; remove it"
            )
    if os.open not in os.supports_dir_fd:
        return (folder / path).open("rb")
    # opened one by one, so that a link that comes now is not followed either
    with ExitStack() as opened:
        descriptor = os.open(folder, _FOLDER_FLAGS)
        opened.callback(os.close, descriptor)
        for part in path.parts[:-1]:
            descriptor = os.open(part, _FOLDER_FLAGS | _NO_LINK, dir_fd=descriptor)
            opened.callback(os.close, descriptor)
        return open_plain_file(
            os.open(path.name, READING | _NO_LINK, dir_fd=descriptor), folder / path
        )


@contextmanager
def path_inside(folder: Path, inside: str | Path) -> Iterator[Path]:
    """Yield a path to a file of a session for functions that take paths alone.

    On Linux it leads to the file that `open_inside` opened; elsewhere it is the file's path.

    Raises
    ------
    LinkRefusedError, OSError
        As `open_inside`.
    """
    with open_inside(folder, inside) as file:
        by_descriptor = _BY_DESCRIPTOR / str(file.fileno())
        yield by_descriptor if _BY_DESCRIPTOR.is_dir() else folder / inside
