"""MemoryError at the n-th allocation of the interpreter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

try:
    # CPython's own shim for its allocators
    from _testcapi import remove_mem_hooks
    from _testcapi import set_nomemory as set_nomemory
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
