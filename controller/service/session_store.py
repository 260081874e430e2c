"""Status and records of a running session, in memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from itertools import islice, takewhile

from controller.common.exit_codes import ExitCode
from controller.model.events import Record
from controller.service.session_status import SessionStatus
from controller.service.status_reducer import next_status

RECORDS_KEPT = 20_000
"""Newest records kept for clients that join late; a session of 147 tilts has about 2,000."""


class SessionStore:
    """Status and records: one thread writes them, many read them and wait for them."""

    def __init__(self, past: Iterable[Record] = ()) -> None:
        self._changed = threading.Condition()
        self._records: deque[Record] = deque(maxlen=RECORDS_KEPT)
        self._status = SessionStatus()
        for record in past:
            self.add(record)

    @property
    def status(self) -> SessionStatus:
        """The newest status."""
        return self._status

    def status_json(self) -> str:
        """Return the newest status as JSON, as it is sent to clients and written to status.json."""
        return self._status.model_dump_json()

    def add(self, record: Record) -> Record:
        """Add a record and wake the waiting clients; return it with the advice it changed."""
        status = next_status(self._status, record)
        changed = status.operator_state is not self._status.operator_state
        advice = (status.operator_state, status.operator_reason) if changed else (None, "")
        changes = dict(zip(("advice", "advice_reason"), advice, strict=True))
        record = record.model_copy(update=changes)
        with self._changed:
            self._status = status
            self._records.append(record)
            self._changed.notify_all()
        return record

    def finish(self, exit_code: ExitCode) -> None:
        """Record the exit code of the session's process."""
        with self._changed:
            self._status = self._status.model_copy(update={"exit_code": exit_code})
            self._changed.notify_all()

    def newest_records(self, limit: int) -> list[Record]:
        """Return the newest records, oldest first."""
        with self._changed:
            newest = list(islice(reversed(self._records), limit))
        return newest[::-1]

    def records_after(self, seq: int, limit: int, wait_s: float) -> list[Record]:
        """Return up to `limit` records newer than `seq`, oldest first.

        Waits up to `wait_s` for the first one.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._status.seq > seq or self._status.exit_code is not None, wait_s
            )
            newer = list(takewhile(lambda record: record.seq > seq, reversed(self._records)))
        return newer[::-1][:limit]
