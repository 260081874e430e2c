"""A session in which one operation fails, and the next run of it: what was lost or left on."""

from __future__ import annotations

import os
import re
import signal
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from controller.common.exit_codes import ExitCode
from controller.session.entries import FrameWritten
from controller.session.errors import JournalDamagedError
from controller.session.journal import read_journal
from controller.session.ledger import replay
from tests.support.injected_session import TILTS, Beam, Injection, run_in_fork
from tests.support.shims.failures import FailingOperation
from tests.support.shims.operations import hooked

ANGLES_DEG = {
    "A": [-30.0, -20.0, -10.0, 0.0, 10.0, 20.0, 30.0],
    "B": [-20.0, -10.0, 0.0, 10.0, 20.0],
}
FRAME_BYTES = 32 * 32 * 2
PROJECT = tuple(str(Path(__file__).parents[2] / name) for name in ("controller", "processing"))
DOCUMENTED = frozenset(ExitCode) - {ExitCode.ACCURACY_MISSED, ExitCode.INTERNAL_ERROR}


@dataclass(frozen=True)
class Point:
    """One failure in one session."""

    name: str
    what: str
    """Kind of operation and failure, for the table."""
    injection: Injection
    hangs: bool = False
    may_hang: bool = False
    may_abort: bool = False
    """CPython itself may end the process when it has no memory, and a library may fail otherwise
    than by a MemoryError."""


def undisturbed(base: Path) -> Counter[str]:
    """Run one session; return its number of operations by kind."""
    log = base / "operations"
    log.touch()
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)

    def note(kind: str, name: str) -> None:
        os.pwrite(descriptor, f"{kind}\n".encode(), os.fstat(descriptor).st_size)

    status = run_in_fork(base / "s", Beam(), "boot-0", partial(hooked, note))
    os.close(descriptor)
    assert status == ExitCode.OK, status
    return Counter(log.read_text().split())


def failing(
    kind: str,
    number: int,
    name: str,
    failure: Callable[[str, str], int | None],
    lasting: int = 1,
) -> Point:
    """Return the failure of the operation `number` of a kind, and of the following ones."""

    def inject() -> AbstractContextManager[object]:
        return hooked(FailingOperation(kind, number, failure, lasting))

    suffix = " for good" if lasting > 1 else ""
    return Point(
        f"{kind} {number}: {name}{suffix}",
        f"{kind}: {name}{suffix}",
        inject,
        hangs=name == "hang",
        may_hang=name == "hang" or lasting > 1,
    )


def tried(folder: Path, point: Point) -> tuple[str, list[str]]:
    """Run a session with a failure, then resume it; return its first end and the violations."""
    beam, violations = Beam(), []
    status = run_in_fork(folder, beam, "boot-1", point.injection, patient=not point.may_hang)
    aborted = status < 0
    if not (beam.blanked or aborted):  # without its session the bridge blanks
        violations.append("the beam is on")
    if point.hangs and status == -signal.SIGKILL and not (beam.alarmed and beam.blanked):
        violations.append("nobody noticed that the disk does not answer")
    library_failed = (
        point.may_abort and status == ExitCode.INTERNAL_ERROR and _failed_in_a_library(folder)
    )
    if status not in DOCUMENTED and not (
        ((point.may_hang or point.may_abort) and aborted) or library_failed
    ):
        violations.append(f"ended with {status}")
    try:
        acknowledged = _acknowledged(folder)
    except JournalDamagedError as error:
        return "damaged", [*violations, str(error)]
    end = "LIBRARY_FAILED" if library_failed else _name_of(status)
    if status != ExitCode.OK:
        again = run_in_fork(folder, beam, "boot-2")
        end += f", resumed: {_name_of(again)}"
        if again != ExitCode.OK:
            log = folder.with_name("s.log").read_text().splitlines()
            violations.append(f"{end}: {log[-1] if log else ''}")
            return end, violations
    return end, violations + _compared(folder, beam, acknowledged)


def _failed_in_a_library(folder: Path) -> bool:
    """Return whether an error was raised outside this project, otherwise than by a MemoryError."""
    log = folder.with_name("s.log").read_text()
    raised_in = re.findall(r'^  File "(.+)", line', log, re.M)
    expected = re.search(r"^MemoryError", log, re.M)
    return bool(raised_in) and not raised_in[-1].startswith(PROJECT) and not expected


def _compared(folder: Path, beam: Beam, acknowledged: dict[str, int]) -> list[str]:
    violations = []
    now = _acknowledged(folder)
    if not acknowledged.items() <= now.items() or len(now) != TILTS:
        violations.append(f"{len(now)} frames, {len(acknowledged)} were acknowledged before")
    if _angles(folder) != ANGLES_DEG:
        violations.append(f"the angles are {_angles(folder)}")
    violations += _different_from_the_microscope(folder)
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


def _angles(folder: Path) -> dict[str, list[float]]:
    return {
        series: [float(line) for line in (folder / f"{series}.rawtlt").read_text().split()]
        for series in ("A", "B")
    }


def _different_from_the_microscope(folder: Path) -> list[str]:
    """Name the frames whose bytes are not those that the microscope recorded."""
    stacks = {series: (folder / f"{series}.mrc").read_bytes() for series in ("A", "B")}
    frames = [
        line.entry
        for line in read_journal(folder / "journal.jsonl").lines
        if isinstance(line.entry, FrameWritten)
    ]
    return [
        f"{frame.name} differs"
        for frame in frames
        if zlib.crc32(stacks[frame.series][frame.offset :][:FRAME_BYTES]) != frame.info.crc32
    ]


def _name_of(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else ExitCode(status).name
