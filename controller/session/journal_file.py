"""File of a journal: one JSON object a line, each with its number and checksum.

A line is on the disk once `append` has returned. A crash can only tear the last line: it then ends
without a newline and is cut off. Anything else that is wrong is damage; the error names the line.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field, ValidationError

from controller.common.bounded_read import LOG_BYTES
from controller.model.base import Data
from controller.session.crash_points import CrashPoint
from controller.session.errors import JournalDamagedError, JournalTakenError
from controller.session.read_plain import read_plain
from processing.files.atomic import open_plain, sync_data, sync_folder

_CHECKSUM = b',"crc32":"%08x"}\n'
_CHECKSUM_LENGTH = len(_CHECKSUM % 0)


class NumberedLine(Data):
    """One line of a journal, without its checksum; base of the lines of each journal."""

    seq: Annotated[int, Field(ge=0)]
    at: str
    """Wall clock, ISO 8601 with zone; `seq` gives the order."""


LineT = TypeVar("LineT", bound=NumberedLine)


def now() -> str:
    """Return the wall clock for a line."""
    return datetime.now().astimezone().isoformat(timespec="milliseconds")


def encode(line: NumberedLine) -> bytes:
    """Return the bytes of a line, with checksum and newline."""
    body = line.model_dump_json().encode()
    return body[:-1] + _CHECKSUM % zlib.crc32(body)


def decode(raw: bytes, kind: type[LineT]) -> LineT | None:
    """Return the line in its bytes; None if checksum or content is wrong."""
    body = raw[:-_CHECKSUM_LENGTH] + b"}"
    if raw[-_CHECKSUM_LENGTH:] != _CHECKSUM % zlib.crc32(body):
        return None
    try:
        return kind.model_validate_json(body)
    except ValidationError:
        return None


def _decode_without_newline(raw: bytes, kind: type[LineT]) -> LineT | None:
    """Decode a last line of which only the newline is damaged."""
    return None if raw.endswith(b"\n") else decode(raw[:-1] + b"\n", kind)


def read_raw(path: Path) -> bytes:
    """Read the bytes of a journal.

    Raises
    ------
    JournalDamagedError
        The file cannot be read or is too large for a journal.
    """
    try:
        return read_plain(path, LOG_BYTES)
    except OSError as error:
        raise JournalDamagedError(f"{path}: {error.strerror}; restore it from a copy") from None


def good_lines(
    path: Path, content: bytes, kind: type[LineT], remedy: str
) -> Iterator[tuple[LineT, int]]:
    """Yield each line up to a torn end, with its length in bytes.

    Parameters
    ----------
    path
        The file, for the message.
    content
        Its bytes.
    remedy
        Last sentence of the message: what to do about a damaged line.

    Raises
    ------
    JournalDamagedError
        A line is damaged, the last one included; the message names the first such line.
    """
    for seq, raw in enumerate(content.splitlines(keepends=True)):
        line = decode(raw, kind) or _decode_without_newline(raw, kind)
        if line is None or line.seq != seq:
            if raw.endswith((b"\n", b"\r")):
                raise JournalDamagedError(
                    f"{path}: line {seq + 1} is damaged; nothing was changed. {remedy}"
                )
            return
        yield line, len(raw)


class JournalFile:
    """Journal's file open for appending, after it was read and verified.

    Parameters
    ----------
    path
        The file; made if missing.
    good_bytes
        Length up to the end of the last good line; a torn line after it is cut off.
    next_seq
        Number of the next line.
    crash_point
        See :mod:`controller.session.crash_points`.
    """

    def __init__(self, path: Path, good_bytes: int, next_seq: int, crash_point: CrashPoint) -> None:
        self.next_seq = next_seq
        self._path = path
        self._end = good_bytes
        self._crash_point = crash_point
        self._torn = False
        is_new = not path.exists()
        self._file = open_plain(path, "x+b" if is_new else "r+b")
        try:
            if is_new:
                sync_folder(path.parent)
            self._restore_newline()
            self._file.truncate(self._end)
        except BaseException:
            self._file.close()
            raise

    def append(self, line: NumberedLine, kind: str) -> None:
        """Write the line `next_seq` with an entry of this kind; durable on return.

        Raises
        ------
        OSError
            Disk full or gone; the journal is as it was before the call.
        JournalTakenError
            The file was removed, replaced or changed by another program; it is left as it is.
        """
        name = f"{self.next_seq}-{kind}"
        self._crash_point(f"before-{name}")
        self._write(encode(line))
        self.next_seq += 1
        self._crash_point(f"after-{name}")

    def _write(self, raw: bytes) -> None:
        if self._torn:
            self._cut_torn_line()
        self._refuse_other_writers()
        self._file.seek(self._end)
        try:
            _write_all(self._file.fileno(), raw)
            sync_data(self._file.fileno())
        except BaseException:
            self._torn = True
            with contextlib.suppress(OSError):  # else the next call does, or `resume`
                self._cut_torn_line()
            raise
        self._end += len(raw)

    def _cut_torn_line(self) -> None:
        self._file.truncate(self._end)
        self._torn = False

    def _restore_newline(self) -> None:
        """Write the newline of the last good line again, in case it was damaged."""
        if self._end:
            self._file.seek(self._end - 1)
            if self._file.read(1) != b"\n":
                self._file.seek(self._end - 1)
                _write_all(self._file.fileno(), b"\n")
                sync_data(self._file.fileno())

    def _refuse_other_writers(self) -> None:
        mine = os.fstat(self._file.fileno())
        try:
            found = self._path.stat()
        except FileNotFoundError:
            found = None
        if found is None or not os.path.samestat(mine, found):
            raise JournalTakenError(f"{self._path}: was removed or replaced while the session ran")
        if mine.st_size != self._end:
            raise JournalTakenError(f"{self._path}: another program wrote to it")

    def content(self) -> bytes:
        """Return the bytes of the journal that this run wrote or read, also after its removal."""
        self._file.seek(0)
        return self._file.read(self._end)

    def close(self) -> None:
        """Close the file; every line is already on disk."""
        self._file.close()


def _write_all(descriptor: int, raw: bytes) -> None:
    view = memoryview(raw)
    while view:
        view = view[os.write(descriptor, view) :]
