"""Faults of a stand-in column, as data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Spoil = Callable[[Any], None]


def spoil(**values: Any) -> Spoil:
    """Return a function that sets these existing attributes of a stand-in column."""

    def act(column: Any) -> None:
        for name, value in values.items():
            assert hasattr(column, name)
            setattr(column, name, value)

    return act
