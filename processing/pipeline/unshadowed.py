"""Use the parts of overlapped images that the other object does not reach.

The particles found in the clear images are projected into those in which another object overlaps.
The images are aligned to their details, which the other object does not share. Where an image
shows much more material than the particles, the other object covers them; the other pixels are as
good as those of the clear images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from processing.align.alignment import Alignment
from processing.align.padding import axis_turn
from processing.align.series import background_subtracted
from processing.fit.render import Frame, projected, thickness_images
from processing.images.intensity import linearise, saturate
from processing.images.isolate import Isolated, Surroundings
from processing.images.shift import Band, find_shifts
from processing.images.smooth import smooth_images
from processing.pipeline.neighbours import near_places, response_of
from processing.series import Bools, Float32, Float64, TiltSeries

DETAIL_DIAMETERS = (0.2, 0.7)
"""Standard deviations of the band-pass for single particles, in diameters."""
LARGEST_SHIFT = 1 / 8
"""Largest error of the first shifts, as a fraction of the image's width."""
ROUNDS = 2
"""Alignments: the second without the pixels that the other object covers."""
SMOOTHING_DIAMETERS = 0.7
"""Smoothing of the images in which the other object is found, in diameters."""
LEAST_EXCESS = 0.1
"""Smallest excess of material that another object causes, as a fraction of the object's largest
thickness. Errors of the particles and of the background leave half of it."""
BRIGHT_SHARE = 0.3
"""Smallest thickness in the pixels from which an image's brightness is read, as a fraction of the
largest."""
UNCOVERED_PERCENTILE = 20
"""Percentile of image over particles that stands for its brightness; most may be covered."""
LARGEST_GAIN = 1.4
"""Largest brightness of an image relative to the clear ones; above it, all of it is covered."""
MARGIN_DIAMETERS = 1.0
"""Margin around the covered pixels, in diameters."""
LEAST_CORRELATION = 0.5
"""Smallest correlation of an image's details with the particles, relative to the clear images."""
LEAST_SHOWN = 0.2
"""Smallest share of the object that an image must show."""


@dataclass(frozen=True, eq=False)
class Unshadowed:
    """Series with the overlapped images that show a part of the object, and its alignment."""

    series: TiltSeries
    alignment: Alignment


def with_unshadowed_parts(
    isolated: Isolated,
    beside: Surroundings,
    alignment: Alignment,
    centres_nm: Float64,
    diameter_nm: float,
) -> Unshadowed | None:
    """Add the overlapped images to the clear ones, with the pixels that show the object alone.

    Returns None if there are no clear images, or if no overlapped image shows enough of the object.

    Parameters
    ----------
    alignment
        Alignment of the clear images (`Isolated.clear`).
    centres_nm, diameter_nm
        Particles found in the clear images, [n, 3] as (x, y, z).
    """
    clear = isolated.clear()
    if clear is isolated.series or not len(centres_nm):
        return None
    series = isolated.series
    response = response_of(clear, alignment)
    whole = replace(series, images=beside.images)
    matched = _matched(linearise(whole, response), alignment, centres_nm, diameter_nm)
    good = ~background_subtracted(series).excluded
    added = beside.overlapped & good & alignment.rejected & _agreeing(matched, alignment)
    if not added.any():
        return None
    filled = saturate(replace(whole, images=matched.own), response).images
    images, known = series.images.copy(), np.ones(series.images.shape, np.float32)
    frame = _frame(series, alignment, matched.shifts_px)
    places = projected(centres_nm, np.deg2rad(alignment.angles_deg), frame)
    places += (np.array(frame.shape) - 1) / 2
    for tilt in np.flatnonzero(added):
        known[tilt] = ~matched.covered[tilt]
        shown = np.where(matched.covered[tilt], filled[tilt], whole.images[tilt])
        near = near_places(places[tilt], frame.shape, diameter_nm / series.pixel_nm)
        images[tilt] = shown * near
    note = (
        f"series {series.name}: of {int(added.sum())} images, only the part that the other object "
        "does not cover was used"
    )
    return Unshadowed(
        replace(
            series,
            images=images,
            known=known,
            excluded=clear.excluded & ~added,
            notes=(*series.notes, note),
        ),
        replace(alignment, shifts_px=matched.shifts_px, rejected=alignment.rejected & ~added),
    )


@dataclass(frozen=True, eq=False)
class _Matched:
    """Images compared with the particles.

    Attributes
    ----------
    shifts_px
        [tilt, (y, x)].
    own
        Particles at the brightness of each image, proportional to thickness, [tilt, y, x].
    covered
        Pixels that another object covers, [tilt, y, x].
    shown
        Share of the object that is not covered, [tilt].
    gains, correlation
        Brightness of each image over the particles, and correlation of its details with theirs
        where nothing covers them, [tilt].
    """

    shifts_px: Float64
    own: Float32
    covered: Bools
    shown: Float64
    gains: Float64
    correlation: Float64


