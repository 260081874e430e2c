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
from controller.engine import Engine, disk_alarm
from controller.hardware.interface import Frame
from controller.model.commands import Answer
from controller.model.events import Alerted, Event, PromptOpened, Publish, State, StateChanged
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
PATIENCE_S, IMPATIENCE_S = 60.0, 10.0
"""Longest wait for the end of a session that must end by itself, and of one that may hang (s)."""
PAUSED_FOR_S = 0.3
"""Time from the first pause of a session that may hang to its SIGTERM (s)."""
KILL_AFTER_S, KILL_HUNG_AFTER_S = 5.0, 1.0
"""Time from SIGTERM to SIGKILL of a session that does not end, and of one that hangs (s)."""
SILENT_AFTER_S = 0.5
"""Time after which the disk counts as silent (s)."""


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
    def paused(self) -> bool:
        """True once the session has paused."""
        return bool(self._memory[9])

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._memory[9] = paused

    @property
    def alarmed(self) -> bool:
        """True once the session has said that its disk does not answer."""
        return bool(self._memory[10])

    @alarmed.setter
    def alarmed(self, alarmed: bool) -> None:
        self._memory[10] = alarmed

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
    if patient:
        status = _wait(child, PATIENCE_S)
    else:
        status = _wait(child, IMPATIENCE_S, lambda: beam.paused)
        status = _wait(child, PAUSED_FOR_S) if status is None else status
    if status is None:
        os.kill(child, signal.SIGTERM)
        status = _wait(child, KILL_HUNG_AFTER_S if beam.alarmed else KILL_AFTER_S)
    if status is None:
        os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status


def _wait(child: int, timeout_s: float, enough: Callable[[], bool] = lambda: False) -> int | None:
    """Return the exit status of a child that ends in time and before `enough`, else None."""
    deadline = time.monotonic() + timeout_s
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if enough() or time.monotonic() >= deadline:
            return None
        time.sleep(0.01)


def _run_and_exit(folder: Path, beam: Beam, boot_id: str, injection: Injection) -> None:
    """Run the session process's own main function with the fake, and end the fork."""
    log = folder.with_name(f"{folder.name}.log").open("a")
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    if not folder.exists():
        SessionFolder.create(folder, PROTOCOL)
    microscope = MeteredMicroscope(beam, boot_id, folder.with_name(f"{folder.name}-flipped"))
    _replace_heavy_parts(microscope, beam)
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


def _replace_heavy_parts(microscope: FakeMicroscope, beam: Beam) -> None:
    """Replace bridge, operator, processing, report and flip check of the session by light ones."""
    parts: Any = session_process
    parts.connect = lambda connection_file, holder, limits: microscope
    parts.Supervisor = partial(Supervisor, command=lambda role: ["sh", "-c", CHILD])
    parts._demo_operator = lambda folder, engine: lambda event: _answer(event, engine(), beam)
    parts.write_report = _write_report
    context.RETRY_WRITE_AFTER_S = 0.05
    disk_alarm.DISK_ANSWERS_WITHIN_S = SILENT_AFTER_S
    lighter: Any = check_flip
    lighter.match_flip = _match_once


def _answer(event: Event, engine: Engine, beam: Beam) -> None:
    if isinstance(event, StateChanged) and event.state is State.PAUSED:
        beam.paused = True
    if isinstance(event, Alerted) and event.text.startswith("disk does not answer"):
        beam.alarmed = True
    if isinstance(event, PromptOpened):
        engine.answer(Answer(prompt_id=event.prompt.id, value=event.prompt.choices[0]))


def _write_report(path: Path, protocol: object, publish: Publish) -> Path:
    report = path / "report.html"
    replace_text(report, "<html></html>", durable=False)
    return report
