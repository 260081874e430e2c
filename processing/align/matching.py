"""Projection matching: align each image to the re-projection of the common reconstruction."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from processing.align.alignment import Alignment, apply_alignment, in_raw_frame
from processing.device import CPU, Device
from processing.images.shift import Band, Shifts, find_shifts, shifts_in_bands
from processing.parallel import each_in_threads
from processing.progress import Progress, silent
from processing.reconstruct.projector import Projectors
from processing.reconstruct.sirt import sirt
from processing.series import Bools, Float32, Float64, TiltSeries

SIRT_ITERATIONS = 6
"""SIRT iterations with momentum. They are few because a converged volume reproduces each image
where it is, even a misplaced one."""
WIDE_BAND = Band(1.5, 30.0)
"""Band-pass that includes the object's outline, which images at distant angles have in common."""
DETAIL_BAND = Band(1.5, 5.0)
"""Band-pass for single particles, which differ for another object of the same outline."""
LARGEST_LOST_SHARE = 0.15
"""Largest fraction of the object's mass outside the frame; an image with more is rejected."""
DETAIL_ROUNDS = 4
"""Rounds of matching by details."""
LARGEST_DETAIL_SHIFT_PX = 2.0
"""Largest shift that one round of matching by details finds. The images are aligned before; farther
away, a plane of a crystal could be taken for its neighbour."""
NEIGHBOURS = 7
"""Images in a row by tilt angle over which the median correlation is taken."""
CORRELATION_DROP = 0.15
"""Largest drop of the correlation below that of the neighbours. Good images stay within 0.04, bad
images drop by 0.2 or more."""


@dataclass(frozen=True)
class Match:
    """Comparison of the aligned images with their re-projections."""

    reprojections: Float32
    """[tilt, y, x]."""
    shifts: Shifts
    """Displacement of each image from its re-projection."""
    detail_correlation: Float64
    """[tilt], correlation in `DETAIL_BAND` at the best shift."""
    misfit: float
    """Norm of images minus re-projections over the norm of the images, for the images in use."""


def match_projections(
    series: TiltSeries,
    alignment: Alignment,
    *,
    rounds: int,
    tolerance_px: float = 0.02,
    device: Device = CPU,
    progress: Progress = silent,
) -> Alignment:
    """Improve the shifts until they change by less than `tolerance_px` rms.

    Every round moves the raw images once, makes a rough reconstruction, and corrects each shift by
    the displacement between image and re-projection (Gursoy et al., Sci. Rep. 2017, 7, 11818).
    Images with a low correlation are rejected, and used again if the correlation recovers.
    """
    aligned = apply_alignment(series, alignment)
    projectors = Projectors(device)
    for done in range(rounds):
        match = compare(aligned, projectors)
        alignment = correct(alignment, match, series)
        progress("projection matching", (done + 1) / rounds)
        if alignment.rms_px < tolerance_px:
            break
        aligned = fill_outside(apply_alignment(series, alignment), alignment, match.reprojections)
    return alignment


def match_details(series: TiltSeries, alignment: Alignment, *, device: Device = CPU) -> Alignment:
    """Improve the shifts of aligned images by their details alone, the single particles.

    Background that is left under the object then has no effect: it changes slowly over an image.
    """
    images = np.stack(each_in_threads(_details, series.images))
    series = replace(series, images=images)
    projectors = Projectors(device)
    for _ in range(DETAIL_ROUNDS):
        aligned = apply_alignment(series, alignment)
        reprojections = reprojected(aligned, projectors)
        shifts_px = find_shifts(
            aligned.images,
            reprojections,
            WIDE_BAND,
            LARGEST_DETAIL_SHIFT_PX,
            device=device,
        ).shifts_px
        alignment = _moved(alignment, shifts_px)
    return alignment


def _details(image: Float32) -> Float32:
    slow = ndimage.gaussian_filter(image, DETAIL_BAND.coarse_px, mode="nearest")
    return np.asarray(image - slow, np.float32)


def _moved(alignment: Alignment, shifts_px: Float64) -> Alignment:
    """Add displacements [tilt, (y, x)] of the aligned images to the shifts."""
    moves_px = in_raw_frame(shifts_px, alignment.tilt_axis_deg)
    return replace(
        alignment,
        shifts_px=alignment.shifts_px + moves_px,
        residuals_px=np.hypot(*shifts_px.T),
    )


def fill_outside(aligned: TiltSeries, alignment: Alignment, reprojections: Float32) -> TiltSeries:
    """Fill pixels outside the raw images' frames from the re-projections [tilt, y, x].

    Otherwise an object cut off by the frame would be reconstructed and matched without its edge.
    """
    outside = _outside(alignment, aligned.images.shape)
    return replace(aligned, images=np.where(outside, reprojections, aligned.images))


