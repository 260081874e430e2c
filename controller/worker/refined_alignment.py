"""Refined alignment of a series, written by the count child and used by the other children."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from controller.model.base import SeriesName
from processing.align.alignment import Alignment
from processing.files.atomic import make_folder, replace_text
from processing.files.held_folder import open_to_read
from processing.series import TiltSeries


class RefinedAlignment(BaseModel):
    """Alignment of some sections of a stack, in its pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sections: list[int]
    shifts_px: list[tuple[float, float]]
    """Shifts (y, x)."""
    residuals_px: list[float]
    rejected: list[bool]
    angles_deg: list[float]
    tilt_axis_deg: float

    @property
    def alignment(self) -> Alignment:
        """The alignment in the form that processing uses."""
        return Alignment(
            shifts_px=np.array(self.shifts_px, np.float64),
            tilt_axis_deg=self.tilt_axis_deg,
            angles_deg=np.array(self.angles_deg, np.float64),
            rejected=np.array(self.rejected, bool),
            residuals_px=np.array(self.residuals_px, np.float64),
        )

    def for_first_images(self, series: TiltSeries) -> Alignment | None:
        """Return the alignment if it covers the first images of this series without gaps."""
        first = self.sections == list(range(len(self.sections)))
        return self.alignment if first and len(self.sections) <= series.tilts else None


def write_refined_alignment(
    folder: Path, series: SeriesName, sections: list[int], found: Alignment
) -> None:
    """Write the alignment of some sections of a series, in one step."""
    refined = RefinedAlignment(
        sections=sections,
        shifts_px=[(float(y), float(x)) for y, x in found.shifts_px],
        residuals_px=found.residuals_px.tolist(),
        rejected=found.rejected.tolist(),
        angles_deg=found.angles_deg.tolist(),
        tilt_axis_deg=found.tilt_axis_deg,
    )
    path = _path(folder, series)
    make_folder(path.parent)
    replace_text(path, refined.model_dump_json() + "\n")


def read_refined_alignment(folder: Path, series: SeriesName) -> RefinedAlignment | None:
    """Read the latest refined alignment; None if there is none or it cannot be read."""
    try:
        with open_to_read(_path(folder, series)) as file:
            return RefinedAlignment.model_validate_json(file.read())
    except (OSError, ValidationError):
        return None


def _path(folder: Path, series: SeriesName) -> Path:
    return folder / "processed" / f"{series}_live_alignment.json"
