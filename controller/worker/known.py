"""What counting has found out about a series' alignment, for the other children to go on from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from controller.model.base import SeriesName
from processing.align.alignment import Alignment
from processing.files.atomic import replace_text
from processing.series import TiltSeries


class KnownAlignment(BaseModel):
    """Shifts of some sections of a stack, in its pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sections: list[int]
    shifts_px: list[tuple[float, float]]
    """(y, x)."""
    residuals_px: list[float]
    rejected: list[bool]
    angles_deg: list[float]
    tilt_axis_deg: float

    @property
    def alignment(self) -> Alignment:
        """As processing takes it."""
        return Alignment(
            shifts_px=np.array(self.shifts_px, np.float64),
            tilt_axis_deg=self.tilt_axis_deg,
            angles_deg=np.array(self.angles_deg, np.float64),
            rejected=np.array(self.rejected, bool),
            residuals_px=np.array(self.residuals_px, np.float64),
        )

    def of_the_first(self, series: TiltSeries) -> Alignment | None:
        """The alignment, if it is that of the first images of this series, none left out."""
        first = self.sections == list(range(len(self.sections)))
        return self.alignment if first and len(self.sections) <= series.tilts else None


def keep_alignment(folder: Path, series: SeriesName, sections: list[int], found: Alignment) -> None:
    """Write what is known of the alignment of some sections of a series, whole or not at all."""
    known = KnownAlignment(
        sections=sections,
        shifts_px=[(float(y), float(x)) for y, x in found.shifts_px],
        residuals_px=found.residuals_px.tolist(),
        rejected=found.rejected.tolist(),
        angles_deg=found.angles_deg.tolist(),
        tilt_axis_deg=found.tilt_axis_deg,
    )
    path = _path(folder, series)
    path.parent.mkdir(exist_ok=True)
    replace_text(path, known.model_dump_json() + "\n")


def alignment_so_far(folder: Path, series: SeriesName) -> KnownAlignment | None:
    """What is known by now; None where it is nothing, or can not be read."""
    try:
        return KnownAlignment.model_validate_json(_path(folder, series).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None


def _path(folder: Path, series: SeriesName) -> Path:
    return folder / "processed" / f"{series}_live_alignment.json"
