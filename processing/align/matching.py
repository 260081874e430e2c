"""Projection matching: every image against the re-projection of what all of them reconstruct."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from processing.align.alignment import Alignment, apply_alignment, in_raw_frame
from processing.images.shift import Band, Shifts, find_shifts
from processing.progress import Progress, silent
from processing.reconstruct.projector import Projector
from processing.reconstruct.sirt import sirt
from processing.series import Bools, Float32, Float64, TiltSeries

SIRT_ITERATIONS = 6
"""With momentum. Few: a converged volume re-projects each image as it is, misplaced or not."""
WIDE_BAND = Band(1.5, 30.0)
"""Down to the object's outline, which neighbours far in angle still share."""
DETAIL_BAND = Band(1.5, 5.0)
"""Single particles: an image of something else with the same outline differs here."""
LOST_SHARE = 0.15
"""Of the object's mass outside the frame, beyond which an image spoils more than it tells."""
NEIGHBOURS = 7
"""Images in a row by angle, with which each is compared: likeness changes slowly with the tilt."""
FALLEN = 0.15
"""Of the likeness: true images stay within 0.04 of those around, others fall by 0.2 and more."""


@dataclass(frozen=True)
class Match:
    """One round's comparison of the aligned images with their re-projections."""

    seen: Float32
    """Re-projections [tilt, y, x]."""
    shifts: Shifts
    likeness: Float64
    """[tilt], correlation of the details, at the best shift."""
    misfit: float
    """Norm of the difference over the norm of the images in use."""


def match_projections(
    series: TiltSeries,
    alignment: Alignment,
    *,
    rounds: int,
    tolerance_px: float = 0.02,
    progress: Progress = silent,
) -> Alignment:
    """Improve the shifts until they change by less than `tolerance_px` rms.

    Every round moves the raw images once, reconstructs them roughly, and corrects each shift by
    the displacement between image and re-projection (Gursoy et al., Sci. Rep. 2017, 7, 11818).
    Images whose details fall out of line are rejected, and taken back if they recover.
    """
    aligned = apply_alignment(series, alignment)
    for done in range(rounds):
        match = compare(aligned)
        alignment = corrected(alignment, match, series)
        progress("projection matching", (done + 1) / rounds)
        if alignment.rms_px < tolerance_px:
            break
        aligned = completed(apply_alignment(series, alignment), alignment, match.seen)
    return alignment


def completed(aligned: TiltSeries, alignment: Alignment, seen: Float32) -> TiltSeries:
    """What lay outside an image's frame, taken from the re-projections [tilt, y, x].

    An object cut by the frame would else be reconstructed, and matched, without its rim.
    """
    outside = _outside(alignment, aligned.images.shape)
    return replace(aligned, images=np.where(outside, seen, aligned.images))


def _outside(alignment: Alignment, shape: tuple[int, ...]) -> Bools:
    """Pixels [tilt, y, x] of the aligned images that no raw image showed."""
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in shape[1:])
    turn = np.deg2rad(alignment.tilt_axis_deg)
    row = rows[:, None] * np.cos(turn) + columns * np.sin(turn)
    column = columns * np.cos(turn) - rows[:, None] * np.sin(turn)
    dy, dx = alignment.shifts_px.T[:, :, None, None]
    return np.asarray((np.abs(row + dy) > rows[-1]) | (np.abs(column + dx) > columns[-1]))


def compare(aligned: TiltSeries, band: Band = WIDE_BAND) -> Match:
    """Reconstruct the images in use, re-project at every tilt, and compare all."""
    columns = aligned.images.shape[2]
    used = ~aligned.excluded
    projector = Projector(aligned.angles_rad[used], columns)
    volume = sirt(projector, aligned.images[used], SIRT_ITERATIONS, momentum=True)
    seen = np.zeros_like(aligned.images)
    seen[used] = projector.forward(volume)
    if not used.all():
        seen[~used] = Projector(aligned.angles_rad[~used], columns).forward(volume)
    shifts = find_shifts(aligned.images, seen, band, max_shift_px=columns / 8)
    details = find_shifts(aligned.images, seen, DETAIL_BAND, max_shift_px=columns / 8)
    return Match(seen, shifts, details.scores, _misfit(aligned.images[used], seen[used]))


def corrected(alignment: Alignment, match: Match, series: TiltSeries) -> Alignment:
    """Add the displacements found, turned into the raw images' frame."""
    moved = replace(
        alignment,
        shifts_px=alignment.shifts_px
        + in_raw_frame(match.shifts.shifts_px, alignment.tilt_axis_deg),
        residuals_px=np.hypot(*match.shifts.shifts_px.T),
    )
    hidden = np.where(_outside(moved, match.seen.shape), match.seen, 0).sum(axis=(1, 2))
    lost = hidden > LOST_SHARE * match.seen.sum(axis=(1, 2))
    return replace(moved, rejected=series.excluded | _out_of_line(match.likeness, series) | lost)


def _out_of_line(likeness: Float64, series: TiltSeries) -> Bools:
    """Images [tilt] much less like the common object than those at the angles around."""
    tilts = np.argsort(series.angles_deg, kind="stable")
    used = tilts[~series.excluded[tilts]]
    usual = ndimage.median_filter(likeness[used], NEIGHBOURS, mode="nearest")
    fallen = usual - likeness[used]
    spread = 1.4826 * np.median(np.abs(fallen))
    out = np.zeros(series.tilts, bool)
    out[used] = fallen > max(8 * spread, FALLEN)
    return out


def reduced(series: TiltSeries, factor: float) -> TiltSeries:
    """Images smoothed and sampled at pixels `factor` times as wide, about the same centre."""
    if factor <= 1:
        return series
    rows, columns = (int(np.ceil(n / factor)) for n in series.images.shape[1:])
    old = (np.array(series.images.shape[1:]) - 1) / 2
    offset = old - factor * (np.array([rows, columns]) - 1) / 2
    images = np.empty((series.tilts, rows, columns), np.float32)
    for small, image in zip(images, series.images, strict=True):
        smooth = ndimage.gaussian_filter(image, 0.4 * factor, mode="nearest")
        ndimage.affine_transform(
            smooth, [factor, factor], offset, output=small, order=1, mode="nearest"
        )
    return replace(series, images=images, pixel_nm=series.pixel_nm * factor)


def scaled(alignment: Alignment, factor: float) -> Alignment:
    """The same alignment in pixels `factor` times as small."""
    return replace(
        alignment,
        shifts_px=alignment.shifts_px * factor,
        residuals_px=alignment.residuals_px * factor,
    )


def _misfit(images: Float32, seen: Float32) -> float:
    return float(np.linalg.norm(images - seen) / max(float(np.linalg.norm(images)), 1e-30))
