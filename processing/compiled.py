"""Functions that Numba compiles when they are first called."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from threading import Lock
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., None])

_compiling = Lock()


def compiled(function: Function) -> Function:
    """Compile a function that works on arrays of NumPy; other threads run beside it.

    The first call takes a second or two. What is compiled is kept beside the source, or in the
    user's folder for caches, for later processes; where neither can be written, for this process.
    """
    made: list[Callable[..., None]] = []

    @wraps(function)
    def call(*inputs: Any) -> None:
        if not made:
            with _compiling:
                if not made:  # no other thread was first
                    made.append(_machine_code(function))
        made[0](*inputs)

    return cast(Function, call)


def _machine_code(function: Callable[..., None]) -> Callable[..., None]:
    njit = import_module("numba").njit  # half a second, which a session's start need not wait for
    try:
        return cast(Callable[..., None], njit(nogil=True, cache=True)(function))
    except RuntimeError:  # no folder for the cache
        return cast(Callable[..., None], njit(nogil=True)(function))
