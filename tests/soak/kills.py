"""One session of 147 tilts, killed with -9 at every journal write of every tilt.

Each run is killed at the first moment at which no earlier run was killed: alternately before and
after a journal write, or when a frame is written but not acknowledged. The next run resumes with a
new bridge. At the end the frames are compared with those of a session that was never killed.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from controller.common.exit_codes import ExitCode
from controller.session.crash_points import CrashPoint, no_crash
from controller.session.entries import Exposing, FrameWritten
from controller.session.journal import read_journal
from tests.soak.progress import MEMORY_DISK
from tests.support.fake_microscope import FakeMicroscope
from tests.support.small_session import Run, open_session

PROTOCOL = """
name = "kills"
[scan]
width_px = 48
height_px = 48
pixel_nm = 1.0
dwell_us = 10.0
[shower]
duration_s = 100.0
[limits]
dose_budget_e_per_A2 = 1e9
free_disk_margin = 1.0
[tracking]
settle_s = 0.0
"""
TILTS = 147


class Killer:
    """Crash point that kills the process at the first moment that is not in `moments`.

    Parameters
    ----------
    moments
        File of the moments at which earlier runs were killed.
    frames
        Number of frames acknowledged so far.
    """

    def __init__(self, moments: Path, frames: int) -> None:
        self._file = moments
        self._known = set(moments.read_text().split()) if moments.exists() else set()
        self._side = ("before", "after")[len(self._known) % 2]
        self._frames = frames
        self._ordinals: Counter[str] = Counter()

    def __call__(self, name: str) -> None:
        side, _, what = name.partition("-")
        in_the_stack = what.startswith("stack")
        kind = "stack" if in_the_stack else what.split("-", 1)[1]
        self._ordinals[kind] += in_the_stack or side == "before"
        moment = f"{kind}@{self._frames}#{self._ordinals[kind]}"
        if (in_the_stack or side == self._side) and moment not in self._known:
            with self._file.open("a") as file:
                file.write(moment + "\n")
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "frame-written" and side == "after":
            self._frames += 1
            self._ordinals.clear()


def run() -> list[str]:
    """Kill and resume until the session is finished; return the violated requirements."""
    with tempfile.TemporaryDirectory(prefix="dt-", dir=MEMORY_DISK) as name:
        base = Path(name)
        violations = []
        acknowledged: dict[tuple[str, int], int] = {}
        runs = 0
        while (
            status := _run_session(base / "killed", _killer(base), f"boot-{runs}")
        ) == -signal.SIGKILL:
            runs += 1
            now = _frames(base / "killed")
            if not acknowledged.items() <= now.items():
                violations.append(f"run {runs}: an acknowledged frame has changed")
            acknowledged = now
        if status != ExitCode.OK:
            violations.append(f"the session ended with {status}")
        _run_session(base / "whole", lambda: no_crash, "boot")
        return violations + _compared(base, runs)


def _killer(base: Path) -> Callable[[], CrashPoint]:
    return lambda: Killer(base / "moments", len(_frames(base / "killed")))


def _run_session(folder: Path, crash_point: Callable[[], CrashPoint], boot_id: str) -> int:
    """Run the session in a fork; return its exit code, or the negative number of its signal."""
    child = os.fork()
    if child == 0:
        microscope = FakeMicroscope(
            boot_id, flipped_file=folder.with_name(f"{folder.name}-flipped")
        )
        session = open_session(folder, PROTOCOL, crash_point())
        os._exit(Run(session, microscope).go())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _frames(folder: Path) -> dict[tuple[str, int], int]:
    if not (folder / "journal.jsonl").exists():
        return {}
    lines = read_journal(folder / "journal.jsonl").lines
    return {
        (line.entry.series, line.entry.section): line.entry.crc32
        for line in lines
        if isinstance(line.entry, FrameWritten)
    }


def _compared(base: Path, runs: int) -> list[str]:
    violations = []
    for name in ("A.rawtlt", "B.rawtlt", "A.mrc", "B.mrc"):
        skip = 1024 if name.endswith("mrc") else 0
        killed, whole = ((base / run / name).read_bytes()[skip:] for run in ("killed", "whole"))
        if killed != whole:
            violations.append(f"{name} is not that of a session never killed")
    entries = [line.entry for line in read_journal(base / "killed" / "journal.jsonl").lines]
    written = [entry.step_id for entry in entries if isinstance(entry, FrameWritten)]
    requests = [entry.request_id for entry in entries if isinstance(entry, Exposing)]
    repeated = len(written) - len(set(written)) + len(requests) - len(set(requests))
    kinds = Counter(line.split("@")[0] for line in (base / "moments").read_text().split())
    print(f"kills: {runs} times kill -9: {dict(kinds.most_common())}")
    print(
        f"kills: {len(written)} of {TILTS} frames acknowledged, "
        f"{'bit for bit those of a session never killed' if not violations else 'DIFFERENT'}, "
        f"{len(entries)} journal entries, {repeated} repeated"
    )
    if len(written) != TILTS or repeated:
        violations.append(f"{len(written)} frames, {repeated} entries repeated")
    return violations
