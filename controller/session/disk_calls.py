"""Disk operations in progress, so that another thread notices one that does not return.

A write to a dead file server may never return, and the thread that waits in it can report nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic


@dataclass
class _Call:
    began_s: float
    reported: bool = False


class DiskCalls:
    """Operations in progress, at most one of each thread: an outer one includes its inner ones.

    Attributes
    ----------
    answered
        Called with the duration (s) when a reported operation has ended, on the operation's own
        thread, before that continues.
    """

    def __init__(self) -> None:
        self.answered: Callable[[float], None] = lambda duration_s: None
        self._lock = threading.Lock()
        self._calls: dict[int, _Call] = {}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the operation of the block."""
        thread = threading.get_ident()
        if thread in self._calls:
            yield
            return
        call = _Call(monotonic())
        with self._lock:
            self._calls[thread] = call
        try:
            yield
        finally:
            with self._lock:
                del self._calls[thread]
                if call.reported:
                    self.answered(monotonic() - call.began_s)

    def report_late(self, limit_s: float, report: Callable[[float], None]) -> None:
        """Call `report` with the time so far (s) of each operation that exceeds the limit, once.

        The operation's thread does not continue before `report` has returned.
        """
        with self._lock:
            for call in self._calls.values():
                duration_s = monotonic() - call.began_s
                if duration_s > limit_s and not call.reported:
                    call.reported = True
                    report(duration_s)
