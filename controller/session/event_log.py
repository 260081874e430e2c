"""events.jsonl: what happened, a record a line, for people and for the report."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from controller.model.events import RECORD, Record


class EventLog:
    """Appends records; what only informs must never stop a session, so a full disk is endured.

    Parameters
    ----------
    path
        The log; continued where there is one.
    """

    def __init__(self, path: Path) -> None:
        _end_torn_line(path)
        self._file = path.open("ab", buffering=0)
        self.lost = 0
        """Records that could not be written."""

    def append(self, record: Record) -> None:
        """Write one record; not synced, the journal holds what must survive."""
        try:
            self._file.write(RECORD.dump_json(record) + b"\n")
        except OSError:
            self.lost += 1

    def close(self) -> None:
        self._file.close()


def read_events(path: Path) -> list[Record]:
    """Read a log; lines torn by a crash are left out."""
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
