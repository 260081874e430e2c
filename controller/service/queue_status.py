"""Status of a queue of targets on one grid, as its folder shows it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Self

from controller.common.bounded_read import read_whole
from controller.common.open_inside import open_inside
from controller.model.base import Data, Which
from controller.model.events import State
from controller.service.session_status import CountPoint, SessionStatus
from controller.service.status_file import last_status
from controller.session.grid_folder import GridFolder
from controller.session.queue_journal import TargetState

FUSING = "fusing"
"""State of a target whose results are being made."""
FLIP_NAME = "flip of the grid"
"""Name of the session that flips the grid, for people."""


class TargetRow(Data):
    """One target in the tables; unknown values are None or empty."""

    name: str
    state: str
    folder: str
    """Folder of its session, relative to that of the grid."""
    frames_a: int = 0
    frames_b: int = 0
    count_a: int | None = None
    count_b: int | None = None
    count_fused: int | None = None
    fused_low: int | None = None
    fused_high: int | None = None
    """Interval of the fused count, of 95 % if the count is trusted."""
    verdict: str = ""
    dose_e_per_A2: float = 0.0
    reason: str = ""
    has_report: bool = False

    @property
    def fused(self) -> str:
        """Fused count with its interval; the interval only if the count is trusted."""
        if self.count_fused is None:
            return ""
        if self.verdict not in ("", "trusted"):
            return f"{self.count_fused} (no interval)"
        return f"{self.count_fused} ({self.fused_low} to {self.fused_high})"

    def with_session(self, status: SessionStatus) -> Self:
        """Return the row with the frames, final counts and dose of the target's session.

        The state is `FUSING` while its results are being made.
        """

        def final(name: Which) -> CountPoint | None:
            known = status.counts.get(name)
            return None if known is None or known.live else known.latest

        a, b, fused = final("A"), final("B"), final("fused")
        fusing = self.state == TargetState.B_RECORDED and status.state is State.RUNNING
        verdict = fused.verdict if fused is not None else None
        return self.model_copy(
            update={
                "state": FUSING if fusing else self.state,
                "frames_a": len(status.series["A"].tilts),
                "frames_b": len(status.series["B"].tilts),
                "count_a": a.n if a else None,
                "count_b": b.n if b else None,
                "count_fused": fused.n if fused else None,
                "fused_low": fused.n_low if fused else None,
                "fused_high": fused.n_high if fused else None,
                "verdict": str(verdict.state) if verdict else "",
                "dose_e_per_A2": status.dose_e_per_A2,
            }
        )


class QueueStatus(Data):
    """Status of the queue, as queue-status.json."""

    name: str
    flip: str
    """Finding of the flip in one line; empty before it."""
    rotation: str = ""
    """Rotation by the flip that the particles show, in one line; empty until it is known."""
    seat_tilt: str = ""
    """Seat tilt that the heights of the targets show, in one line; empty until it is known."""
    targets: tuple[TargetRow, ...]


class QueueView(Data):
    """A queue as one of its sessions shows it."""

    status: QueueStatus
    present: str
    """Name of the target whose session this is; empty during the flip of the grid."""
    stops: bool
    """True if the queue stops after this session."""

    @property
    def place(self) -> str:
        """Place of this session in the queue, for the first line of the screen."""
        names = [each.name for each in self.status.targets]
        if self.present not in names:
            return FLIP_NAME
        return f"{self.present} {names.index(self.present) + 1}/{len(names)}"


def queue_around(session: Path) -> QueueView | None:
    """Return the queue to which a session belongs; None for a single session."""
    session = session.absolute()
    grid = GridFolder.of_member(session)
    with contextlib.suppress(OSError, ValueError), open_inside(grid.path, grid.status.name) as file:
        status = QueueStatus.model_validate_json(read_whole(file))
        members = {grid.target(each.name).path: each.name for each in status.targets}
        members[grid.flip.path] = ""
        if session in members:
            stops = grid.stop_request.exists()
            rows = tuple(_with_results(grid, row) for row in status.targets)
            status = status.model_copy(update={"targets": rows})
            return QueueView(status=status, present=members[session], stops=stops)
    return None


def _with_results(grid: GridFolder, row: TargetRow) -> TargetRow:
    """Return the row of a target; with the newest results where they are being made."""
    if row.state not in (TargetState.B_RECORDED, FUSING):
        return row
    status = last_status(grid.target(row.name).path)
    recorded = row.model_copy(update={"state": TargetState.B_RECORDED.value})
    return recorded if status is None else recorded.with_session(status)


def stop_after_target(session: Path) -> None:
    """Ask the queue of a session to stop when this session has ended."""
    GridFolder.of_member(session.absolute()).stop_request.touch()


def go_on_after_target(session: Path) -> None:
    """Withdraw the request to stop after this session."""
    GridFolder.of_member(session.absolute()).stop_request.unlink(missing_ok=True)
