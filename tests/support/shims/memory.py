"""MemoryError at the n-th allocation of the interpreter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

try:
    from _testcapi import remove_mem_hooks, set_nomemory  # CPython's own shim for its allocators
except ImportError:  # an interpreter built without its test modules
    set_nomemory = None


@contextmanager
def failing_allocation(number: int) -> Iterator[None]:
    """Let the allocation `number` from here on fail."""
    set_nomemory(number, number + 1)
    try:
        yield
    finally:
        remove_mem_hooks()
