"""Functions that are compiled when they are first called."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from processing.compiled import compiled

SOURCE = """
def double(values):
    for n in range(len(values)):
        values[n] *= 2
"""


@pytest.mark.parametrize("name", [__file__, "<no file>"], ids=["kept", "no folder for the cache"])
def test_a_loop_gives_the_same_compiled(name: str) -> None:
    # a function that is kept is looked for in its module when it is loaded again
    made: dict[str, Any] = {"__name__": compiled.__module__}
    exec(compile(SOURCE, name, "exec"), made)
    values = np.arange(4.0)
    compiled(made["double"])(values)
    assert values.tolist() == [0.0, 2.0, 4.0, 6.0]
