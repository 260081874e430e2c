"""Sessions of a grid with several targets: their folders, their processes and how they ended."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from controller.app.detached_process import exit_code_of, run_results_process
from controller.app.run_queue import Outcome
from controller.app.start_session import EndedEarlyError, start, watch
from controller.common.errors import DualtiltError
from controller.common.exit_codes import ExitCode
from controller.model.base import SeriesName
from controller.model.protocol import Protocol
from controller.model.steps import FLIP_STEP_ID, tilt_id
from controller.model.target_order import shortest_order
from controller.model.targets import Target
from controller.procedures.tracking.stage_image import centring_position
from controller.service.service_address import NoSessionError
from controller.service.session_client import ServiceClient, exit_code_after
from controller.service.status_file import last_status
from controller.session.entries import StepDone
from controller.session.errors import SessionInUseError
from controller.session.folder import SessionFolder
from controller.session.folder_lock import FolderLock
from controller.session.grid_folder import GridFolder
from controller.session.journal import read_journal
from controller.session.ledger import Ledger, replay
from controller.session.queue_journal import GridFlipped
from controller.session.read_plain import read_plain

LEAVE_AFTER_S = 2.0
"""Time that the screen shows the end of a session before the next one begins (s)."""
FOLLOW_INTERVAL_S = 0.5
"""Interval at which a results process of an earlier queue is looked at (s)."""
PREFLIGHT_ID = "preflight"


class GridSessions:
    """Sessions of a grid in processes of their own, one at a time.

    Parameters
    ----------
    grid, protocol
        Folder and protocol of the grid.
    bridge
        Connection file of the microscope's bridge; None on the simulator.
    headless
        True to print text instead of showing the screen.
    """

    def __init__(
        self, grid: GridFolder, protocol: Protocol, bridge: Path | None, *, headless: bool
    ) -> None:
        self._grid = grid
        self._protocol = protocol
        self._bridge = bridge
        self._headless = headless

    def run_target(self, name: str) -> Outcome:
        """Run or resume a target's session until it waits for the flip, or to its end."""
        protocol = self._protocol.of_target(name)
        text = f'target = "{name}"\n{read_plain(self._grid.protocol).decode()}'
        return self._run(self._grid.target(name), text, protocol)

    def run_flip(self, recorded: tuple[str, ...]) -> tuple[Outcome, GridFlipped | None]:
        """Flip the grid and find the recorded targets again."""
        targets = {each.name: each for each in self._protocol.targets or ()}
        self._grid.write_positions({name: self._position_nm(targets[name]) for name in recorded})
        text = read_plain(self._grid.protocol).decode()
        outcome = self._run(self._grid.flip, text, self._protocol)
        found = self._grid.read_found()
        if FLIP_STEP_ID not in _ledger(self._grid.flip).completed or found is None:
            return outcome, None
        places = [found.places_nm[name][0] for name in recorded]
        order = tuple(recorded[index] for index in shortest_order(places))
        return outcome, GridFlipped(order=order, detail=found.detail)

    def make_results(self, name: str) -> Outcome:
        """Fuse and count a target with both series in a process of its own, and wait for it."""
        folder = self._grid.target(name)
        _wait_until_unused(folder)
        code = run_results_process(folder)
        status = last_status(folder.path)
        return Outcome(code, status.reason if status is not None else "")

    def _position_nm(self, target: Target) -> tuple[float, float]:
        """Return the stage position (x, y) that centres a target before the flip (nm).

        Measured in the frame nearest to 0 degrees; without one, the position in the protocol.
        """
        frames = _ledger(self._grid.target(target.name)).frames_with_object("A")
        flattest = min(frames, key=lambda frame: abs(frame.nominal_deg), default=None)
        if flattest is None:
            return target.x_nm, target.y_nm
        stage = flattest.info.stage
        if flattest.offset_px is not None:
            pixel_nm = flattest.info.scan.pixel_nm
            axis_deg = self._protocol.column.tilt_axis_deg
            stage = centring_position(stage, flattest.offset_px, pixel_nm, axis_deg)
        return stage.x_nm, stage.y_nm

    def _run(self, folder: SessionFolder, protocol_text: str, protocol: Protocol) -> Outcome:
        if not folder.journal.exists():
            SessionFolder.create(folder.path, protocol_text)
        passed = _preflights(folder)
        try:
            code = self._run_process(folder)
        except EndedEarlyError as error:
            return Outcome(error.exit_code, str(error), began=False)
        status = last_status(folder.path)
        ledger = _ledger(folder)
        return Outcome(
            exit_code=code,
            reason=status.reason if status is not None else "",
            began=_preflights(folder) > passed,
            recorded=frozenset(_complete(ledger, protocol)),
        )

    def _run_process(self, folder: SessionFolder) -> ExitCode | None:
        """Start the session's process, or follow the one that still runs; return its exit code."""
        while not _is_served(folder):
            if not _is_used(folder):
                process = start(folder, self._bridge)
                self._watch(folder)
                return exit_code_of(process)
            time.sleep(FOLLOW_INTERVAL_S)  # that of a killed queue is just starting or ending
        # the queue was killed, this session was not
        self._watch(folder)
        status = last_status(folder.path)
        return None if status is None else exit_code_after(folder.path, status)

    def _watch(self, folder: SessionFolder) -> None:
        # the exit code says how it ended; Ctrl-C has stopped it
        with contextlib.suppress(DualtiltError, KeyboardInterrupt):
            watch(folder, headless=self._headless, leave_when_ended_s=LEAVE_AFTER_S)


def _wait_until_unused(folder: SessionFolder) -> None:
    """Wait until no run uses a folder: the results process of a queue that was killed goes on."""
    while _is_used(folder):
        time.sleep(FOLLOW_INTERVAL_S)


def _is_used(folder: SessionFolder) -> bool:
    """Tell whether a run uses a folder."""
    try:
        FolderLock(folder).release()
    except SessionInUseError:
        return True
    return False


def _is_served(folder: SessionFolder) -> bool:
    """Tell whether a session runs in a folder and takes commands."""
    try:
        ServiceClient.connect(folder.path, read_only=True).close()
    except NoSessionError:
        return False
    return True


def _ledger(folder: SessionFolder) -> Ledger:
    if not folder.journal.exists():
        return Ledger()
    return replay(line.entry for line in read_journal(folder.journal).lines)


def _preflights(folder: SessionFolder) -> int:
    """Count the runs of a session that passed its pre-flight checks."""
    if not folder.journal.exists():
        return 0
    entries = (line.entry for line in read_journal(folder.journal).lines)
    return sum(isinstance(each, StepDone) and each.step_id == PREFLIGHT_ID for each in entries)


def _complete(ledger: Ledger, protocol: Protocol) -> Iterator[SeriesName]:
    """Give the series whose tilts are all recorded or skipped."""
    names: tuple[SeriesName, ...] = ("A", "B")
    for name in names:
        tilts = range(1, len(protocol.series(name).tilts_deg) + 1)
        if all(tilt_id(name, number) in ledger.completed for number in tilts):
            yield name
