"""Copies of bytes that a repair removes from a session's files; each is durable before the repair.

The same bytes are kept once under a name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import zip_longest
from pathlib import Path
from typing import IO

from controller.session.folder import SessionFolder
from processing.files.atomic import make_folder, replace_file, sync_folder
from processing.files.held_folder import open_to_read

CHUNK_BYTES = 1 << 20
"""Bytes copied at a time, so that a long copy needs little memory."""


def quarantine(folder: SessionFolder, name: str, content: bytes) -> str:
    """Save bytes durably; return the path relative to the session's folder."""
    return _save(folder, name, BytesIO(content), 0)


def quarantine_tail(folder: SessionFolder, name: str, path: Path, start: int) -> str:
    """Save the bytes of a file from `start` to its end durably; return the relative path."""
    with open_to_read(path) as file:
        return _save(folder, name, file, start)


def quarantine_copy(folder: SessionFolder, name: str, copy_to: Callable[[IO[bytes]], None]) -> str:
    """Save what `copy_to` writes into a file durably; return the relative path."""
    number = 0
    while (path := _folder(folder) / f"{name}.{number}").exists():
        number += 1
    with replace_file(path) as partial, partial.open("wb") as copy:
        copy_to(copy)
    return path.relative_to(folder.path).as_posix()


def _folder(folder: SessionFolder) -> Path:
    if not folder.quarantine.exists():
        make_folder(folder.quarantine)
        sync_folder(folder.path)
    return folder.quarantine


def _save(folder: SessionFolder, name: str, source: IO[bytes], start: int) -> str:
    number = 0
    while (path := _folder(folder) / f"{name}.{number}").exists():
        if _holds(path, source, start):
            return path.relative_to(folder.path).as_posix()
        number += 1

    def copy_chunks(copy: IO[bytes]) -> None:
        for chunk in _chunks(source, start):
            copy.write(chunk)

    return quarantine_copy(folder, name, copy_chunks)


def _holds(path: Path, source: IO[bytes], start: int) -> bool:
    with open_to_read(path) as kept:
        return all(a == b for a, b in zip_longest(_chunks(kept, 0), _chunks(source, start)))


def _chunks(source: IO[bytes], start: int) -> Iterator[bytes]:
    source.seek(start)
    while chunk := source.read(CHUNK_BYTES):
        yield chunk
