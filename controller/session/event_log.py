"""events.jsonl: one event record a line, for people and for the report."""

from __future__ import annotations

import os
from io import FileIO
from pathlib import Path

from pydantic import ValidationError

from controller.common.bounded_read import LOG_BYTES
from controller.common.errors import UsageError
from controller.model.events import RECORD, Record
from controller.session.read_plain import read_plain
from processing.files.atomic import open_plain


class EventLog:
    """Event log, open for appending.

    Write errors, such as a full disk, are only counted: the log must not stop a session.

    Parameters
    ----------
    path
        The log; an existing one is continued.
    """

    def __init__(self, path: Path) -> None:
        self._file = open_plain(path, "a+b")
        self._torn = _is_torn(self._file)
        self.lost = 0
        """Number of records that could not be written."""

    def append(self, record: Record) -> None:
        """Write one record, without syncing: the journal holds what must survive a crash."""
        line = RECORD.dump_json(record) + b"\n"
        view = memoryview(b"\n" + line if self._torn else line)
        try:
            while view:
                view = view[self._file.write(view) :]
                self._torn = bool(view)  # the rest of the disk may take only a part
        except OSError:
            self.lost += 1

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_events(path: Path) -> list[Record]:
    """Read a log, without the lines torn by a crash.

    Raises
    ------
    UsageError
        The file cannot be read or is too large for a log.
    """
    if not path.exists():
        return []
    try:
        content = read_plain(path, LOG_BYTES)
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror}; move it away: a session continues without it"
        ) from None
    return _records(content)


def _records(content: bytes) -> list[Record]:
    """Return the records of whole lines, without torn ones."""
    records = []
    for line in content.splitlines():
        try:
            records.append(RECORD.validate_json(line))
        except ValidationError:
            continue
    return records


def _is_torn(file: FileIO) -> bool:
    """Tell whether the last line has no end: the process was killed while it wrote."""
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"


class EventLogTail:
    """Reader of a log that grows.

    Parameters
    ----------
    path
        The log; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity: tuple[int, int] | None = None
        self._read_bytes = 0

    def read_new(self) -> tuple[list[Record], bool]:
        """Return the records since the last call, and True if the log was begun anew.

        A line without its end is left for the next call, lines torn by a crash are left out. A log
        that cannot be read has no new records.
        """
        try:
            with open_plain(self._path, "rb") as file:
                state = os.fstat(file.fileno())
                begun_anew = (state.st_dev, state.st_ino) != self._identity or (
                    state.st_size < self._read_bytes
                )
                if begun_anew:
                    self._identity, self._read_bytes = (state.st_dev, state.st_ino), 0
                file.seek(self._read_bytes)
                content = file.read(LOG_BYTES)
        except OSError:
            return [], False
        whole = content[: content.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        return _records(whole), begun_anew
