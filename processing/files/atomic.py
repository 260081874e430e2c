"""Write a file completely or not at all, and never through a link."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from processing.files.held_folder import NO_LINK, open_at, reached, reached_folder

# Windows has no fdatasync; fsync also writes the times, which costs a little and is as safe
sync_data = getattr(os, "fdatasync", os.fsync)

ANY_READER, OWNER_ONLY = 0o666, 0o600
"""File permissions; the process's umask narrows them."""
SECOND_NAME = "has a second name (hard link), which would change, too: put a copy in its place"


def open_plain(path: Path, mode: str) -> FileIO:
    """Open a file without a buffer; refuse what would write to, or wait for, another place.

    Parameters
    ----------
    mode
        As `open` takes it, for bytes: "xb", "ab", "r+b", ...

    Raises
    ------
    OSError
        It cannot be opened, is a link, a pipe or a device, or is to be written and has a second
        name (hard link) under which its bytes would change, too.
    """

    def open_no_link(_: str, flags: int) -> int:
        with reached(path) as (name, folder):
            descriptor = open_at(name, flags | NO_LINK, folder, path, ANY_READER)
        if flags & (os.O_WRONLY | os.O_RDWR) and os.fstat(descriptor).st_nlink > 1:
            os.close(descriptor)
            raise OSError(errno.EMLINK, SECOND_NAME, str(path))
        return descriptor

    return FileIO(path, mode.replace("b", ""), opener=open_no_link)


@contextlib.contextmanager
def replace_file(path: Path, *, durable: bool = True, mode: int = ANY_READER) -> Iterator[Path]:
    """Yield an empty temporary file beside `path`; rename it to `path` when the block succeeds.

    A reader finds the old file or the whole new one. When the block fails, the temporary file is
    removed and `path` stays as it was.

    Parameters
    ----------
    durable
        Flush the file and its folder to the disk, so that the new file survives a power failure.
    mode
        Permissions of the new file, e.g. `OWNER_ONLY` for a secret.
    """
    # one name per writer: two processes that write the same file do not mix their contents
    partial = f"{path.name}.{secrets.token_hex(4)}.partial"
    with reached_folder(path.parent) as beside, reached(path.with_name(partial)) as (name, folder):
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode, dir_fd=folder))
        try:
            yield beside / partial
            if durable:
                _sync_file(name, folder)
            target = path.name if folder is not None else str(path)
            os.replace(name, target, src_dir_fd=folder, dst_dir_fd=folder)
            if durable:
                sync_folder(path.parent)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)


def _sync_file(name: str, folder: int | None) -> None:
    descriptor = os.open(name, os.O_RDWR | NO_LINK, dir_fd=folder)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_text(path: Path, text: str, *, durable: bool = True, mode: int = ANY_READER) -> None:
    """Write a text file in one step, as `replace_file` does; UTF-8 with newlines as given."""
    with replace_file(path, durable=durable, mode=mode) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


@contextlib.contextmanager
def replace_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`; rename it to `path` when the block succeeds.

    A folder, file or link at `path` is removed then, and not before. When the block fails, the
    temporary folder is removed and `path` stays as it was.
    """
    partial, old = (path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial") for _ in "ab")
    make_folder(partial)
    try:
        yield partial
        if path.exists() or path.is_symlink():
            move_file(path, old)
        move_file(partial, path)
        sync_folder(path.parent)
    finally:
        for left in (partial, old):
            if left.is_dir() and not left.is_symlink():
                remove_tree(left)
            else:
                remove_file(left)


def make_folder(path: Path) -> None:
    """Make a folder if it does not exist."""
    with reached(path) as (name, folder), contextlib.suppress(FileExistsError):
        os.mkdir(name, dir_fd=folder)


def remove_file(path: Path) -> None:
    """Remove a file if it exists."""
    with contextlib.suppress(FileNotFoundError), reached(path) as (name, folder):
        os.unlink(name, dir_fd=folder)


def move_file(source: Path, target: Path) -> None:
    """Rename a file, also into another folder of the same disk; a file there is replaced."""
    with reached(source) as (name, folder), reached(target) as (new_name, new_folder):
        os.replace(name, new_name, src_dir_fd=folder, dst_dir_fd=new_folder)


def remove_tree(path: Path) -> None:
    """Remove a folder and all that is in it."""
    with reached(path) as (name, folder):
        shutil.rmtree(name, dir_fd=folder)


def sync_folder(path: Path) -> None:
    """Flush the names in a folder to the disk; Windows does so by itself and opens no folder."""
    if os.name == "nt":
        return
    with reached(path) as (name, folder):
        descriptor = os.open(name, os.O_RDONLY, dir_fd=folder)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
