"""Rotation by the flip that the particles of all targets show together."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from controller.service.queue_status import TargetRow
from controller.session.grid_folder import GridFolder
from processing.combine.common_rotation import CommonRotation, find_common_rotation
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
    """

    line: str = ""
    doubts: dict[str, str] = field(default_factory=dict)

    def with_doubt(self, row: TargetRow) -> TargetRow:
        """Return the row of a target; its reason also says how the target deviates."""
        reasons = [each for each in (row.reason, self.doubts.get(row.name, "")) if each]
        return row.model_copy(update={"reason": "; ".join(reasons)})


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
    return GridRotation(line, doubts)
