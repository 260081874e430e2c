"""Signals that end a command: Ctrl-C, SIGTERM, and the end of its terminal or connection."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ctrl_c_sets_event() -> Iterator[threading.Event]:
    """Set an event on the first Ctrl-C; raise KeyboardInterrupt on the next. Main thread only.

    An exception at the first could be lost in whatever code runs at that moment.
    """
    pressed = threading.Event()

    def press(*_: object) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    previous = signal.signal(signal.SIGINT, press)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, previous)


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM, too: what was begun is cleaned up. Main thread only."""
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


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
    signal.signal(signal.SIGHUP, _raise_hung_up)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@contextmanager
def hang_up_ends() -> Iterator[None]:
    """Let SIGHUP end the process at once, as by default: a screen has nobody to say it to."""
    if not is_hang_up_handled():
        yield
        return
    previous = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, previous)


def is_hang_up_handled() -> bool:
    """Tell whether the system has SIGHUP, and `nohup` does not ignore it."""
    return hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN


def _raise_hung_up(*_: object) -> None:
    raise HungUpError
