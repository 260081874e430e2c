"""Request ids made idempotent: the first outcome of each is kept and given again.

What never began has no outcome: its id may be used again.
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
    """Every request of this boot with its outcome, so that a repeat never acts again."""

    def __init__(self, capacity: int = 20_000) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[Action, Outcome]] = OrderedDict()

    def first(self, request_id: str, action: Action, start: Callable[[], Outcome]) -> Outcome:
        """Return the outcome of `request_id`, starting the action only where the id is new.

        Raises
        ------
        MicroscopeError
            If the id stood for another action before.
        """
        with self._lock:
            known = self._known.get(request_id)
            if known is None or _never_began(known[1]):
                outcome = start()
                self._known[request_id] = (action, outcome)
                self._forget_oldest()
                return outcome
        if known[0] != action:
            raise MicroscopeError(
                f"request id {request_id!r} was a {known[0].kind} before: use a new id"
            )
        return known[1]

    def _forget_oldest(self) -> None:
        while len(self._known) > self._capacity:
            self._known.popitem(last=False)


def _never_began(outcome: Outcome) -> bool:
    return outcome.done() and isinstance(outcome.exception(), NotStartedError | LeaseError)
