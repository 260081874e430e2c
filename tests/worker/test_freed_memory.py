"""Freed memory: the system need not clear pages again for arrays of the same size."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

STEPS, MIB = 40, 2**20
PAGE_FAULTS = f"""
import resource, sys
from controller.worker.freed_memory import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({STEPS}):
    [bytearray(int(sys.argv[2])) for _ in range(4)]
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(freed: str, size: int) -> int:
    """Return the page faults of a process that creates and frees four arrays at a step."""
    command = [sys.executable, "-c", PAGE_FAULTS, freed, str(size)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_pages_of_small_arrays_are_cleared_once() -> None:
    assert page_faults("kept", 2 * MIB) * 10 < page_faults("by default", 2 * MIB)
