"""What goes wrong on a stand-in, as data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Spoil = Callable[[Any], None]


def spoil(**values: Any) -> Spoil:
    """Make a function that sets these attributes of a stand-in; all of them it must have."""

    def act(column: Any) -> None:
        for name, value in values.items():
            assert hasattr(column, name)
            setattr(column, name, value)

    return act
