"""Signals that end a command: Ctrl-C, SIGTERM, and the end of its terminal or connection."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], object] | signal.Handlers
"""Handler of a signal, as `signal.signal` takes it."""


@contextmanager
def ctrl_c_sets_event() -> Iterator[threading.Event]:
    """Set an event on the first Ctrl-C or SIGTERM; raise KeyboardInterrupt on the next.

    Main thread only.

    An exception at the first could be lost in whatever code runs at that moment.
    """
    pressed = threading.Event()

    def press(*_: object) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    with _handled_by(press, signal.SIGINT, signal.SIGTERM):
        yield pressed


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM, too: what was begun is cleaned up. Main thread only."""
    with _handled_by(signal.default_int_handler, signal.SIGTERM):
        yield


class HungUpError(BaseException):
    """The terminal or connection of a command was closed (SIGHUP)."""

    def __init__(self, continues: str = "") -> None:
        super().__init__(f"hung up: the terminal was closed{continues}")


@contextmanager
def hang_up_raises() -> Iterator[None]:
    """Raise HungUpError at SIGHUP: what was begun is cleaned up. Main thread only.

    After `nohup` the signal stays ignored. Windows has no such signal.
    """
    if not is_hang_up_handled():
        yield
        return
    with _handled_by(_raise_hung_up, signal.SIGHUP):
        yield


@contextmanager
def signals_end_at_once() -> Iterator[None]:
    """Let SIGHUP and SIGTERM end the process, as by default: a screen's session continues.

    The screen itself closes at SIGTERM and gives the terminal back (`SessionApp.on_load`).
    """
    with ExitStack() as stack:
        stack.enter_context(_handled_by(signal.SIG_DFL, signal.SIGTERM))
        if is_hang_up_handled():
            stack.enter_context(_handled_by(signal.SIG_DFL, signal.SIGHUP))
        yield


def is_hang_up_handled() -> bool:
    """Tell whether the system has SIGHUP, and `nohup` does not ignore it."""
    return hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN


def _raise_hung_up(*_: object) -> None:
    raise HungUpError


@contextmanager
def _handled_by(handler: Handler, *numbers: signal.Signals) -> Iterator[None]:
    """Handle signals by a function for a while."""
    previous = [(number, signal.signal(number, handler)) for number in numbers]
    try:
        yield
    finally:
        for number, before in previous:
            signal.signal(number, before)
