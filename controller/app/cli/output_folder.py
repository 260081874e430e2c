"""Places for the files that verbs write, checked before any work is done for them."""

from __future__ import annotations

import argparse
import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from controller.common.errors import ProcessingFailedError, UsageError, path_error_text, quoted

FOLDERS = ("out", "pictures", "make_certs")
FILES = ("table", "audit")
FILES_WITH_FOLDERS = ("connection_file", "socket")
"""Arguments of all verbs that name a folder, a file, or a file with its folder, to be written."""


def require_places(args: argparse.Namespace) -> None:
    """Refuse arguments that name a file where a folder is written, or a folder for a file.

    Raises
    ------
    UsageError
        There is such an argument.
    """
    for name in FOLDERS:
        if (folder := getattr(args, name, None)) is not None:
            require_folder_place(folder)
    for name in FILES:
        if (file := getattr(args, name, None)) is not None:
            require_file_place(file)
    for name in FILES_WITH_FOLDERS:
        if (file := getattr(args, name, None)) is not None:
            require_folder_place(file.parent)
            require_no_folder(file)


def require_file_place(path: Path) -> None:
    """Refuse a path on which no file can be written.

    Raises
    ------
    UsageError
        The path is a folder, or its folder is missing.
    """
    require_no_folder(path)
    if not path.parent.is_dir():
        raise UsageError(f"{path}: {path.parent} is no folder; make it, or choose another")


def require_no_folder(path: Path) -> None:
    """Refuse a path that is a folder.

    Raises
    ------
    UsageError
        It is one.
    """
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; name a file in it")


def require_folder_place(path: Path) -> None:
    """Refuse a path on which no folder can be made.

    Raises
    ------
    UsageError
        The path, or one above it, is a file, or nothing can be written there.
    """
    for place in (path, *path.parents):
        if place.is_dir():
            _require_writable(place, path)
            return
        if place.exists():
            of = "" if place == path else f", so {path} can be no folder"
            raise UsageError(f"{place}: is a file, not a folder{of}; choose another folder")


def _require_writable(folder: Path, path: Path) -> None:
    """Refuse a folder in which nothing can be made, so that `path` can not be written."""
    try:
        with TemporaryFile(dir=folder):
            return
    except OSError as error:
        # the virtual folders of the system say of each new file that it does not exist
        reason = "" if error.errno == errno.ENOENT else f" ({error.strerror})"
    raise UsageError(
        f"{path}: cannot be written, {folder} takes no new files{reason}; choose another folder"
    )


@contextmanager
def removed_if_empty(results: Path) -> Iterator[None]:
    """Remove a folder of results, and its subfolder, if they are empty at the end."""
    try:
        yield
    finally:
        for folder in (results / "processed", results):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


@contextmanager
def failed_write_named(results: Path) -> Iterator[None]:
    """Say what to do where results cannot be written, as on a full disk.

    Files that are complete stay; without a summary they are no results.

    Raises
    ------
    ProcessingFailedError
        A file could not be written.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        mend = "free space on this disk" if full else "correct this"
        left = results / "processed"
        if left.is_dir() and any(left.iterdir()):
            mend += f", remove {quoted(left)}, which may be incomplete"
        raise ProcessingFailedError(
            f"{path_error_text(error, results)}; {mend}, and process again"
        ) from error


def empty_folder(path: Path) -> Path:
    """Return the folder, made if need be.

    Raises
    ------
    UsageError
        It holds files, or it cannot be made or read.
    """
    require_folder_place(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise UsageError(f"{path}: is not empty; choose a new folder")
    except OSError as error:
        raise UsageError(f"{path}: cannot be made or read: {error.strerror}") from None
    return path
