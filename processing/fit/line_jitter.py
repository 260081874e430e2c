"""Errors of the scan that displace whole lines of the images, and with them all spheres there.

Line after line the beam starts slightly too early or too late. All spheres of a line are pulled the
same way, so that their errors are larger than those by noise of the same strength: images of
spheres that overlap hardly change if all move together. Lines are the rows of the images; a scan
that is turned against them shows little of its jitter along rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor

from processing.device import Array
from processing.fit.view import Views
from processing.series import Float32

FAINTEST_ROW = 1e-4
"""Smallest sum of squared slopes of a row that shows its displacement, over the largest one's."""


def row_slopes(views: Views, modelled: Array) -> Array:
    """Return the slopes along the rows [view, y, u] of modelled images, given their spectra."""
    return views.imager.images(views.imager.gradient_u * modelled)


def drawn_jitter(views: Views, slopes: Array, starts: Float32) -> Array:
    """Return the spectra of changes by `starts` [view, y], displacements of the rows in pixels."""
    imager = views.imager
    return imager.spectra(imager.device.to_device(starts)[:, :, None] * slopes)


def row_pulls(
    views: Sequence[Views], slopes: Sequence[Array], spectra: Sequence[Array], pool: Executor
) -> float:
    """Return the summed squares of how strongly spectra pull at the rows of all images.

    White noise pulls at all rows alike.
    """

    def squares(some: Views, slope: Array, each: Array) -> float:
        xp = some.imager.device.xp
        stiffness = (slope * slope).sum(axis=-1)
        least = FAINTEST_ROW * stiffness.max() + 1e-30
        pulls = (slope * some.imager.images(each)).sum(axis=-1)
        seen = xp.where(stiffness > least, pulls**2 / xp.maximum(stiffness, least), 0.0)
        return float(seen.sum())

    return sum(pool.map(squares, views, slopes, spectra))


def squared_jitter(pulled: float, by_noise: float, by_unit: float) -> float:
    """Return the variance of the starts of the lines, squared pixels.

    Parameters
    ----------
    pulled, by_noise, by_unit
        `row_pulls` of what a fit leaves of the images, of noise, and of a jitter of one pixel.
    """
    return max(pulled - by_noise, 0.0) / max(by_unit, 1e-30)
