"""Status, records and pictures of a session, read from its folder: while it runs and afterwards.

The page asks nothing of the session's process, so that no number of visitors can slow a session.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from controller.common.errors import quoted
from controller.common.open_inside import LinkRefusedError, open_inside
from controller.model.events import Record
from controller.service.previews import Picture, read_preview
from controller.service.service_address import working_process
from controller.service.session_status import SessionStatus
from controller.service.session_store import SessionStore
from controller.session.event_log import EventLogTail
from controller.session.grid_folder import folder_to_resume

EVENT_LOG = "events.jsonl"
REPORT = "report.html"
MAX_SIDE_PX = 2048
"""Longest side of a picture on the page."""


class SessionReader:
    """Newest state of one session.

    Parameters
    ----------
    folder
        The session's folder.

    Attributes
    ----------
    version
        Number that grows with each change; the page is sent again when it does.
    lost
        Reason why the session's data no longer change although it has not ended; else empty.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = EventLogTail(folder / EVENT_LOG)
        self._store = SessionStore()
        self.version = 0
        self.lost = ""

    @property
    def status(self) -> SessionStatus:
        """Newest status."""
        return self._store.status

    @property
    def has_report(self) -> bool:
        """True once the session's report is written."""
        return (self._folder / REPORT).is_file()

    def report(self) -> bytes:
        """Return the session's report.

        Raises
        ------
        LookupError
            It is not written yet, or cannot be read.
        """
        try:
            with open_inside(self._folder, REPORT) as file:
                return file.read()
        except FileNotFoundError:
            raise LookupError("the session has no report yet") from None
        except (OSError, LinkRefusedError) as error:
            raise LookupError(f"the report cannot be read: {error}") from None

    def records(self, limit: int) -> list[Record]:
        """Return the newest records, oldest first."""
        return self._store.newest_records(limit)

    def update(self) -> None:
        """Read what the session has added since the last call."""
        records, from_start = self._log.read_new()
        if from_start:
            self._store = SessionStore()
        for record in records:
            self._store.add(record)
        lost = self._reason_lost()
        if records or from_start or lost != self.lost:
            self.lost = lost
            self.version += 1

    def picture(self, view: str) -> Picture:
        """Return the pixels of a view, row 0 at the bottom.

        Raises
        ------
        LookupError
            The session has no such view, or its file is missing or damaged.
        """
        preview = self.status.previews.get(view)
        if preview is None:
            raise LookupError(f"the session has no picture {view!r}")
        try:
            return read_preview(self._folder, preview.path, MAX_SIDE_PX)
        except (OSError, ValueError, LinkRefusedError) as error:
            raise LookupError(f"picture {view!r} cannot be read: {error}") from None

    def width_nm(self, view: str) -> float | None:
        """Return the width of a view (nm); None if it is unknown."""
        preview = self.status.previews[view]
        if preview.pixel_nm is None:
            return None
        try:
            with open_inside(self._folder, preview.path) as file:
                shape = np.load(file, allow_pickle=False).shape
        except (OSError, ValueError, LinkRefusedError):
            return None
        return float(preview.pixel_nm * shape[1])

    def _reason_lost(self) -> str:
        if self.status.ended or not self.status.name:
            return ""
        if working_process(self._folder) is not None:
            return ""
        again = f"dualtilt resume {quoted(folder_to_resume(self._folder))}"
        return f"the session's process is gone; `{again}` continues it"
