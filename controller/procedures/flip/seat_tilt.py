"""Seat tilt of the flipped grid, from the heights of its targets, while series B is recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from controller.common.errors import DualtiltError
from controller.model.events import Level
from controller.model.stage import StagePosition
from controller.procedures.context import Context
from controller.session.folder import SessionFolder
from controller.session.grid_folder import GridFolder
from controller.session.journal import read_journal
from controller.session.ledger import replay
from controller.session.recovery import SERIES
from processing.images.seat_tilt import SeatTilt, fit_seat_tilt


@dataclass(frozen=True)
class TargetHeights:
    """Stage positions that brought one target to the eucentric height, before and after the flip.

    Attributes
    ----------
    errors_nm
        Estimates of the standard error of one height, each with one degree of freedom.
    """

    before: StagePosition
    after: StagePosition
    errors_nm: tuple[float, ...]


@dataclass(frozen=True)
class GridSeat:
    """Seat tilt of a grid, and the targets whose heights it was fitted to, in order."""

    names: tuple[str, ...]
    tilt: SeatTilt

    @property
    def line(self) -> str:
        """The seat tilt in one line."""
        direction = f", rising towards {self.tilt.rises_towards_deg:.0f} degrees from x to y"
        return (
            f"the heights of {len(self.names)} targets show a seat tilt of "
            f"{self.tilt.angle_deg:.2f} degrees (within {self.tilt.error_deg:.2f})"
            f"{direction if self.tilt.angle_deg > self.tilt.error_deg else ''}"
        )

    @property
    def doubts(self) -> dict[str, str]:
        """Doubt about each target whose height is off the plane of the others, by its name."""
        judged = zip(
            self.names,
            self.tilt.off_plane_nm,
            self.tilt.limits_nm,
            self.tilt.shares_of_limit,
            strict=True,
        )
        return {
            name: (
                f"{abs(off_nm):.0f} nm {'above' if off_nm > 0 else 'below'} the plane of the other "
                f"targets, more than the {limit_nm:.0f} nm that errors explain: its height is "
                "wrong, or it moved on its film"
            )
            for name, off_nm, limit_nm, share in judged
            if share > 1.0
        }


def report_seat_tilt(context: Context, step_id: str) -> None:
    """Log the seat tilt that all targets show so far; warn if the present one is off the plane."""
    grid = GridFolder.of_member(context.session.folder.path)
    seat = find_seat_tilt(
        read_heights(grid, (each.name for each in context.protocol.targets or ()))
    )
    if seat is None:
        return
    context.alert(Level.INFO, seat.line, step_id)
    if doubt := seat.doubts.get(context.protocol.target or ""):
        context.alert(Level.WARNING, doubt, step_id)


def find_seat_tilt(heights: Mapping[str, TargetHeights]) -> GridSeat | None:
    """Fit the seat tilt to the heights of targets; None if they do not tell it."""
    targets = list(heights.values())
    # what a stage position brings to the tilt axis lies at its opposite
    places_nm = np.array([(-each.after.x_nm, -each.after.y_nm) for each in targets]).reshape(-1, 2)
    sums_nm = np.array([-each.before.z_nm - each.after.z_nm for each in targets])
    # a sum of two heights has twice the variance of one
    variances_nm2 = np.array([2 * error**2 for each in targets for error in each.errors_nm])
    tilt = fit_seat_tilt(places_nm, sums_nm, variances_nm2)
    return None if tilt is None else GridSeat(tuple(heights), tilt)


def read_heights(grid: GridFolder, names: Iterable[str]) -> dict[str, TargetHeights]:
    """Read the heights of the targets that were recognised after the flip, from their journals.

    A target without both heights, or whose journal cannot be read, is left out.
    """
    found = {name: _heights(grid.target(name)) for name in names}
    return {name: heights for name, heights in found.items() if heights is not None}


def _heights(folder: SessionFolder) -> TargetHeights | None:
    try:
        ledger = replay(line.entry for line in read_journal(folder.journal).lines)
    except DualtiltError:  # not begun, or damaged: its own session says so
        return None
    before, after = (ledger.heights.get(series) for series in SERIES)
    if ledger.flip is None or before is None or after is None:
        return None
    if before.stage is None or after.stage is None:
        return None
    errors_nm = (before.error_nm, after.error_nm)
    known_nm = tuple(error for error in errors_nm if error is not None)
    return TargetHeights(before.stage, after.stage, known_nm)
