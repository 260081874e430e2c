"""Direction of the tilt axis in the images, as recording programs note it.

SerialEM and IMOD count the angle from the image's +y counterclockwise, towards -x, and so does
dualtilt. SerialEM's RotationAngle is larger by 90 degrees. In mdocs of Thermo Fisher's Tomography,
RotationAngle is the axis, and TiltAxisAngle in the title is counted from another direction.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from processing.files.compressed import plain_name
from processing.files.mdoc import Mdoc
from processing.files.said import SaidValue
from processing.files.text import read_text, to_number

TITLE_AXIS = re.compile(r"tilt\s+axis\s+angle[^-+\d=:]*[=:]\s*([-+]?\d+(?:[.,]\d+)?)", re.I)
THERMO_TITLE = re.compile(r"^tomography|TiltAxisAngle", re.I)
"""Titles of Thermo Fisher's Tomography, such as ``TiltAxisAngle = -171.35 Binning = 1``."""
SERIALEM_ROTATION_DEG = 90.0
AGREE_DEG = 5.0


def axis_of_titles(titles: Sequence[str]) -> list[float]:
    """Return the axis angles in titles such as ``Tilt axis angle = 84.8, binning = 1``."""
    return [to_number(found[1]) for title in titles if (found := TITLE_AXIS.search(title))]


def axis_titles(tilt_axis_deg: float) -> tuple[str, ...]:
    """Return the title of an mdoc that says the axis, as IMOD reads it; none for 0 degrees."""
    return (f"Tilt axis angle = {tilt_axis_deg:g}",) if tilt_axis_deg else ()


def axis_of_log(path: Path) -> list[SaidValue]:
    """Return the axis angle in the text that FEI's programs write beside a stack, A.txt."""
    log = plain_name(path).with_suffix(".txt")
    if not log.is_file() or log == path:
        return []
    return [SaidValue(log.name, axis) for axis in axis_of_titles(read_text(log).splitlines())[:1]]


def axis_of_mdoc(mdoc: Mdoc, source: str) -> list[SaidValue]:
    """Return the axis of an mdoc's titles, then that of its RotationAngle, which 0 leaves open."""
    said = [
        SaidValue(f"the title of {source}", axis) for axis in axis_of_titles(mdoc.header.titles)
    ]
    rotations = {section.rotation_angle_deg for section in mdoc.sections}
    if len(rotations) == 1 and (rotation := rotations.pop()):
        thermo = any(THERMO_TITLE.search(title) for title in mdoc.header.titles)
        axis = rotation if thermo else rotation - SERIALEM_ROTATION_DEG
        said.append(SaidValue(f"RotationAngle in {source}", axis))
    return said


def choose_axis(said: Sequence[SaidValue]) -> tuple[SaidValue | None, list[str]]:
    """Return the first axis, and a note for each that is another line in the image."""
    if not said:
        return None, []
    first = said[0]
    notes = [
        f"tilt axis {first.value:.1f} degrees by {first.source}, but {other.value:.1f} by "
        f"{other.source}; the first is used"
        for other in said[1:]
        if abs(between_lines(other.value - first.value)) > AGREE_DEG
    ]
    return first, notes


def between_lines(difference_deg: float) -> float:
    """Return the angle between two lines, -90 to 90 degrees: a line has no direction."""
    return (difference_deg + 90) % 180 - 90
