"""Outcomes of requests by id: a repeated id returns the outcome of its first run.

An action that never started has no outcome: its id may be used again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

from controller.bridge.hardware_threads import NotStartedError
from controller.bridge.wire_messages import Action
from controller.hardware.interface import LeaseError, MicroscopeError

Outcome = Future[object]


class RequestOutcomes:
    """Requests since the bridge started, with their outcomes: a repeat does not act again."""

    def __init__(self, capacity: int = 20_000) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[Action, Outcome]] = OrderedDict()

    def get_or_start(
        self, request_id: str, action: Action, start: Callable[[], Outcome]
    ) -> Outcome:
        """Return the outcome of `request_id`; start the action only if the id is new.

        Raises
        ------
        MicroscopeError
            If the id was used for another action before.
        """
        with self._lock:
            known = self._known.get(request_id)
            if known is None or _never_started(known[1]):
                outcome = start()
                self._known[request_id] = (action, outcome)
                self._forget_oldest()
                return outcome
        if known[0] != action:
            raise MicroscopeError(
                f"request id {request_id!r} was used for {known[0].kind} before: use a new id"
            )
        return known[1]

    def _forget_oldest(self) -> None:
        while len(self._known) > self._capacity:
            self._known.popitem(last=False)


def _never_started(outcome: Outcome) -> bool:
    return outcome.done() and isinstance(outcome.exception(), NotStartedError | LeaseError)
