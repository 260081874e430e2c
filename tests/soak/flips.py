"""A stopped session with each single byte of its headers, mdocs, rawtlts and journal changed.

Every copy is resumed, after a rebuild of the journal where the message asks for it. Afterwards
every acknowledged frame must be there, bit for bit, and no dose forgotten.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path

from tests.soak.progress import CORES, MEMORY_DISK, worked_off
from tests.support.byte_flips import all_flips, harm, stop_in_b

EVERY = int(os.environ.get("DUALTILT_SOAK_EVERY", "1"))
"""Every n-th byte is flipped; 1: all of them."""


def run() -> list[str]:
    """Flip every byte once; return the violated requirements."""
    with tempfile.TemporaryDirectory(prefix="dt-", dir=MEMORY_DISK) as name:
        base = Path(name)
        stop_in_b(base / "s")
        flips = list(all_flips(base / "s"))[::EVERY]
        damage = worked_off(
            "flips",
            len(flips),
            lambda number: harm(base / "s", base / f"copy-{os.getpid()}", flips[number]),
            CORES,
        )
    violations = [line for line in damage if line]
    files = Counter(flip.name for flip in flips)
    print(f"flips: {len(flips)} bytes: {dict(files.most_common())}")
    print(f"flips: {len(flips) - len(violations)} resumed with every acknowledged frame")
    return violations
