"""A session of 12 tilts with service, log and processing children, in a fork of this process.

The microscope is a fake whose beam and dose lie in shared memory, so that they can be read after
the process has ended in whatever way.
"""

from __future__ import annotations

import mmap
import os
import pickle
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

from controller.app import session_process
from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.hardware.interface import Frame
from controller.model.commands import Answer
from controller.model.events import Event, PromptOpened, Publish
from controller.model.scan import ScanSettings
from controller.procedures import context
from controller.procedures.flip import check_flip
from controller.session.folder import SessionFolder
from controller.worker.supervisor import Supervisor
from processing.files.atomic import replace_text
from tests.support.fake_microscope import FakeMicroscope

PROTOCOL = """
name = "injected"
[scan]
width_px = 32
height_px = 32
pixel_nm = 1.5
dwell_us = 10.0
[shower]
duration_s = 20.0
tilts_deg = [0.0]
[series_a]
start_deg = -30.0
stop_deg = 30.0
step_deg = 10.0
[series_b]
start_deg = -20.0
stop_deg = 20.0
step_deg = 10.0
[limits]
dose_budget_e_per_A2 = 1e9
free_disk_margin = 1.0
[tracking]
settle_s = 0.0
[flip]
answers_itself = true
"""
TILTS = 12
CHILD = 'while read -r task; do echo \'{"kind":"ended"}\'; done'
"""Processing child that ends every task at once."""
PATIENCE_S, IMPATIENCE_S = 60.0, 4.0
"""Wait for the end of a session that must end by itself, and of one that may hang (s)."""
KILL_AFTER_S = 5.0
"""Time between SIGTERM and SIGKILL for a session that does not end (s)."""


class Beam:
    """State of the beam and dose of one specimen, in memory that outlives a process."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 16)
        self.blanked = True

    @property
    def blanked(self) -> bool:
        """Blanker closed."""
        return bool(self._memory[8])

    @blanked.setter
    def blanked(self, blanked: bool) -> None:
        self._memory[8] = blanked

    @property
    def dose_e_per_A2(self) -> float:
        """Dose that has reached the specimen."""
        return float(struct.unpack("d", self._memory[:8])[0])

    def expose(self, dose_e_per_A2: float) -> None:
        """Add a dose."""
        self._memory[:8] = struct.pack("d", self.dose_e_per_A2 + dose_e_per_A2)


class MeteredMicroscope(FakeMicroscope):
    """Fake microscope that notes beam and dose in shared memory."""

    def __init__(self, beam: Beam, boot_id: str, flipped_file: Path) -> None:
        self._beam = beam
        super().__init__(boot_id, flipped_file=flipped_file)

    @property
    def blanked(self) -> bool:
        return self._beam.blanked

    @blanked.setter
    def blanked(self, blanked: bool) -> None:
        self._beam.blanked = blanked

    def _acquire(self, action: str, request_id: str, scan: ScanSettings) -> Frame:
        self._beam.expose(scan.dose_e_per_A2(self.current_pA))
        return super()._acquire(action, request_id, scan)

    def _illuminate(self, request_id: str, duration_s: float, field_nm: float) -> float:
        dose = super()._illuminate(request_id, duration_s, field_nm)
        self._beam.expose(dose)
        return dose


Injection = Callable[[], AbstractContextManager[object]]


def run_in_fork(
    folder: Path,
    beam: Beam,
    boot_id: str,
    injection: Injection = nullcontext,
    *,
    patient: bool = True,
) -> int:
    """Run or resume the session in a fork; return its exit code, or minus the signal.

    A session that does not end by itself is stopped as an operator does: SIGTERM, then SIGKILL.
    """
    child = os.fork()
    if child == 0:
        _run_and_exit(folder, beam, boot_id, injection)
    first_s = PATIENCE_S if patient else IMPATIENCE_S
    for wait_s, number in ((first_s, signal.SIGTERM), (KILL_AFTER_S, signal.SIGKILL)):
        status = _wait(child, wait_s)
        if status is not None:
            return status
        os.kill(child, number)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _wait(child: int, timeout_s: float) -> int | None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    return None


def _run_and_exit(folder: Path, beam: Beam, boot_id: str, injection: Injection) -> None:
    """Run the session process's own main function with the fake, and end the fork."""
    log = folder.with_name(f"{folder.name}.log").open("a")
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    if not folder.exists():
        SessionFolder.create(folder, PROTOCOL)
    microscope = MeteredMicroscope(beam, boot_id, folder.with_name(f"{folder.name}-flipped"))
    _replace_heavy_parts(microscope)
    sys.argv = ["session", str(folder), "--bridge", "bridge.json"]
    code = int(ExitCode.INTERNAL_ERROR)
    try:
        with injection():
            code = session_process.main()
    except BaseException:  # noqa: BLE001 -- as the interpreter does
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


_matched = mmap.mmap(-1, 1 << 20)
"""Result of the flip check of the first session; the images of all sessions are the same."""
_match_flip = check_flip.match_flip


def _match_once(*args: Any, **options: Any) -> Any:
    size = struct.unpack("q", _matched[:8])[0]
    if size:
        return pickle.loads(_matched[8 : 8 + size])
    result = _match_flip(*args, **options)
    content = pickle.dumps(result)
    _matched[8 : 8 + len(content)] = content
    _matched[:8] = struct.pack("q", len(content))
    return result


def _replace_heavy_parts(microscope: FakeMicroscope) -> None:
    """Replace bridge, operator, processing, report and flip check of the session by light ones."""
    parts: Any = session_process
    parts.connect = lambda connection_file, holder, limits: microscope
    parts.Supervisor = partial(Supervisor, command=lambda role: ["sh", "-c", CHILD])
    parts._demo_operator = lambda folder, engine: lambda event: _answer(event, engine())
    parts._write_report = _write_report
    context.RETRY_WRITE_AFTER_S = 0.05
    lighter: Any = check_flip
    lighter.match_flip = _match_once


def _answer(event: Event, engine: Engine) -> None:
    if isinstance(event, PromptOpened):
        engine.answer(Answer(prompt_id=event.prompt.id, value=event.prompt.choices[0]))


def _write_report(path: Path, publish: Publish) -> Path:
    report = path / "report.html"
    replace_text(report, "<html></html>")
    return report
