"""A session's folder must be the user's own: nobody else may plant files, links or pipes in it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from controller.common.errors import UsageError
from processing.files.held_folder import FOLDER_FLAGS, NO_FILE, holds_bytes

ROOT_UID = 0
OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def require_private(path: Path) -> None:
    """Check that a folder is the user's own, and that no link or foreign file lies in it.

    Windows has no such owners and modes; nothing is checked there.

    Raises
    ------
    UsageError
        The folder is a link, belongs to somebody else, can be written by others, or holds a link,
        a pipe, a device or a file of somebody else.
    OSError
        The folder cannot be read.
    """
    if os.name == "nt":
        return
    _require_own_folder(path, path.lstat())
    descriptor = os.open(path, FOLDER_FLAGS)
    try:
        require_private_at(path, descriptor)
    finally:
        os.close(descriptor)


def require_private_at(path: Path, descriptor: int) -> None:
    """Check an open folder as `require_private` does; `path` is its name in the messages."""
    _require_own_folder(path, os.fstat(descriptor))
    for folder, folders, files, within in os.fwalk(dir_fd=descriptor, follow_symlinks=False):
        for name in (*folders, *files):
            _require_plain(path / folder / name, name, within)


def _require_own_folder(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISDIR(found.st_mode):
        raise UsageError(f"{path}: is a link or a file; name the session's folder itself")
    _require_own(path, found)
    if found.st_mode & OTHERS_MAY_WRITE:
        raise UsageError(f"{path}: others may write in it; first: chmod go-w {path}")


def _require_plain(entry: Path, name: str, within: int) -> None:
    try:
        found = os.stat(name, dir_fd=within, follow_symlinks=False)
    except FileNotFoundError:  # a temporary file of a process that still ends
        return
    if stat.S_ISLNK(found.st_mode):
        raise UsageError(f"{entry}: is a link, and no session writes through links; remove it")
    if not (holds_bytes(found.st_mode) or stat.S_ISSOCK(found.st_mode)):
        raise UsageError(f"{entry}: {NO_FILE}; remove it")
    _require_own(entry, found)


def _require_own(path: Path, found: os.stat_result) -> None:
    if found.st_uid not in (os.geteuid(), ROOT_UID):
        raise UsageError(
            f"{path}: belongs to user {found.st_uid}, not to you; use a folder of your own"
        )
