"""Thread for status and safety calls: safety calls come first, equal calls are made once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

from controller.hardware.interface import MicroscopeError

Result = TypeVar("Result")

WATCH_TIMEOUT_S = 5.0
"""Longest duration of a status or safety call; after it the column counts as not answering."""


class Urgency(IntEnum):
    """Order in which waiting calls are made."""

    SAFETY = 0
    STATUS = 1


@dataclass
class _Call:
    act: Callable[[], Any]
    outcome: Future[Any]
    callers: int = 0
    """Number of threads that wait for it; a call without any is not made."""


class WatchThread:
    """The one thread that makes status and safety calls, each at most once for all who wait."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[Urgency, OrderedDict[str, _Call]] = {
            urgency: OrderedDict() for urgency in Urgency
        }
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="hardware-watch", daemon=True)
        self._thread.start()

    def call(self, urgency: Urgency, name: str, act: Callable[[], Result]) -> Result:
        """Have `act` called and return its result; share a waiting call of the same name.

        A call that has begun is not shared: a status read before a move must not be returned
        after it.

        Raises
        ------
        MicroscopeError
            If the column does not answer in time.
        """
        with self._changed:
            call = self._waiting[urgency].setdefault(name, _Call(act, Future()))
            call.callers += 1
            self._changed.notify()
        if not wait([call.outcome], timeout=WATCH_TIMEOUT_S).done:
            self._give_up(urgency, name, call)
            raise MicroscopeError(
                f"the column has not answered for {WATCH_TIMEOUT_S:g} s: blank the beam by hand"
            )
        result: Result = call.outcome.result()
        return result

    def alive(self) -> bool:
        """Tell whether the thread runs."""
        return self._thread.is_alive()

    def waiting(self) -> int:
        """Return the number of calls that wait; equal ones count once."""
        with self._changed:
            return sum(map(len, self._waiting.values()))

    def close(self) -> None:
        """End the thread after the running call; waiting calls are not made."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _give_up(self, urgency: Urgency, name: str, call: _Call) -> None:
        """Remove a status call for which nobody waits any more; a safety call is still made."""
        with self._changed:
            call.callers -= 1
            queued = self._waiting[urgency].get(name) is call
            if urgency is Urgency.STATUS and queued and call.callers == 0:
                del self._waiting[urgency][name]

    def _run(self) -> None:
        while (call := self._next()) is not None:
            try:
                result = call.act()
            except BaseException as error:  # noqa: BLE001 -- the caller's thread raises it
                call.outcome.set_exception(error)
            else:
                call.outcome.set_result(result)

    def _next(self) -> _Call | None:
        """Wait for the most urgent call; None: the thread has to end."""
        with self._changed:
            while not self._closed:
                for waiting in self._waiting.values():
                    if waiting:
                        return waiting.popitem(last=False)[1]
                self._changed.wait()
        return None
