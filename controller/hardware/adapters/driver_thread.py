"""A driver and the one thread that may touch it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from controller.hardware.adapters.driver import Driver

T = TypeVar("T")


class DriverThread:
    """Makes a driver on a thread of its own and does everything with it there.

    COM objects belong to the thread that made them.

    Parameters
    ----------
    open_driver
        Makes the driver; called on the thread.
    name
        Of the thread.
    """

    def __init__(self, open_driver: Callable[[], Driver], name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        try:
            self._driver = self._thread.submit(open_driver).result()
        except BaseException:
            self._thread.shutdown(wait=False)
            raise

    def do(self, act: Callable[[Driver], T]) -> T:
        """Do `act` on the thread, after what is there already; return what it returns."""
        return self._thread.submit(act, self._driver).result()

    def close(self) -> None:
        """Let go of the driver and end the thread."""
        self.do(lambda driver: driver.close())
        self._thread.shutdown(wait=False)


class Clock(Protocol):
    """Time as the column's adapter sees it; tests bring their own."""

    def now_s(self) -> float:
        """Seconds since some start; never goes back."""

    def sleep(self, duration_s: float) -> None:
        """Let time pass."""


class RealClock:
    """The computer's own time."""

    def now_s(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def sleep(self, duration_s: float) -> None:
        """Sleep."""
        time.sleep(duration_s)
