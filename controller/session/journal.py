"""Journal of a session: one entry a line, in a file as `controller.session.journal_file` has it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from controller.common.errors import quoted
from controller.session.crash_points import CrashPoint, no_crash
from controller.session.entries import JOURNAL_FORMAT, Entry, SessionOpened
from controller.session.errors import JournalFormatError
from controller.session.journal_file import (
    JournalFile,
    NumberedLine,
    decode,
    encode,
    good_lines,
    now,
    read_raw,
)
from processing.files.atomic import replace_text


class Line(NumberedLine):
    """One line of a session's journal, without its checksum."""

    entry: Entry


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
    JournalFormatError
        Another version of dualtilt wrote it.
    """
    content = read_raw(path)
    remedy = f"Restore it from a copy, or: dualtilt resume {quoted(path.parent)} --rebuild-journal"
    lines: list[Line] = []
    good_bytes = 0
    for line, length in good_lines(path, content, Line, remedy):
        _check_format(path, line.entry)
        lines.append(line)
        good_bytes += length
    return JournalContent(tuple(lines), good_bytes, content[good_bytes:])


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
    decoded = [decode(raw, Line) for raw in read_raw(path).splitlines(keepends=True)]
    good = {line.seq: line for line in decoded if line is not None}
    for line in good.values():
        _check_format(path, line.entry)
    lines_after_good = len(decoded) - max((i for i, line in enumerate(decoded) if line), default=-1)
    end = max(good, default=-1) + lines_after_good
    lost = tuple(seq + 1 for seq in range(end) if seq not in good)
    return Salvaged(tuple(good[seq] for seq in sorted(good)), lost)


def write_journal(path: Path, entries: Iterable[Entry]) -> None:
    """Write a whole journal in one step; its lines get new numbers and times."""
    lines = (encode(Line(seq=seq, at=now(), entry=entry)) for seq, entry in enumerate(entries))
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
        self._file = JournalFile(path, content.good_bytes, len(content.lines), crash_point)

    def append(self, entry: Entry) -> None:
        """Write an entry; durable on return.

        Raises
        ------
        OSError
            Disk full or gone; the journal is as it was before the call.
        JournalTakenError
            The file was removed, replaced or changed by another program; it is left as it is.
        """
        line = Line(seq=self._file.next_seq, at=now(), entry=entry)
        self._file.append(line, entry.kind)

    def content(self) -> bytes:
        """Return the bytes of the journal that this run wrote or read, also after its removal."""
        return self._file.content()

    def close(self) -> None:
        """Close the file; every entry is already on disk."""
        self._file.close()
