"""Verdict on the live residuals of a series: steady, from several tilts."""

from __future__ import annotations

from controller.service.session_status import RESIDUAL_LIMIT_PX, SeriesStatus

IN_A_ROW = 3
"""Number of tilts in a row that changes the verdict, to bad and back to good."""
FIRST_TILTS = 8
"""Tilts whose residuals are not judged: the live volume has too few images to compare with."""


def too_early(series: SeriesStatus) -> bool:
    """Return True if the newest residual is not judged."""
    return not _judged(series)


def high_in_a_row(series: SeriesStatus) -> int:
    """Return the number of newest tilts in a row whose live residual is above the limit."""
    above = [residual_px > RESIDUAL_LIMIT_PX for residual_px in _judged(series)]
    return next((n for n, high in enumerate(reversed(above)) if not high), len(above))


def fits_badly(series: SeriesStatus) -> bool:
    """Return True from several high residuals in a row until as many in a row are low again.

    A frame that has no residual yet changes nothing.
    """
    bad, differing = False, 0
    for residual_px in _judged(series):
        differing = differing + 1 if (residual_px > RESIDUAL_LIMIT_PX) is not bad else 0
        if differing == IN_A_ROW:
            bad, differing = not bad, 0
    return bad


def _judged(series: SeriesStatus) -> list[float]:
    """Return the residuals that are judged (px), in order of recording."""
    known = [tilt.residual_px for tilt in series.tilts if tilt.residual_px is not None]
    return known[FIRST_TILTS:]
