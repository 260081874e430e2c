"""Alarm for a disk that does not answer: the thread that waits for the disk cannot raise it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from controller.engine.control import Control
from controller.model.events import Alerted, Level, Publish
from controller.session.disk_calls import DiskCalls

DISK_ANSWERS_WITHIN_S = 10.0
"""Longest write, sync or rename without an alarm (s)."""
CHECK_INTERVAL_S = 0.25
WHERE = "disk"

_log = logging.getLogger(__name__)


class DiskAlarm:
    """Thread that blanks the beam and pauses the session while its disk does not answer.

    Parameters
    ----------
    folder
        The session's folder, for the messages.
    calls
        Disk operations of the session.
    control
        Shows the pause and ends it.
    publish
        Publishes the alarm.
    blank
        Blanks the beam; does not wait for the thread that waits for the disk.
    """

    def __init__(
        self,
        folder: Path,
        calls: DiskCalls,
        control: Control,
        publish: Publish,
        blank: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._calls = calls
        self._control = control
        self._publish = publish
        self._blank = blank
        self._closing = threading.Event()
        calls.answered = self._end
        self._thread = threading.Thread(target=self._watch, name="disk-alarm", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closing.wait(CHECK_INTERVAL_S):
            try:
                self._calls.report_late(DISK_ANSWERS_WITHIN_S, self._raise_alarm)
            except Exception:  # noqa: BLE001 -- the next silent disk must be noticed, too
                _log.exception("disk alarm")

    def _raise_alarm(self, duration_s: float) -> None:
        since = datetime.now() - timedelta(seconds=duration_s)
        reason = (
            f"disk does not answer: {self._folder}, since {duration_s:.0f} s ({since:%H:%M:%S}); "
            "check the disk or its server; resumes automatically when it answers"
        )
        self._publish(Alerted(level=Level.ALARM, text=reason, where=WHERE))
        self._control.hold(reason)
        self._blank()

    def _end(self, duration_s: float) -> None:
        text = f"the disk answers again, after {duration_s:.0f} s"
        self._publish(Alerted(level=Level.WARNING, text=text, where=WHERE))
        self._control.release(text)
