"""Two threads for the hardware: a work thread and a watch thread.

COM objects may only be used on the thread that created them, and a move or an exposure blocks that
thread. Every action therefore runs on the work thread; status and safety calls run on the watch
thread and never wait for an exposure.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from controller.bridge.watch_thread import WATCH_TIMEOUT_S, Urgency, WatchThread
from controller.bridge.work_thread import WorkThread
from controller.hardware.interface import AbortedError, Description, Microscope, MicroscopeError
from controller.hardware.interface import Status as MicroscopeStatus
from controller.hardware.safety import reach_safe_state

Result = TypeVar("Result")

SAFE_WITHIN_S = 2.0
"""Time during which the safety calls are repeated while an action has not ended."""
SAFE_INTERVAL_S = 0.1


class NotStartedError(AbortedError):
    """The action was removed from the queue before it started: no move, no exposure."""


class HardwareThreads:
    """A microscope and the two threads that may call it.

    Parameters
    ----------
    open_microscope
        Opens the microscope; called on the work thread.
    """

    def __init__(self, open_microscope: Callable[[], Microscope]) -> None:
        self._work = WorkThread()
        self._watch = WatchThread()
        self._epoch = 0
        self._latest: Future[Any] | None = None
        self._microscope = self._work.submit(open_microscope).result()
        self.description: Description = self._work.submit(self._microscope.describe).result()

    def submit(self, act: Callable[[Microscope], Result]) -> Future[Result]:
        """Queue `act` for the work thread; it is dropped if the column is made safe first."""
        epoch = self._epoch

        def run() -> Result:
            if epoch != self._epoch:
                raise NotStartedError("aborted before it started: the microscope was made safe")
            return act(self._microscope)

        outcome = self._work.submit(run)
        self._latest = outcome
        return outcome

    def busy(self) -> bool:
        """Tell whether an action is running or queued."""
        return self._latest is not None and not self._latest.done()

    def status(self) -> MicroscopeStatus:
        """Read the state of the microscope; does not wait for an exposure."""
        return self._watch.call(Urgency.STATUS, "status", self._microscope.status)

    def blank(self) -> None:
        """Blank the beam at once."""
        self._watch.call(Urgency.SAFETY, "blank", self._microscope.blank)

    def stop_stage(self) -> None:
        """Stop the running stage move, if the column can."""
        self._watch.call(Urgency.SAFETY, "stop stage", self._microscope.stop_stage)

    def make_safe(self, reason: str) -> None:
        """Blank the beam, stop the stage, drop queued actions; repeat until the action has ended.

        The calls are repeated because an action may start just after the first ones, and a column
        may ignore a call. A move that cannot be stopped (TEM Scripting) runs to its end with the
        beam blanked.

        Raises
        ------
        MicroscopeError
            With each call that failed.
        """
        self._epoch += 1
        running = self._latest
        deadline = time.monotonic() + SAFE_WITHIN_S
        while True:
            problems = self._watch.call(
                Urgency.SAFETY, reason, lambda: reach_safe_state(self._microscope, reason)
            )
            if running is None or running.done() or time.monotonic() > deadline:
                break
            wait([running], timeout=SAFE_INTERVAL_S)
        if problems:
            failed = "; ".join(map(str, problems))
            raise MicroscopeError(f"not everything could be made safe: {failed}")

    def close(self) -> None:
        """Release the column and end the threads; the column must be safe already."""
        self._epoch += 1
        closing = self._work.submit(self._microscope.close)
        wait([closing], timeout=WATCH_TIMEOUT_S)
        self._work.close()
        self._watch.close()

    def watches(self) -> bool:
        """Tell whether status and safety calls can still be made."""
        return self._watch.alive()
