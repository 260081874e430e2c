"""Failures of single operations: the n-th of its kind fails once, a few times, or for good."""

from __future__ import annotations

import errno
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

SLOW_S = 0.2


def short(kind: str, name: str) -> int:
    """Write a part only."""
    return 100


def slow(kind: str, name: str) -> None:
    """Take a while."""
    time.sleep(SLOW_S)


def hang(kind: str, name: str) -> None:
    """Never return, as a disk in uninterruptible sleep does."""
    while True:
        time.sleep(60.0)


def no_thread(kind: str, name: str) -> None:
    """Refuse a thread, as the system does without room for one."""
    raise RuntimeError("can't start new thread")


def fail_with(number: int) -> Callable[[str, str], None]:
    """Return a failure with an error number of the system."""

    def fail(kind: str, name: str) -> None:
        raise OSError(number, os.strerror(number), name)

    return fail


DISK = {name: fail_with(getattr(errno, name)) for name in ("ENOSPC", "EIO", "EROFS", "ESTALE")}
FAILURES: dict[str, dict[str, Callable[[str, str], int | None]]] = {
    "open": {"EMFILE": fail_with(errno.EMFILE), **DISK},
    "write": {"short": short, **DISK},
    "truncate": {**DISK},
    "sync": {"slow": slow, "hang": hang, **DISK},
    "rename": {**DISK},
    "thread": {"no thread": no_thread},
}
"""Failures that each kind of operation can meet."""


@dataclass
class FailingOperation:
    """Hook that makes the n-th operation of a kind fail, and `lasting` - 1 more after it."""

    kind: str
    number: int
    failure: Callable[[str, str], int | None]
    lasting: int = 1
    seen: Counter[str] = field(default_factory=Counter)

    def __call__(self, kind: str, name: str) -> int | None:
        self.seen[kind] += 1
        if kind == self.kind and self.number <= self.seen[kind] < self.number + self.lasting:
            return self.failure(kind, name)
        return None
