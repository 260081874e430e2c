"""For every test: a place in memory for its files, and one BLAS thread as in the product."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import controller.app.cli.main  # noqa: F401 - limits BLAS to one thread before numpy is loaded

MEMORY_DISK = Path("/dev/shm")
LEAST_FREE_BYTES = 4 * 1024**3

# sessions sync each frame and each line of the journal: on a disk the tests mostly wait for that.
# No test takes the power away, so a sync has nothing to prove here
if os.access(MEMORY_DISK, os.W_OK) and shutil.disk_usage(MEMORY_DISK).free > LEAST_FREE_BYTES:
    os.environ.setdefault("TMPDIR", str(MEMORY_DISK))
    tempfile.tempdir = None


@pytest.fixture(scope="session", autouse=True)
def own_runtime_folder() -> Iterator[None]:
    """Set a runtime folder for this worker: its sessions and bridges are known to it alone."""
    with (
        tempfile.TemporaryDirectory(prefix="dt-", ignore_cleanup_errors=True) as name,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("XDG_RUNTIME_DIR", name)
        yield
