"""Private folders whose path is short enough for a Unix socket."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def private_folder() -> Iterator[Path]:
    """Yield a folder of mode 0700, shared by all tests of a module."""
    with tempfile.TemporaryDirectory(prefix="dt-") as name:
        yield Path(name)
