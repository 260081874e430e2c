"""One action at a time, each request id once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar, cast

from controller.hardware.interface import MicroscopeError

T = TypeVar("T")

OUTCOMES_KEPT = 4096


class IdempotentRequests:
    """What each request came to, failures included, for whoever asks again."""

    def __init__(self) -> None:
        self._column = threading.Lock()
        self._outcomes: OrderedDict[str, object] = OrderedDict()
        self._busy = False

    @property
    def busy(self) -> bool:
        """Whether an action is under way."""
        return self._busy

    def once(self, request_id: str, action: Callable[[], T]) -> T:
        """Run `action`, or return, or raise again, what this id's first run came to."""
        with self._column:
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
