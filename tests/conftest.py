"""For every test: a runtime folder of its worker, and one BLAS thread as in the product."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest

import controller.app.cli.main  # noqa: F401 - limits BLAS to one thread before numpy is loaded


@pytest.fixture(scope="session", autouse=True)
def own_runtime_folder() -> Iterator[None]:
    """Set a runtime folder for this worker: its sessions and bridges are known to it alone."""
    with (
        tempfile.TemporaryDirectory(prefix="dt-", ignore_cleanup_errors=True) as name,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("XDG_RUNTIME_DIR", name)
        yield
