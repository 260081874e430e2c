"""A session of 12 tilts with every open, write, sync, rename and thread start failing in turn.

Each operation of an undisturbed session fails once, in a session of its own: with a short write, a
full, broken, read-only or stale disk, a slow or hanging sync, no descriptor or no thread; in some
sessions the failure lasts. Then allocations fail. Whatever the first run ends with, the next one
must finish the session: every acknowledged frame bit for bit, the beam blanked, the dose charged
never less than exposed.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from controller.common.exit_codes import ExitCode
from controller.session.entries import FrameWritten
from controller.session.errors import JournalDamagedError
from controller.session.journal import read_journal
from controller.session.ledger import replay
from tests.support.injected_session import TILTS, Beam, Injection, run_in_fork
from tests.support.shims.failures import DISK, FAILURES, FailingOperation
from tests.support.shims.memory import failing_allocation, set_nomemory
from tests.support.shims.operations import KINDS, hooked

EVERY = int(os.environ.get("DUALTILT_SOAK_EVERY", "1"))
"""Every n-th operation fails; 1: all of them."""
FOR_GOOD = 10**9
LASTING_EVERY = 40
"""Every n-th operation also begins a failure of the disk that lasts."""
ALLOCATION_STEP, ALLOCATION_POINTS = 20_011, 100
MEMORY_DISK = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Place of the sessions' folders; a disk would only make them slower."""
AT_ONCE = 4
"""Sessions that run at the same time; they mostly wait."""
DOCUMENTED = frozenset(ExitCode) - {ExitCode.ACCURACY_MISSED}


@dataclass(frozen=True)
class Point:
    """One failure in one session."""

    name: str
    what: str
    """Kind of operation and failure, for the table."""
    injection: Injection
    may_hang: bool = False
    may_abort: bool = False
    """CPython itself may end the process when it has no memory."""


_todo: list[Point] = []
"""Points of this run; the processes of the pool inherit them."""


def run() -> list[str]:
    """Let every operation fail once; return the violated requirements."""
    with tempfile.TemporaryDirectory(prefix="dt-", dir=MEMORY_DISK) as name:
        base = Path(name)
        counts, reference = _undisturbed(base)
        _todo[:] = _points(counts)
        points = list(_todo)
        with ProcessPoolExecutor(AT_ONCE, get_context("fork")) as pool:
            outcomes = []
            for number, outcome in enumerate(
                pool.map(partial(_outcome, base, reference), range(len(points)))
            ):
                outcomes.append(outcome)
                for line in outcome[1]:
                    print(f"failures: {number} of {len(points)}: {points[number].name}: {line}")
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


def _outcome(base: Path, reference: dict[str, bytes], number: int) -> tuple[str, list[str]]:
    with tempfile.TemporaryDirectory(prefix="p-", dir=base) as place:
        return _tried(Path(place) / "s", _todo[number], reference)


def _undisturbed(base: Path) -> tuple[Counter[str], dict[str, bytes]]:
    """Run one session; return its number of operations by kind, and its raw data."""
    log = base / "operations"
    log.touch()
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)

    def note(kind: str, name: str) -> None:
        os.pwrite(descriptor, f"{kind}\n".encode(), os.fstat(descriptor).st_size)

    status = run_in_fork(base / "s", Beam(), "boot-0", partial(hooked, note))
    os.close(descriptor)
    assert status == ExitCode.OK, status
    return Counter(log.read_text().split()), _raw(base / "s")


def _points(counts: Counter[str]) -> Iterator[Point]:
    for kind in KINDS:
        names = list(FAILURES[kind])
        for number in range(1, counts[kind] + 1, EVERY):
            name = names[number % len(names)]
            yield _failing(kind, number, name, FAILURES[kind][name])
            if kind in ("write", "sync", "open") and number % LASTING_EVERY == 1:
                lasting = list(DISK)[number // LASTING_EVERY % len(DISK)]
                yield _failing(kind, number, lasting, DISK[lasting], FOR_GOOD)
    if set_nomemory is not None:
        for number in range(1, ALLOCATION_POINTS + 1, EVERY):
            allocation = number * ALLOCATION_STEP
            yield Point(
                f"allocation {allocation}",
                "allocation: MemoryError",
                partial(failing_allocation, allocation),
                may_abort=True,
            )


def _failing(
    kind: str,
    number: int,
    name: str,
    failure: Callable[[str, str], int | None],
    lasting: int = 1,
) -> Point:
    def inject() -> AbstractContextManager[object]:
        return hooked(FailingOperation(kind, number, failure, lasting))

    suffix = " for good" if lasting > 1 else ""
    return Point(
        f"{kind} {number}: {name}{suffix}",
        f"{kind}: {name}{suffix}",
        inject,
        may_hang=name == "hang" or lasting > 1,
    )


def _tried(folder: Path, point: Point, reference: dict[str, bytes]) -> tuple[str, list[str]]:
    """Run a session with a failure, then resume it; return its first end and the violations."""
    beam, violations = Beam(), []
    status = run_in_fork(folder, beam, "boot-1", point.injection, patient=not point.may_hang)
    aborted = status < 0
    if not (beam.blanked or aborted):  # without its session the bridge blanks
        violations.append("the beam is on")
    if status not in DOCUMENTED and not (
        (point.may_hang and aborted) or (point.may_abort and aborted)
    ):
        violations.append(f"ended with {status}")
    try:
        acknowledged = _acknowledged(folder)
    except JournalDamagedError as error:
        return "damaged", [*violations, str(error)]
    end = _name_of(status)
    if status != ExitCode.OK:
        again = run_in_fork(folder, beam, "boot-2")
        end += f", resumed: {_name_of(again)}"
        if again != ExitCode.OK:
            log = folder.with_name("s.log").read_text().splitlines()
            violations.append(f"{end}: {log[-1] if log else ''}")
            return end, violations
    return end, violations + _compared(folder, beam, acknowledged, reference)


def _compared(
    folder: Path, beam: Beam, acknowledged: dict[str, int], reference: dict[str, bytes]
) -> list[str]:
    violations = []
    now = _acknowledged(folder)
    if not acknowledged.items() <= now.items() or len(now) != TILTS:
        violations.append(f"{len(now)} frames, {len(acknowledged)} were acknowledged before")
    if _raw(folder) != reference:
        violations.append("the raw data differ from those of an undisturbed session")
    ledger = replay(line.entry for line in read_journal(folder / "journal.jsonl").lines)
    if ledger.dose_e_per_A2 < beam.dose_e_per_A2 * (1 - 1e-9):
        violations.append(f"{ledger.dose_e_per_A2} charged, {beam.dose_e_per_A2} exposed")
    left = [path.name for path in folder.rglob("*.partial")]
    return violations + [f"{name} was left" for name in left]


def _acknowledged(folder: Path) -> dict[str, int]:
    """Return the checksum of every acknowledged frame by its place."""
    if not (folder / "journal.jsonl").exists():
        return {}
    return {
        line.entry.name: line.entry.crc32
        for line in read_journal(folder / "journal.jsonl").lines
        if isinstance(line.entry, FrameWritten)
    }


def _raw(folder: Path) -> dict[str, bytes]:
    return {
        name: (folder / name).read_bytes()[1024 if name.endswith("mrc") else 0 :]
        for name in ("A.mrc", "B.mrc", "A.rawtlt", "B.rawtlt")
    }


def _name_of(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else ExitCode(status).name
