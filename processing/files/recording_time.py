"""When each image of a series was recorded, by dose or by the clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import numpy as np

from processing.files.mdoc import Mdoc, MdocSection
from processing.series import Float64

DATE_FORMATS = ("%d-%b-%y  %H:%M:%S", "%d-%b-%Y  %H:%M:%S")
"""Formats of SerialEM, with two and with four digits of the year."""


def recorded_at(mdoc: Mdoc) -> Float64 | None:
    """Return the dose (e/A2) before each image, or else its time (s), in the order of the images.

    None if the sections tell neither of all images.
    """
    sections = sorted(mdoc.sections, key=lambda described: described.section)
    for told in (_dose_before, _seconds):
        values = _of_all(sections, told)
        if values is not None:
            return values
    return None


def _of_all(sections: list[MdocSection], told: Callable[[MdocSection], float]) -> Float64 | None:
    """Return the values of all sections; None if one is missing, or all are equal."""
    try:
        values = np.array([told(described) for described in sections])
    except (KeyError, ValueError):
        return None
    return values if len(values) and np.isfinite(values).all() and np.ptp(values) > 0 else None


def _dose_before(section: MdocSection) -> float:
    return float(section.extra["PriorRecordDose"])


def _seconds(section: MdocSection) -> float:
    """Return the time since an arbitrary date; raise ValueError if the section has none."""
    for date_format in DATE_FORMATS:
        try:
            taken = datetime.strptime(section.date_time or "", date_format)
        except ValueError:
            continue
        return (taken - datetime(2000, 1, 1)).total_seconds()
    raise ValueError("no date")
