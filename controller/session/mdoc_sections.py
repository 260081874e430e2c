"""Sections of a session's own mdoc: they show what a journal that lost lines no longer says."""

from __future__ import annotations

import math
from datetime import datetime

from controller.common.bounded_read import SMALL_FILE_BYTES
from controller.model.base import SeriesName
from controller.session.folder import SessionFolder
from processing.errors import InputFileError
from processing.files.mdoc import MdocSection, read_mdoc

LARGEST_TILT_DEG = 90.0


def mdoc_sections(folder: SessionFolder, series: SeriesName) -> dict[int, MdocSection]:
    """Return the sections of an mdoc that can be believed; the others are as good as missing."""
    path = folder.mdoc(series)
    if not path.exists() or path.stat().st_size > SMALL_FILE_BYTES:
        return {}
    try:
        found = read_mdoc(path).sections
    except InputFileError:
        return {}
    return {image.section: image for image in found if _is_believable(image)}


def _is_believable(mdoc: MdocSection) -> bool:
    """Tell whether the numbers of a section are those of a tilt."""
    numbers = (mdoc.stage_x_um, mdoc.stage_y_um, mdoc.stage_z_um, mdoc.probe_current_pA)
    try:
        doses = (prior_dose(mdoc), mdoc.dose_e_per_A2 or 0.0)
        recorded_at(mdoc)
    except ValueError:
        return False
    return (
        abs(mdoc.tilt_angle_deg) <= LARGEST_TILT_DEG
        and all(math.isfinite(number or 0.0) for number in numbers)
        and all(0.0 <= dose < math.inf for dose in doses)
    )


def recorded_at(mdoc: MdocSection) -> str:
    """Return the time of recording, ISO 8601; raise ValueError if it is no time."""
    taken = datetime.strptime(mdoc.date_time or "01-Jan-70  00:00:00", "%d-%b-%y  %H:%M:%S")
    return taken.astimezone().isoformat(timespec="seconds")


def prior_dose(mdoc: MdocSection) -> float:
    """Return the dose before the frame (e/Å²); raise ValueError if it is no number."""
    return float(mdoc.extra.get("PriorRecordDose", 0.0))
