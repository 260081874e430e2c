"""A session of 12 tilts with every open, write, sync, rename and thread start failing in turn.

Each operation of an undisturbed session fails once, in a session of its own: with a short write, a
full, broken, read-only or stale disk, a slow or hanging sync, no descriptor or no thread; in some
sessions the failure lasts. Then allocations fail. Whatever the first run ends with, the next one
must finish the session: every acknowledged frame bit for bit, the beam blanked, the dose charged
never less than exposed.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from controller.common.exit_codes import ExitCode
from tests.soak.progress import CORES, MEMORY_DISK, worked_off
from tests.support.failing_session import Point, failing, tried, undisturbed
from tests.support.shims.failures import DISK, FAILURES
from tests.support.shims.memory import failing_allocation, set_nomemory
from tests.support.shims.operations import KINDS

EVERY = int(os.environ.get("DUALTILT_SOAK_EVERY", "1"))
FIRST = int(os.environ.get("DUALTILT_SOAK_FIRST", "1"))
"""Every n-th operation fails, from the first one named; 1 and 1: all of them."""
FOR_GOOD = 10**9
LASTING_EVERY = 40
"""Every n-th operation also begins a failure of the disk that lasts."""
ALLOCATION_STEP, ALLOCATION_POINTS = 2_003, 100
AT_ONCE = 2 * CORES
"""Sessions that run at the same time; those on a disk that does not answer wait."""


def run() -> list[str]:
    """Let every operation fail once; return the violated requirements."""
    with tempfile.TemporaryDirectory(prefix="dt-", dir=MEMORY_DISK) as name:
        base = Path(name)
        counts = undisturbed(base)
        points = list(_points(counts))
        outcomes = worked_off(
            "failures", len(points), lambda number: _outcome(base, points[number]), AT_ONCE
        )
    ends = Counter((point.what, end) for point, (end, _) in zip(points, outcomes, strict=True))
    violations = [
        f"{point.name}: {line}"
        for point, (_, found) in zip(points, outcomes, strict=True)
        for line in found
    ]
    print(f"failures: operations of one session: {dict(counts)}")
    for (what, end), count in sorted(ends.items()):
        print(f"failures: {what}: {count} {end}")
    print(f"failures: {len(points)} points, {len(points) - len(violations)} without a violation")
    unexplained = [
        point.name
        for point, (end, _) in zip(points, outcomes, strict=True)
        if end.startswith(ExitCode.INTERNAL_ERROR.name)
    ]
    print(f"failures: internal errors: {'; '.join(unexplained) or 'none'}")
    return violations


def _outcome(base: Path, point: Point) -> tuple[str, list[str]]:
    with tempfile.TemporaryDirectory(prefix="p-", dir=base) as place:
        return tried(Path(place) / "s", point)


def _points(counts: Counter[str]) -> Iterator[Point]:
    for kind in KINDS:
        names = list(FAILURES[kind])
        for number in range(FIRST, counts[kind] + 1, EVERY):
            name = names[number % len(names)]
            yield failing(kind, number, name, FAILURES[kind][name])
            if kind in ("write", "sync", "open") and number % LASTING_EVERY == 1:
                lasting = list(DISK)[number // LASTING_EVERY % len(DISK)]
                yield failing(kind, number, lasting, DISK[lasting], FOR_GOOD)
    if set_nomemory is not None:
        for number in range(FIRST, ALLOCATION_POINTS + 1, EVERY):
            allocation = number * ALLOCATION_STEP
            yield Point(
                f"allocation {allocation}",
                "allocation: MemoryError",
                partial(failing_allocation, allocation),
                may_abort=True,
            )
