"""Journal of a session: one JSON object a line, each with its number and checksum.

A line is on the disk once `append` has returned. A crash can only tear the last line, which is
then cut off. Anything wrong before the last line is damage; the error names the line.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from controller.model.base import Data
from controller.session.crash_points import CrashPoint, no_crash
from controller.session.entries import JOURNAL_FORMAT, Entry, SessionOpened
from controller.session.errors import JournalDamagedError, JournalFormatError
from processing.files.atomic import replace_text, sync_data


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
        A line before the last is damaged; the message names the first such line.
    """
    content = path.read_bytes()
    lines: list[Line] = []
    start = 0
    for raw in content.splitlines(keepends=True):
        line = _decode(raw)
        if line is None or line.seq != len(lines):
            if start + len(raw) < len(content):
                raise JournalDamagedError(
                    f"{path}: line {len(lines) + 1} is damaged; nothing was changed. Restore it "
                    f"from a copy, or: dualtilt resume {path.parent} --rebuild-journal"
                )
            break
        _check_format(path, line.entry)
        lines.append(line)
        start += len(raw)
    return JournalContent(tuple(lines), start, content[start:])


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
    decoded = [_decode(raw) for raw in path.read_bytes().splitlines(keepends=True)]
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
        self._crash_point = crash_point
        self._next_seq = len(content.lines)
        self._end = content.good_bytes
        self._file = path.open("r+b" if path.exists() else "w+b", buffering=0)
        self._file.truncate(self._end)

    def append(self, entry: Entry) -> None:
        """Write an entry; durable on return.

        Raises
        ------
        OSError
            Disk full or gone; the journal is as it was before the call.
        """
        name = f"{self._next_seq}-{entry.kind}"
        self._crash_point(f"before-{name}")
        raw = _encode(Line(seq=self._next_seq, at=_now(), entry=entry))
        self._file.seek(self._end)
        try:
            _write_all(self._file.fileno(), raw)
            sync_data(self._file.fileno())
        except OSError:
            self._file.truncate(self._end)
            raise
        self._end += len(raw)
        self._next_seq += 1
        self._crash_point(f"after-{name}")

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


def _write_all(descriptor: int, raw: bytes) -> None:
    view = memoryview(raw)
    while view:
        view = view[os.write(descriptor, view) :]
