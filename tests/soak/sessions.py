"""Twenty complete sessions in their real processes, with random faults from a seed.

Each session gets 3 to 6 scripted faults of the microscope and the bridge, and up to two kill -9 of
its own process, its bridge or its worker at random frames. It is resumed until it is finished or a
safety check stops it. Every acknowledged frame must be there at the end.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import tempfile
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from controller.app.new_session import new_session
from controller.app.start_session import start
from controller.common.exit_codes import ExitCode
from controller.rehearsal.fault_list import REMOUNT_FAULTS, FaultKind
from controller.service.status_file import last_status
from controller.session.entries import Exposing, FrameWritten
from controller.session.folder import SessionFolder
from controller.session.journal import read_journal
from processing.files.section import read_section
from tests.soak.progress import MEMORY_DISK
from tests.support.simulator_session import write_protocol

SEED = 2021
SESSIONS = 20
MAX_RUNS = 6
TIMEOUT_S = 600.0
EXCLUDED_FAULTS = frozenset(
    {FaultKind.NOT_FINITE, FaultKind.STAGE_LIES, *REMOUNT_FAULTS - {FaultKind.NOT_FLIPPED}}
)
"""Faults that are left out: they change the pixel type or make the whole of B unusable."""
SERIES = """
[series_a]
start_deg = -70.0
stop_deg = 70.0
step_deg = 4.0
[series_b]
start_deg = -70.0
stop_deg = 70.0
step_deg = 4.0
"""
TILTS = 36


@dataclass
class Tally:
    """Results of the sessions."""

    ends: Counter[str] = field(default_factory=Counter)
    resumed: int = 0
    killed: int = 0
    frames: int = 0
    lost: int = 0
    repeated: int = 0
    violations: list[str] = field(default_factory=list)


def run() -> list[str]:
    """Run the sessions; return the violated requirements."""
    tally = Tally()
    for number in range(SESSIONS):
        with tempfile.TemporaryDirectory(prefix="dt-", dir=MEMORY_DISK) as name:
            _session(Path(name), random.Random(SEED + number), number, tally)
    ends = ", ".join(f"{count} {end}" for end, count in tally.ends.most_common())
    print(f"sessions: {SESSIONS} of seed {SEED}: {ends}; resumed {tally.resumed} times")
    print(
        f"sessions: {tally.killed} processes killed; {tally.frames} frames acknowledged, "
        f"{tally.lost} lost, {tally.repeated} request ids used twice"
    )
    return tally.violations


def _session(base: Path, dice: random.Random, number: int, tally: Tally) -> None:
    folder = _prepared(base, dice)
    kill_at_frames = sorted(dice.sample(range(3, 2 * TILTS), dice.randint(0, 2)))
    acknowledged: dict[tuple[str, int], int] = {}
    code = -1
    for run_number in range(MAX_RUNS):
        code = _wait_and_kill(start(folder, None), folder, kill_at_frames, dice, tally)
        now = _frames(folder)
        tally.lost += len(acknowledged.items() - now.items())
        acknowledged = now
        if code in (ExitCode.OK, ExitCode.SAFETY, ExitCode.PROCESSING_FAILED):
            break
        tally.resumed += run_number < MAX_RUNS - 1
    _record_end(base, folder, number, code, tally)


def _prepared(base: Path, dice: random.Random) -> SessionFolder:
    protocol = write_protocol(base, seed=dice.randrange(1000), more=SERIES)
    kinds = dice.choices(sorted(set(FaultKind) - EXCLUDED_FAULTS), k=dice.randint(3, 6))
    faults = [
        f'[[fault]]\nkind = "{kind}"\nat = "{_place(kind, dice)}"\n'
        f"times = {dice.randint(1, 2)}\nfor_s = {dice.uniform(0.5, 3.0):.1f}\nby_deg = 3.0\n"
        for kind in kinds
    ]
    (base / "faults.toml").write_text("\n".join(faults))
    return new_session(protocol, base / "s", [base / "faults.toml"])


def _place(kind: FaultKind, dice: random.Random) -> str:
    if kind in REMOUNT_FAULTS:
        return "flip"
    return f"{dice.choice('AB')}-{dice.randrange(TILTS) + 1:03d}"


def _wait_and_kill(
    process: subprocess.Popen[bytes],
    folder: SessionFolder,
    kill_at_frames: list[int],
    dice: random.Random,
    tally: Tally,
) -> int:
    """Wait for the end of the session; kill processes at the planned numbers of frames."""
    deadline = time.monotonic() + TIMEOUT_S
    while process.poll() is None:
        if kill_at_frames and _count(folder) >= kill_at_frames[0]:
            kill_at_frames.pop(0)
            tally.killed += _kill_one(folder, process.pid, dice)
        if time.monotonic() > deadline:
            process.kill()
            tally.violations.append(f"{folder.path}: did not end within {TIMEOUT_S:g} s")
        time.sleep(0.05)
    return process.returncode


def _kill_one(folder: SessionFolder, session: int, dice: random.Random) -> int:
    """Kill the session, or one of the processes it started."""
    children = Path(f"/proc/{session}/task/{session}/children").read_text().split()
    victim = dice.choice([session, *map(int, children)])
    try:
        os.kill(victim, signal.SIGKILL)
    except ProcessLookupError:  # it has just ended by itself
        return 0
    return 1


def _count(folder: SessionFolder) -> int:
    return folder.journal.read_text().count('"kind":"frame-written"')


def _frames(folder: SessionFolder) -> dict[tuple[str, int], int]:
    """Return the checksums of the acknowledged frames that are unchanged on disk."""
    entries = [line.entry for line in read_journal(folder.journal).lines]
    return {
        (entry.series, entry.section): entry.crc32
        for entry in entries
        if isinstance(entry, FrameWritten)
        and zlib.crc32(read_section(folder.stack(entry.series), entry.section).tobytes())
        == entry.crc32
    }


def _record_end(base: Path, folder: SessionFolder, number: int, code: int, tally: Tally) -> None:
    end = {
        ExitCode.OK: "finished",
        ExitCode.SAFETY: "safely stopped",
        ExitCode.PROCESSING_FAILED: "raw data complete, processing failed",
    }.get(ExitCode(code) if code >= 0 else ExitCode.INTERNAL_ERROR, f"ended with {code}")
    tally.ends[end] += 1
    entries = [line.entry for line in read_journal(folder.journal).lines]
    written = [entry for entry in entries if isinstance(entry, FrameWritten)]
    requests = [entry.request_id for entry in entries if isinstance(entry, Exposing)]
    tally.frames += len(written)
    tally.lost += len(written) - len(_frames(folder))
    tally.repeated += len(requests) - len(set(requests))
    steps = [entry.step_id for entry in written]
    status = last_status(folder.path)
    reason = status.reason if status is not None else ""
    kinds = [
        line.split('"')[1]
        for line in (base / "faults.toml").read_text().splitlines()
        if "kind" in line
    ]
    print(
        f"sessions: {number:2d} {end}: {len(written)} frames; {', '.join(kinds)}; {reason}",
        flush=True,
    )
    if len(steps) != len(set(steps)):
        tally.violations.append(f"session {number}: a tilt was recorded twice")
    if end.startswith("ended"):
        tally.violations.append(f"session {number}: {end}: {reason}")
    if status is not None and status.beam is not None and not status.beam.blanked:
        tally.violations.append(f"session {number}: the beam was left on")
    if tally.lost or tally.repeated:
        tally.violations.append(f"session {number}: {tally.lost} lost, {tally.repeated} repeated")