def _matched(
    linear: TiltSeries, alignment: Alignment, centres_nm: Float64, diameter_nm: float
) -> _Matched:
    """Align the rejected images to the particles, and find the pixels that are covered."""
    diameter_px = diameter_nm / linear.pixel_nm
    fine_px, coarse_px = (share * diameter_px for share in DETAIL_DIAMETERS)
    limit_px = LARGEST_SHIFT * linear.images.shape[2]
    moving, angles_rad = alignment.rejected, np.deg2rad(alignment.angles_deg)
    shifts_px, images = _first_shifts(alignment), linear.images
    band = Band(fine_px, coarse_px)

    def projected_particles() -> Float32:
        frame = _frame(linear, alignment, shifts_px)
        return thickness_images(centres_nm, diameter_nm, angles_rad, frame)

    particles = projected_particles()
    for _ in range(ROUNDS):
        found = find_shifts(images[moving], particles[moving], band, limit_px)
        shifts_px[moving] += found.shifts_px
        particles = projected_particles()
        gains = _gains(linear.images, particles)
        own = particles * gains[:, None, None].astype(np.float32)
        covered = _covered(linear.images, own, diameter_px)
        images = np.where(covered, own, linear.images)
    bright = own > BRIGHT_SHARE * own.max(axis=(1, 2), keepdims=True)
    return _Matched(
        shifts_px,
        own,
        covered,
        (bright & ~covered).sum(axis=(1, 2)) / bright.sum(axis=(1, 2)),
        gains,
        _correlation(linear.images, own, bright & ~covered, fine_px, coarse_px),
    )


def _first_shifts(alignment: Alignment) -> Float64:
    """Give each rejected image the shift of the image in use that is nearest in tilt."""
    used = np.flatnonzero(~alignment.rejected)
    distance_deg = np.abs(alignment.angles_deg[:, None] - alignment.angles_deg[used])
    return np.array(alignment.shifts_px[used[distance_deg.argmin(axis=1)]], np.float64)


def _frame(series: TiltSeries, alignment: Alignment, shifts_px: Float64) -> Frame:
    rows, columns = series.images.shape[1:]
    return Frame((rows, columns), series.pixel_nm, axis_turn(alignment.tilt_axis_deg), shifts_px)


def _gains(images: Float32, particles: Float32) -> Float64:
    """Return the brightness of each image over that of the particles in it, [tilt]."""
    gains = np.ones(len(images))
    for tilt, (image, own) in enumerate(zip(images, particles, strict=True)):
        bright = own > BRIGHT_SHARE * own.max()
        if bright.any():
            gains[tilt] = np.percentile(image[bright] / own[bright], UNCOVERED_PERCENTILE)
    return gains


def _covered(images: Float32, own: Float32, diameter_px: float) -> Bools:
    """Return the pixels [tilt, y, x] with much more material than the particles, with a margin."""
    excess = smooth_images(images - own, SMOOTHING_DIAMETERS * diameter_px)
    largest = np.percentile(own, 99, axis=(1, 2), keepdims=True)
    steps = round(MARGIN_DIAMETERS * diameter_px)
    much = excess > LEAST_EXCESS * largest
    return np.stack([ndimage.binary_dilation(each, iterations=steps) for each in much])


def _correlation(
    images: Float32, own: Float32, shown: Bools, fine_px: float, coarse_px: float
) -> Float64:
    """Return the correlation of the details of images and particles in the pixels `shown`."""
    first, second = (
        (smooth_images(each, fine_px) - smooth_images(each, coarse_px)) * shown
        for each in (images, own)
    )
    product, *squares = (
        (one * other).sum(axis=(1, 2), dtype=np.float64)
        for one, other in ((first, second), (first, first), (second, second))
    )
    return np.asarray(product / np.sqrt(np.maximum(squares[0] * squares[1], 1e-30)), np.float64)


def _agreeing(matched: _Matched, alignment: Alignment) -> Bools:
    """Return the images [tilt] that show enough of the object, as the clear ones show it."""
    clear = ~alignment.rejected
    usual_gain, usual = (
        float(np.median(each[clear])) for each in (matched.gains, matched.correlation)
    )
    return np.asarray(
        (matched.shown >= LEAST_SHOWN)
        & (matched.correlation >= LEAST_CORRELATION * usual)
        & (matched.gains <= LARGEST_GAIN * usual_gain),
        bool,
    )
