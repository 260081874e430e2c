"""Run one action at a time, and each request id only once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar, cast

from controller.hardware.interface import MicroscopeError

T = TypeVar("T")

OUTCOMES_KEPT = 4096
"""Number of outcomes kept; the oldest is dropped."""


class IdempotentRequests:
    """Outcomes of the recent requests, errors included, returned when an id is repeated."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outcomes: OrderedDict[str, object] = OrderedDict()
        self._busy = False

    @property
    def busy(self) -> bool:
        """True while an action runs."""
        return self._busy

    def once(self, request_id: str, action: Callable[[], T]) -> T:
        """Run `action` if the id is new; otherwise return or raise the outcome of its first run."""
        with self._lock:
            if request_id not in self._outcomes:
                self._outcomes[request_id] = self._run(action)
                if len(self._outcomes) > OUTCOMES_KEPT:
                    self._outcomes.popitem(last=False)
            outcome = self._outcomes[request_id]
        if isinstance(outcome, MicroscopeError):
            raise type(outcome)(*outcome.args)
        return cast(T, outcome)

    def _run(self, action: Callable[[], T]) -> T | MicroscopeError:
        self._busy = True
        try:
            return action()
        except MicroscopeError as error:
            return error
        finally:
            self._busy = False