def _outside(alignment: Alignment, shape: tuple[int, ...]) -> Bools:
    """Flag the pixels [tilt, y, x] of the aligned images that lie outside their raw images."""
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in shape[1:])
    axis = np.deg2rad(alignment.tilt_axis_deg)
    row = rows[:, None] * np.cos(axis) + columns * np.sin(axis)
    column = columns * np.cos(axis) - rows[:, None] * np.sin(axis)
    dy, dx = alignment.shifts_px.T[:, :, None, None]
    return np.asarray((np.abs(row + dy) > rows[-1]) | (np.abs(column + dx) > columns[-1]))


def compare(aligned: TiltSeries, projectors: Projectors) -> Match:
    """Reconstruct from the images in use and compare every image with its re-projection."""
    columns = aligned.images.shape[2]
    used = ~aligned.excluded
    reprojections = reprojected(aligned, projectors)
    shifts, details = shifts_in_bands(
        aligned.images,
        reprojections,
        (WIDE_BAND, DETAIL_BAND),
        columns / 8,
        device=projectors.device,
    )
    misfit = _misfit(aligned.images[used], reprojections[used])
    return Match(reprojections, shifts, details.scores, misfit)


def reprojected(aligned: TiltSeries, projectors: Projectors) -> Float32:
    """Reconstruct from the images in use; return the re-projections of all, [tilt, y, x]."""
    columns = aligned.images.shape[2]
    used = ~aligned.excluded
    projector = projectors.of(aligned.angles_rad[used], columns)
    volume = sirt(projector, aligned.images[used], SIRT_ITERATIONS, momentum=True)
    reprojections = np.zeros_like(aligned.images)
    reprojections[used] = projector.forward(volume)
    if not used.all():
        left_out = projectors.of(aligned.angles_rad[~used], columns)
        reprojections[~used] = left_out.forward(volume)
    return reprojections


def correct(alignment: Alignment, match: Match, series: TiltSeries) -> Alignment:
    """Add the measured displacements to the shifts and decide anew which images are rejected."""
    moved = _moved(alignment, match.shifts.shifts_px)
    reprojections = match.reprojections
    outside = np.where(_outside(moved, reprojections.shape), reprojections, 0).sum(axis=(1, 2))
    lost = outside > LARGEST_LOST_SHARE * reprojections.sum(axis=(1, 2))
    low = low_correlation(match.detail_correlation, series.angles_deg, ~series.excluded)
    return replace(moved, rejected=series.excluded | low | lost)


def low_correlation(correlation: Float64, angles_deg: Float64, used: Bools) -> Bools:
    """Flag images [tilt] whose correlation is much lower than at the neighbouring tilts."""
    tilts = np.argsort(angles_deg, kind="stable")
    kept = tilts[used[tilts]]
    usual = ndimage.median_filter(correlation[kept], NEIGHBOURS, mode="nearest")
    drop = usual - correlation[kept]
    spread = 1.4826 * np.median(np.abs(drop))
    low = np.zeros(len(angles_deg), bool)
    low[kept] = drop > max(8 * spread, CORRELATION_DROP)
    return low


def reduced(series: TiltSeries, factor: float) -> TiltSeries:
    """Return the series with pixels `factor` times as wide, smoothed, about the same centre."""
    if factor <= 1:
        return series
    rows, columns = (int(np.ceil(n / factor)) for n in series.images.shape[1:])
    old = (np.array(series.images.shape[1:]) - 1) / 2
    offset = old - factor * (np.array([rows, columns]) - 1) / 2

    def reduce(images: Float32) -> Float32:
        small = np.empty((series.tilts, rows, columns), np.float32)

        def one(tilt: int) -> None:
            smooth = ndimage.gaussian_filter(images[tilt], 0.4 * factor, mode="nearest")
            ndimage.affine_transform(
                smooth, [factor, factor], offset, output=small[tilt], order=1, mode="nearest"
            )

        each_in_threads(one, range(series.tilts))
        return small

    known = None if series.known is None else reduce(series.known)
    images = reduce(series.images)
    return replace(series, images=images, known=known, pixel_nm=series.pixel_nm * factor)


def scaled(alignment: Alignment, factor: float) -> Alignment:
    """Return the alignment in pixels that are smaller by `factor`."""
    return replace(
        alignment,
        shifts_px=alignment.shifts_px * factor,
        residuals_px=alignment.residuals_px * factor,
    )


def _misfit(images: Float32, reprojections: Float32) -> float:
    norm = max(float(np.linalg.norm(images)), 1e-30)
    return float(np.linalg.norm(images - reprojections) / norm)
