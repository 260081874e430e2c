"""Journal of a session: one JSON object a line, each with its number and checksum.

A line is on the disk once `append` has returned. A crash can only tear the last line: it then ends
without a newline and is cut off. Anything else that is wrong is damage; the error names the line.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from controller.common.bounded_read import LOG_BYTES
from controller.model.base import Data
from controller.session.crash_points import CrashPoint, no_crash
from controller.session.entries import JOURNAL_FORMAT, Entry, SessionOpened
from controller.session.errors import (
    JournalDamagedError,
    JournalFormatError,
    JournalTakenError,
)
from controller.session.read_plain import read_plain
from processing.files.atomic import open_plain, replace_text, sync_data, sync_folder


class Line(Data):
    """One line of the journal, without its checksum."""

    seq: Annotated[int, Field(ge=0)]
    at: str
    """Wall clock, ISO 8601 with zone; `seq` gives the order."""
    entry: Entry


_LINE: TypeAdapter[Line] = TypeAdapter(Line)
_CHECKSUM = b',"crc32":"%08x"}\n'
_CHECKSUM_LENGTH = len(_CHECKSUM % 0)


@dataclass(frozen=True)
class JournalContent:
    """Content of a journal.

    Attributes
    ----------
    lines
        Good lines, in order.
    good_bytes
        Length of the file up to the end of the last good line.
    torn
        Bytes after the last good line, left by a crash during a write.
    """

    lines: tuple[Line, ...]
    good_bytes: int
    torn: bytes


def read_journal(path: Path) -> JournalContent:
    """Read and verify a journal without changing it.

    Raises
    ------
    JournalDamagedError
        A line is damaged, the last one included; the message names the first such line. Or the
        file cannot be read or is too large for a journal.
    """
    content = _read(path)
    lines: list[Line] = []
    start = 0
    for raw in content.splitlines(keepends=True):
        line = _decode(raw) or _decode_without_newline(raw)
        if line is None or line.seq != len(lines):
            if raw.endswith((b"\n", b"\r")):
                raise JournalDamagedError(
                    f"{path}: line {len(lines) + 1} is damaged; nothing was changed. Restore it "
                    f"from a copy, or: dualtilt resume {path.parent} --rebuild-journal"
                )
            break
        _check_format(path, line.entry)
        lines.append(line)
        start += len(raw)
    return JournalContent(tuple(lines), start, content[start:])


def _read(path: Path) -> bytes:
    try:
        return read_plain(path, LOG_BYTES)
    except OSError as error:
        raise JournalDamagedError(f"{path}: {error.strerror}; restore it from a copy") from None


def _check_format(path: Path, entry: Entry) -> None:
    """Refuse a journal of another format, whose step ids name other tilts."""
    if isinstance(entry, SessionOpened) and entry.journal_format != JOURNAL_FORMAT:
        raise JournalFormatError(
            f"{path}: written in format {entry.journal_format}, this version reads "
            f"{JOURNAL_FORMAT}; continue with the version of dualtilt that began the session"
        )


@dataclass(frozen=True)
class Salvaged:
    """Readable lines of a damaged journal.

    Attributes
    ----------
    lines
        Good lines, in order, each number once.
    lost
        Numbers of the damaged or missing lines, from 1.
    """

    lines: tuple[Line, ...]
    lost: tuple[int, ...]


def salvage(path: Path) -> Salvaged:
    """Read every line whose checksum is right, without changing the journal."""
    decoded = [_decode(raw) for raw in _read(path).splitlines(keepends=True)]
    good = {line.seq: line for line in decoded if line is not None}
    for line in good.values():
        _check_format(path, line.entry)
    lines_after_good = len(decoded) - max((i for i, line in enumerate(decoded) if line), default=-1)
    end = max(good, default=-1) + lines_after_good
    lost = tuple(seq + 1 for seq in range(end) if seq not in good)
    return Salvaged(tuple(good[seq] for seq in sorted(good)), lost)


def write_journal(path: Path, entries: Iterable[Entry]) -> None:
    """Write a whole journal in one step; its lines get new numbers and times."""
    lines = (_encode(Line(seq=seq, at=_now(), entry=entry)) for seq, entry in enumerate(entries))
    replace_text(path, b"".join(lines).decode())


class Journal:
    """Journal open for appending, after it was read and verified.

    Parameters
    ----------
    path
        The file; made if missing.
    content
        Content of the file; a torn tail is cut off.
    crash_point
        See :mod:`controller.session.crash_points`.
    """

    def __init__(
        self, path: Path, content: JournalContent, crash_point: CrashPoint = no_crash
    ) -> None:
        self._path = path
        self._crash_point = crash_point
        self._next_seq = len(content.lines)
        self._end = content.good_bytes
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

    def append(self, entry: Entry) -> None:
        """Write an entry; durable on return.

        Raises
        ------
        OSError
            Disk full or gone; the journal is as it was before the call.
        JournalTakenError
            The file was removed, replaced or changed by another program; it is left as it is.
        """
        name = f"{self._next_seq}-{entry.kind}"
        self._crash_point(f"before-{name}")
        if self._torn:
            self._cut_torn_line()
        self._refuse_other_writers()
        raw = _encode(Line(seq=self._next_seq, at=_now(), entry=entry))
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
        self._next_seq += 1
        self._crash_point(f"after-{name}")

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
        """Close the file; every entry is already on disk."""
        self._file.close()


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="milliseconds")


def _encode(line: Line) -> bytes:
    body = line.model_dump_json().encode()
    return body[:-1] + _CHECKSUM % zlib.crc32(body)


def _decode(raw: bytes) -> Line | None:
    body = raw[:-_CHECKSUM_LENGTH] + b"}"
    if raw[-_CHECKSUM_LENGTH:] != _CHECKSUM % zlib.crc32(body):
        return None
    try:
        return _LINE.validate_json(body)
    except ValidationError:
        return None


def _decode_without_newline(raw: bytes) -> Line | None:
    """Decode a last line of which only the newline is damaged."""
    return None if raw.endswith(b"\n") else _decode(raw[:-1] + b"\n")


def _write_all(descriptor: int, raw: bytes) -> None:
    view = memoryview(raw)
    while view:
        view = view[os.write(descriptor, view) :]
