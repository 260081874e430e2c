"""Alignment of images in which a neighbour overlaps the object, from the clear images outwards.

The neighbour cannot be masked there, and the object's place is uncertain. The object and its
neighbour are therefore reconstructed together, from all images that are aligned already and in a
region larger than the field. The images next to these in tilt are aligned to its re-projections.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from processing.align.alignment import Alignment, in_raw_frame
from processing.align.matching import (
    DETAIL_BAND,
    SIRT_ITERATIONS,
    WIDE_BAND,
    low_correlation,
    reduced,
    scaled,
)
from processing.align.padding import pad_aligned, padding_px
from processing.images.shift import shifts_in_bands
from processing.reconstruct.projector import Projector
from processing.reconstruct.sirt import sirt
from processing.series import Bools, Float32, Float64, TiltSeries

Indices = NDArray[np.intp]

COARSE_COLUMNS = 64
"""Width to which images are reduced while further images are aligned."""
FINE_COLUMNS = 128
"""Largest width of the images when all are refined."""
STEP = 2.2
"""Images aligned at a time: those up to this many smallest tilt steps from an aligned one."""
NEAREST = 5
"""Images nearest in tilt whose median shift is the first estimate."""
TRIES = 2
"""Comparisons with one re-projection: the second starts at the shift that the first found."""
ROUNDS = 3
"""Rounds in which all images are refined."""


@dataclass(frozen=True)
class _Displacement:
    """Displacement of images from their re-projections, pixels [n, (y, x)], raw frame."""

    shifts_px: Float64
    detail_correlation: Float64


def align_outward(whole: TiltSeries, start: Alignment, usable: Bools) -> Alignment:
    """Align all usable images, starting from those that `start` does not reject.

    Parameters
    ----------
    whole
        Images of the whole field without background and proportional to thickness.
    start
        Alignment of the clear images.
    usable
        Images that may be aligned, [tilt]; the others are rejected.
    """
    coarse, fine = (max(1.0, whole.images.shape[2] / n) for n in (COARSE_COLUMNS, FINE_COLUMNS))
    placed = _placed_outward(reduced(whole, coarse), scaled(start, 1 / coarse), usable)
    placed = replace(placed, shifts_px=placed.shifts_px * coarse / fine)
    return scaled(_refined(reduced(whole, fine), placed, usable), fine)


def _placed_outward(series: TiltSeries, alignment: Alignment, usable: Bools) -> Alignment:
    """Align the rejected images, those nearest in tilt to an aligned one first."""
    angles, waiting = alignment.angles_deg, usable & alignment.rejected
    while waiting.any():
        placed = np.flatnonzero(~alignment.rejected)
        distance_deg = np.abs(angles[:, None] - angles[placed]).min(axis=1)
        step_deg = max(float(distance_deg[waiting].min()), 0.1)
        chosen = np.flatnonzero(waiting & (distance_deg <= STEP * step_deg))
        nearest = placed[np.argsort(np.abs(angles[chosen, None] - angles[placed]), axis=1)]
        shifts_px = alignment.shifts_px.copy()
        shifts_px[chosen] = np.median(shifts_px[nearest[:, :NEAREST]], axis=1)
        alignment = replace(alignment, shifts_px=shifts_px)
        volume = _reconstructed(series, alignment, placed)
        for _ in range(TRIES):
            shifts_px = alignment.shifts_px.copy()
            shifts_px[chosen] += _displacement(series, alignment, volume, chosen).shifts_px
            alignment = replace(alignment, shifts_px=shifts_px)
        waiting[chosen] = False
        rejected = alignment.rejected.copy()
        rejected[chosen] = False
        alignment = replace(alignment, rejected=rejected)
    return alignment


def _refined(series: TiltSeries, alignment: Alignment, usable: Bools) -> Alignment:
    """Compare all usable images with re-projections; reject those that do not fit the others."""
    chosen = np.flatnonzero(usable)
    for _ in range(ROUNDS):
        volume = _reconstructed(series, alignment, np.flatnonzero(~alignment.rejected))
        found = _displacement(series, alignment, volume, chosen)
        shifts_px, residuals_px = alignment.shifts_px.copy(), np.zeros(series.tilts)
        shifts_px[chosen] += found.shifts_px
        residuals_px[chosen] = np.hypot(*found.shifts_px.T)
        rejected = ~usable
        rejected[chosen] = low_correlation(
            found.detail_correlation, series.angles_deg[chosen], np.ones(len(chosen), bool)
        )
        alignment = replace(
            alignment, shifts_px=shifts_px, residuals_px=residuals_px, rejected=rejected
        )
    return alignment


def _reconstructed(series: TiltSeries, alignment: Alignment, chosen: Indices) -> Float32:
    padded = pad_aligned(series, alignment, chosen)
    columns = padded.series.images.shape[2]
    projector = Projector(padded.series.angles_rad, columns, series.images.shape[2])
    images = padded.series.images
    return sirt(projector, images, SIRT_ITERATIONS, known=padded.known, momentum=True)


def _displacement(
    series: TiltSeries, alignment: Alignment, volume: Float32, chosen: Indices
) -> _Displacement:
    padded = pad_aligned(series, alignment, chosen)
    projector = Projector(padded.series.angles_rad, volume.shape[2], volume.shape[0])
    rows, columns = padding_px(series.images.shape[1:])
    field = np.s_[:, rows:-rows, columns:-columns]
    shown = (projector.forward(volume) * padded.known)[field]
    images, limit_px = padded.series.images[field], series.images.shape[2] / 8
    whole, details = shifts_in_bands(images, shown, (WIDE_BAND, DETAIL_BAND), limit_px)
    moved_px = in_raw_frame(whole.shifts_px, alignment.tilt_axis_deg)
    return _Displacement(moved_px, details.scores)
