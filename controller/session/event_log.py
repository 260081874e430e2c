"""events.jsonl: one event record a line, for people and for the report."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from controller.model.events import RECORD, Record


class EventLog:
    """Event log, open for appending.

    Write errors, such as a full disk, are only counted: the log must not stop a session.

    Parameters
    ----------
    path
        The log; an existing one is continued.
    """

    def __init__(self, path: Path) -> None:
        _end_torn_line(path)
        self._file = path.open("ab", buffering=0)
        self.lost = 0
        """Number of records that could not be written."""

    def append(self, record: Record) -> None:
        """Write one record, without syncing: the journal holds what must survive a crash."""
        try:
            self._file.write(RECORD.dump_json(record) + b"\n")
        except OSError:
            self.lost += 1

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_events(path: Path) -> list[Record]:
    """Read a log, without the lines torn by a crash."""
    if not path.exists():
        return []
    records = []
    for line in path.read_bytes().splitlines():
        try:
            records.append(RECORD.validate_json(line))
        except ValidationError:
            continue
    return records


def _end_torn_line(path: Path) -> None:
    if path.exists() and (content := path.read_bytes()) and not content.endswith(b"\n"):
        with path.open("ab") as file:
            file.write(b"\n")
