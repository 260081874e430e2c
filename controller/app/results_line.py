"""Results of recorded targets: made one after the other, beside the sessions under the beam."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

POLL_INTERVAL_S = 0.5
"""Interval at which a wait for the results notices Ctrl-C (s)."""


class ResultsLine(Generic[T]):
    """Line of targets whose results are to be made; at most one is being made.

    Parameters
    ----------
    make
        Makes the results of a target; returns their outcome when they are there.
    made
        Takes the outcome of a target. Called on the thread of the line.
    """

    def __init__(self, make: Callable[[str], T], made: Callable[[str, T], None]) -> None:
        self._make, self._made = make, made
        self._changed = threading.Condition()
        self._waiting: deque[str] = deque()
        self._present = ""
        self._left = False
        self._error: BaseException | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Targets whose results are being made or wait for it."""
        with self._changed:
            return (*filter(None, [self._present]), *self._waiting)

    def add(self, name: str) -> None:
        """Add a target to the end of the line."""
        with self._changed:
            self._waiting.append(name)
            if not self._present:
                self._present = self._waiting.popleft()
                worker = threading.Thread(target=self._work, args=(self._present,), daemon=True)
                worker.start()

    def raise_error(self) -> None:
        """Raise the error that ended the line, such as a full disk; nothing without one."""
        if self._error is not None:
            raise self._error

    def wait(self) -> None:
        """Wait until the line is empty; raise the error that ended it."""
        with self._changed:
            while self._present and self._error is None:
                self._changed.wait(POLL_INTERVAL_S)
        self.raise_error()

    def leave(self) -> str:
        """Begin no more results; return the target whose results are being made, if any.

        Their outcome is not taken any more.
        """
        with self._changed:
            self._left = True
            self._waiting.clear()
            return "" if self._error else self._present

    def _work(self, name: str) -> None:
        """Make the results of a target, then of those that wait, until none is left."""
        try:
            while name:
                outcome = self._make(name)
                with self._changed:
                    if not self._left:
                        self._made(name, outcome)
                    self._present = name = self._waiting.popleft() if self._waiting else ""
                    self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001 -- raised again on the thread of the queue
            with self._changed:
                self._error = error
                self._changed.notify_all()
