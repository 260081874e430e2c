"""Folders for sockets: private, and with a path short enough for one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def private_folder() -> Iterator[Path]:
    """Give a folder of mode 0700, one for all cases of a module."""
    with tempfile.TemporaryDirectory(prefix="dt-") as name:
        yield Path(name)
