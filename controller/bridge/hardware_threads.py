"""The hardware's own threads: one that works, one that watches and stops.

COM objects belong to the thread that made them, and a move or an exposure blocks that thread. So
every action runs on the work thread; status and whatever leads to safety run on the watch thread
and are never behind an exposure.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from controller.hardware.interface import AbortedError, Description, Microscope, MicroscopeError
from controller.hardware.interface import Status as MicroscopeStatus
from controller.hardware.safety import reach_safe_state

Result = TypeVar("Result")

WATCH_TIMEOUT_S = 5.0
"""How long status and blanking may take before the column is said not to answer."""
SAFE_WITHIN_S = 2.0
"""How long the safe state is asked for again while an action has not returned."""
SAFE_INTERVAL_S = 0.1


class NotStartedError(AbortedError):
    """The action was dropped from the queue: nothing moved, nothing was exposed."""


class HardwareThreads:
    """A microscope behind its two threads.

    Parameters
    ----------
    open_microscope
        Makes the microscope; called on the work thread.
    """

    def __init__(self, open_microscope: Callable[[], Microscope]) -> None:
        self._work = ThreadPoolExecutor(1, thread_name_prefix="hardware-work")
        self._watch = ThreadPoolExecutor(1, thread_name_prefix="hardware-watch")
        self._epoch = 0
        self._latest: Future[Any] | None = None
        self._microscope = self._work.submit(open_microscope).result()
        self.description: Description = self._work.submit(self._microscope.describe).result()

    def start(self, act: Callable[[Microscope], Result]) -> Future[Result]:
        """Queue `act` for the work thread; it is dropped if the column is made safe before."""
        epoch = self._epoch

        def run() -> Result:
            if epoch != self._epoch:
                raise NotStartedError("ended before it began: the microscope was made safe")
            return act(self._microscope)

        outcome = self._work.submit(run)
        self._latest = outcome
        return outcome

    def busy(self) -> bool:
        """Tell whether an action is under way or waits."""
        return self._latest is not None and not self._latest.done()

    def status(self) -> MicroscopeStatus:
        """Look at the column; an exposure does not delay it."""
        return self._watched(self._microscope.status)

    def blank(self) -> None:
        """Blank the beam at once."""
        self._watched(self._microscope.blank)

    def stop_stage(self) -> None:
        """Stop a move under way where the column can."""
        self._watched(self._microscope.stop_stage)

    def make_safe(self, reason: str) -> None:
        """Blank, stop and drop what is queued; ask again until the action under way has ended.

        An action may slip past the first call between the queue and the column, and a column may
        be deaf for a moment, hence the repetition. A move that no call can stop (TEM Scripting)
        is left to run to its end, unexposed.

        Raises
        ------
        MicroscopeError
            Naming each device that could not be made safe.
        """
        self._epoch += 1
        under_way = self._latest
        deadline = time.monotonic() + SAFE_WITHIN_S
        while True:
            problems = self._watched(lambda: reach_safe_state(self._microscope, reason))
            if under_way is None or under_way.done() or time.monotonic() > deadline:
                break
            wait([under_way], timeout=SAFE_INTERVAL_S)
        if problems:
            failed = "; ".join(map(str, problems))
            raise MicroscopeError(f"not everything could be made safe: {failed}")

    def close(self) -> None:
        """Let go of the column and of the threads; the column must be safe already."""
        self._epoch += 1
        closing = self._work.submit(self._microscope.close)
        wait([closing], timeout=WATCH_TIMEOUT_S)
        for threads in (self._work, self._watch):
            threads.shutdown(wait=False, cancel_futures=True)

    def _watched(self, act: Callable[[], Result]) -> Result:
        outcome = self._watch.submit(act)
        if not wait([outcome], timeout=WATCH_TIMEOUT_S).done:
            raise MicroscopeError(
                f"the column has not answered for {WATCH_TIMEOUT_S:g} s: blank the beam by hand"
            )
        return outcome.result()
