"""Write a file completely or not at all, and never through a link."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

# Windows has no fdatasync; fsync also writes the times, which costs a little and is as safe
sync_data = getattr(os, "fdatasync", os.fsync)

ANY_READER, OWNER_ONLY = 0o666, 0o600
"""File permissions; the process's umask narrows them."""


def open_plain(path: Path, mode: str) -> FileIO:
    """Open a file without a buffer; refuse a link with OSError, so that nobody redirects a write.

    Parameters
    ----------
    mode
        As `open` takes it, for bytes: "xb", "ab", "r+b", ...
    """
    return FileIO(path, mode.replace("b", ""), opener=_open_no_link)


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), ANY_READER)


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
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    try:
        yield partial
        if durable:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
        partial.replace(path)
        if durable:
            sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def replace_text(path: Path, text: str, *, durable: bool = True, mode: int = ANY_READER) -> None:
    """Write a text file in one step, as `replace_file` does; UTF-8 with newlines as given."""
    with replace_file(path, durable=durable, mode=mode) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk; Windows does so by itself and opens no folder."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
