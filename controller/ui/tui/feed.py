"""The data thread: waits on the service and posts immutable snapshots to the screen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from textual.message import Message

from controller.common.errors import DualtiltError
from controller.service.client import ServiceClient, last_status
from controller.service.pictures import reduce_picture
from controller.service.status import SessionStatus
from controller.ui.tui.messages import (
    PictureArrived,
    RecordsArrived,
    StatusArrived,
    Unreachable,
    View,
)

WAIT_S = 0.25
RETRY_S = 1.0
FULL_SIDE_PX = 4096
REDUCED_SIDE_PX = 512
"""More samples than a terminal of 250 columns shows."""


class Feed(threading.Thread):
    """Follows one session until stopped; comes back by itself when the session does.

    Parameters
    ----------
    folder
        The session's folder.
    post
        OperatorAction a message to the screen; thread-safe.
    """

    def __init__(self, folder: Path, post: Callable[[Message], object]) -> None:
        super().__init__(name="screen-feed", daemon=True)
        self._folder = folder
        self._post = post
        self._done = threading.Event()
        self._seq = -1
        self._shown: dict[str, int] = {}

    def stop(self) -> None:
        """Let the thread end soon."""
        self._done.set()

    def run(self) -> None:
        """Connect, follow, and try again until stopped."""
        while not self._done.is_set():
            try:
                with ServiceClient.connect(self._folder, read_only=True) as client:
                    self._follow(client)
            except DualtiltError as error:
                self._post(self._last_word() or Unreachable(str(error)))
                self._done.wait(RETRY_S)  # it may be resumed, even where it has ended

    def _follow(self, client: ServiceClient) -> None:
        self._show(client, client.status())
        while not self._done.is_set():
            records = client.events_after(self._seq, WAIT_S)
            if records:
                self._seq = records[-1].seq
                self._post(RecordsArrived(records))
                self._show(client, client.status())

    def _show(self, client: ServiceClient, status: SessionStatus) -> None:
        self._post(StatusArrived(status))
        for name, preview in status.previews.items():
            if self._shown.get(name) == preview.seq:
                continue
            pixels = client.picture(name, FULL_SIDE_PX)
            if pixels is not None:
                reduced = reduce_picture(pixels, REDUCED_SIDE_PX)
                self._post(PictureArrived(View(name, preview.caption, pixels, reduced)))
                self._shown[name] = preview.seq

    def _last_word(self) -> StatusArrived | None:
        """The status on disk, where the session's process has ended with its last word said."""
        status = last_status(self._folder)
        if status is None or status.exit_code is None or status.seq < self._seq:
            return None
        return StatusArrived(status)
