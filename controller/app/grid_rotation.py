"""Rotation by the flip that the particles of all targets show together."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from controller.procedures.flip.seat_tilt import GridSeat
from controller.service.queue_status import TargetRow
from controller.session.grid_folder import GridFolder
from processing.combine.common_rotation import (
    LARGEST_DEVIATION_DEG,
    CommonRotation,
    find_common_rotation,
)
from processing.errors import InputFileError
from processing.pipeline.results_folder import read_summary


@dataclass(frozen=True)
class GridRotation:
    """Finding for people.

    Attributes
    ----------
    line
        The common rotation in one line; empty if it is not known.
    doubts
        Doubt about each target that deviates from it, by its name.
    slopes
        Rise of the flipped grid along x and y, nm for each nm; None if it is not known.
    """

    line: str = ""
    doubts: dict[str, str] = field(default_factory=dict)
    slopes: tuple[float, float] | None = None

    def compared_with(self, seat: GridSeat) -> str:
        """Return the seat tilt from heights, and whether the results show the same one."""
        if self.slopes is None:
            return seat.line
        apart_deg = float(
            np.degrees(np.arctan(np.hypot(*np.subtract(self.slopes, seat.tilt.slopes))))
        )
        if apart_deg <= seat.tilt.error_deg + LARGEST_DEVIATION_DEG:
            return f"{seat.line}, as the particles do ({apart_deg:.2f} degrees apart)"
        return (
            f"{seat.line}, but the particles show one that is {apart_deg:.2f} degrees apart: "
            "heights, or the angles or axis of a series, are wrong"
        )


def read_grid_rotation(grid: GridFolder, rows: Sequence[TargetRow]) -> GridRotation:
    """Compare the rotation from B to A of all targets with results of both series."""
    matrices: dict[str, np.ndarray] = {}
    for row in rows:
        if row.count_fused is None:
            continue
        with contextlib.suppress(InputFileError, OSError):  # it is being made again
            registration = read_summary(grid.target(row.name).path).registration
            if registration is not None:
                matrices[row.name] = np.array(registration.matrix)
    common = find_common_rotation(list(matrices.values()))
    return GridRotation() if common is None else describe_rotation(common, list(matrices))


def describe_rotation(common: CommonRotation, names: Sequence[str]) -> GridRotation:
    """Return the common rotation and the targets that deviate from it, in words."""
    largest_deg = max(
        deviation
        for deviation, agrees in zip(common.deviations_deg, common.agrees, strict=True)
        if agrees
    )
    line = (
        f"the particles of {sum(common.agrees)} of {len(names)} targets show the same rotation "
        f"within {largest_deg:.1f} degrees: {common.in_plane_deg:.1f} degrees in the plane, tilted "
        f"by {common.seat_tilt_deg:.1f} degrees"
    )
    doubts = {
        name: (
            f"B is rotated against A {deviation:.1f} degrees otherwise than on the other targets: "
            "another assembly, wrong angles or axis in one series, or it moved on its film"
        )
        for name, deviation, agrees in zip(names, common.deviations_deg, common.agrees, strict=True)
        if not agrees
    }
    return GridRotation(line, doubts, common.slopes)
