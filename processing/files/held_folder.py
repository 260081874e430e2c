"""Folders held open: what is written below them reaches them however their path is exchanged.

A session holds its folder open. If the folder, or one above it, is renamed and a link takes its
place, files are still made, renamed and removed in the folder that was opened. No link below it is
followed either. Windows has no such descriptors; paths are used there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

FOLDER_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
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
def reached(path: Path) -> Iterator[tuple[str, int | None]]:
    """Yield name and `dir_fd` with which the functions of `os` reach a file or folder.

    `dir_fd` is None, and the name the whole path, where no held folder contains it.

    Raises
    ------
    OSError
        A folder between the held one and `path` is missing or a link.
    """
    place = path.absolute()
    for folder, descriptors in _held.items():
        if place == folder:
            yield ".", descriptors[-1]
            return
        if place.is_relative_to(folder):
            *between, name = place.relative_to(folder).parts
            with ExitStack() as opened:
                descriptor = descriptors[-1]
                for part in between:
                    descriptor = os.open(part, FOLDER_FLAGS, dir_fd=descriptor)
                    opened.callback(os.close, descriptor)
                yield name, descriptor
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
