"""Thread for the actions of the column, one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

Result = TypeVar("Result")


class WorkThread:
    """The one thread that moves and exposes. An action that hangs does not keep the process."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        threading.Thread(target=self._run, name="hardware-work", daemon=True).start()

    def submit(self, act: Callable[[], Result]) -> Future[Result]:
        """Queue `act`; return its outcome."""
        outcome: Future[Result] = Future()
        self._queue.put((act, outcome))
        return outcome

    def close(self) -> None:
        """End the thread after what is queued."""
        self._queue.put(None)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            act, outcome = item
            try:
                result = act()
            except BaseException as error:  # noqa: BLE001 -- whoever waits for it raises it
                outcome.set_exception(error)
            else:
                outcome.set_result(result)
