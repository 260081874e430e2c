"""Thread that follows a session and posts its status, records and pictures to the screen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from textual.message import Message

from controller.common.errors import DualtiltError
from controller.service.previews import reduce_picture
from controller.service.queue_status import QueueView, queue_around
from controller.service.service_address import NoSessionError
from controller.service.session_client import (
    NotAnsweringError,
    ServiceClient,
    SessionGoneError,
)
from controller.service.session_status import SessionStatus
from controller.service.status_file import last_status
from controller.ui.tui.screen_messages import (
    PictureArrived,
    QueueArrived,
    RecordsArrived,
    StatusArrived,
    Unreachable,
    View,
)

WAIT_S = 0.25
"""Longest wait for a new record in one call (s)."""
REFRESH_S = 0.2
"""Shortest time between two refreshes (s): a simulated session has some thirty records a second."""
RETRY_S = 1.0
"""Time between two attempts to connect (s)."""
FULL_SIDE_PX = 4096
REDUCED_SIDE_PX = 512
"""Longest side of a reduced picture: more samples than a terminal of 250 columns shows."""


class SessionFollower(threading.Thread):
    """Follows one session until stopped; connects again when the session is resumed.

    Parameters
    ----------
    folder
        The session's folder.
    post
        Function that posts a message to the screen; thread-safe.
    """

    def __init__(self, folder: Path, post: Callable[[Message], object]) -> None:
        super().__init__(name="session-follower", daemon=True)
        self._folder = folder
        self._post = post
        self._done = threading.Event()
        self._seq = -1
        self._shown: dict[str, int] = {}
        self._queue: QueueView | None = None

    def stop(self) -> None:
        """Ask the thread to end."""
        self._done.set()

    def run(self) -> None:
        """Connect, follow, and try again until stopped."""
        while not self._done.is_set():
            try:
                with ServiceClient.connect(self._folder, read_only=True) as client:
                    self._follow(client)
            except DualtiltError as error:
                self._post(self._final_status() or unreachable(error))
                self._done.wait(RETRY_S)  # an ended session may be resumed

    def _follow(self, client: ServiceClient) -> None:
        self._show(client, client.status())
        while not self._done.is_set():
            self._show_queue()
            records = client.events_after(self._seq, WAIT_S)
            if records:
                self._seq = records[-1].seq
                self._post(RecordsArrived(records))
                self._show(client, client.status())
                self._done.wait(REFRESH_S)

    def _show(self, client: ServiceClient, status: SessionStatus) -> None:
        self._post(StatusArrived(status))
        for name, preview in status.previews.items():
            if self._shown.get(name) == preview.seq:
                continue
            pixels = client.picture(name, FULL_SIDE_PX)
            if pixels is not None:
                reduced = reduce_picture(pixels, REDUCED_SIDE_PX)
                view = View(name, preview.caption, pixels, reduced, preview.pixel_nm)
                self._post(PictureArrived(view))
                self._shown[name] = preview.seq

    def _show_queue(self) -> None:
        """Post the queue of the session, if it has one that has changed."""
        queue = queue_around(self._folder)
        if queue is not None and queue != self._queue:
            self._queue = queue
            self._post(QueueArrived(queue))

    def _final_status(self) -> StatusArrived | None:
        """Return the status on disk if the session's process wrote its exit code; else None."""
        status = last_status(self._folder)
        if status is None or status.exit_code is None or status.seq < self._seq:
            return None
        return StatusArrived(status)


def unreachable(error: DualtiltError) -> Unreachable:
    """Return the message that the session does not answer, with the remedy if one is known."""
    if isinstance(error, NoSessionError | NotAnsweringError | SessionGoneError):
        return Unreachable(error.fault, error.remedy)
    return Unreachable(str(error))
