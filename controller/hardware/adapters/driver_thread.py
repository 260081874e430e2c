"""A driver and the only thread that may call it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from controller.hardware.adapters.driver import Driver

T = TypeVar("T")


class DriverThread:
    """Opens a driver on its own thread and runs every call to it there.

    COM objects may only be used on the thread that created them.

    Parameters
    ----------
    open_driver
        Opens the driver; called on the thread.
    name
        Name of the thread.
    """

    def __init__(self, open_driver: Callable[[], Driver], name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        try:
            self._driver = self._thread.submit(open_driver).result()
        except BaseException:
            self._thread.shutdown(wait=False)
            raise

    def do(self, act: Callable[[Driver], T]) -> T:
        """Run `act` on the thread, after earlier calls, and return its result."""
        return self._thread.submit(act, self._driver).result()

    def close(self) -> None:
        """Release the driver and end the thread."""
        self.do(lambda driver: driver.close())
        self._thread.shutdown(wait=False)


class Clock(Protocol):
    """Source of time for the adapter; tests replace it."""

    def now_s(self) -> float:
        """Return seconds since an arbitrary start; never decreases."""

    def sleep(self, duration_s: float) -> None:
        """Wait."""


class RealClock:
    """Clock of the computer."""

    def now_s(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def sleep(self, duration_s: float) -> None:
        """Sleep."""
        time.sleep(duration_s)
