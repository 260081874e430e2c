"""From detector counts to something proportional to thickness."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage, optimize

from processing.series import Float32, Float64, TiltSeries

TOP_QUANTILE = 99.9
"""Stands for the thickest column; single hot pixels lie above it."""
DEEPEST = 0.97
"""Largest share of the saturated signal that is inverted: beyond it the gain would explode."""
FAINTEST = 1e-3
"""Share of the saturated signal below which the response is straight."""
SPREAD_NM = 4.0
"""Standard deviation over which thickness counts together: a broadened beam is as wide as that,
and saturates by what all of it has crossed, not by the single column under the probe."""
THICK_SHARE = 0.3
"""Of the heaviest row's mass, above which a row runs through the object's thick part."""
STRONGEST = 0.9
"""Largest saturation that is looked for."""
BACKGROUND_SHARE = 0.2
"""Of the pixels that surely show background."""


@dataclass(frozen=True)
class Response:
    """HAADF signal against thickness, I = full tanh(t / t_sat).

    For gold at 300 kV and 62-250 mrad a Monte Carlo gives I / I0 = 0.65 tanh(t / 57 nm). Without
    a calibration t is known up to a factor, which nothing downstream needs.
    """

    full: float
    """Signal of infinite thickness, in the images' own units; infinite where nothing saturates."""
    saturation: float
    """Signal of the thickest regions over `full`, 0..1."""


LINEAR = Response(np.inf, 0.0)


def background_levels(images: Float32) -> Float64:
    """Level around the object [tilt]: dark level, film, liquid, contamination.

    The middle of the shortest interval that holds a fifth of the pixels: the densest level, where
    the background lies even beside a large object, and whatever frame is drawn round the image.
    """
    # every second pixel says as much, at a quarter of the sorting
    values = np.sort(images[:, ::2, ::2].reshape(len(images), -1), axis=1)
    held = max(1, int(BACKGROUND_SHARE * values.shape[1]))
    widths = values[:, held:] - values[:, :-held]
    start = widths.argmin(axis=1)
    tilts = np.arange(len(images))
    return np.asarray(values[tilts, start + held // 2], np.float64)


def without_background(series: TiltSeries) -> TiltSeries:
    """Each image less the level around the object; the dark level goes with it."""
    levels = background_levels(series.images).astype(np.float32)
    return replace(series, images=series.images - levels[:, None, None])


def linearised(series: TiltSeries, response: Response) -> TiltSeries:
    """Undo the saturation of a series without background; weak signals keep their value.

    Every pixel is multiplied by the gain (t / t_sat) / tanh(t / t_sat) of the mean thickness
    around it, `SPREAD_NM` wide. Inverted pixel by pixel, columns of particles in line would gain
    too much: 1.2 times the mass at a zone axis of a crystal against other tilts.
    """
    if np.isinf(response.full):
        return series
    around = np.clip(_around(series) / np.float32(response.full), FAINTEST, DEEPEST)
    gained = series.images * (np.arctanh(around) / around)
    return replace(series, images=gained.astype(np.float32, copy=False))


def estimated_response(series: TiltSeries, centres_y_px: Float64) -> Response:
    """Find the saturation under which every row holds the same mass at every tilt.

    Sections across the tilt axis keep their mass whatever the angle, while saturation costs the
    more the longer the paths are. Rows are compared after removal of `centres_y_px` [tilt], where
    the object's centre lies along the axis; those through its thick part count, and by their
    absolute differences: at some tilts a neighbour may come into view.
    """
    # what is smooth needs few samples
    step = max(1, int(SPREAD_NM / series.pixel_nm))
    around = _around(series)[:, ::step, ::step]
    rows = np.arange(around.shape[1], dtype=np.float64)
    top = np.percentile(around, TOP_QUANTILE)
    if not top > 0:
        return LINEAR

    def inconsistency(saturation: float) -> float:
        straight = np.arctanh(np.clip(around * (saturation / top), -DEEPEST, DEEPEST))
        masses = straight.sum(axis=2, dtype=np.float64)
        level = np.stack(
            [
                np.interp(rows + y / step, rows, mass)
                for y, mass in zip(centres_y_px, masses, strict=True)
            ]
        )
        usual = np.median(level, axis=0)
        thick = usual > THICK_SHARE * usual.max()
        away, slope = (level - usual)[:, thick], np.gradient(usual)[thick]
        # a centre found a little off says nothing about the response
        away -= np.outer(away @ slope, slope) / max(float(slope @ slope), 1e-30)
        return float(np.abs(away).mean() / usual[thick].mean())

    best = optimize.minimize_scalar(
        inconsistency, bounds=(FAINTEST, STRONGEST), method="bounded", options={"xatol": 0.01}
    )
    return Response(float(top / best.x), float(best.x))


def _around(series: TiltSeries) -> Float32:
    """Mean signal [tilt, y, x] over the width of a broadened beam."""
    sigma_px = SPREAD_NM / series.pixel_nm
    smooth: Float32 = ndimage.gaussian_filter(
        series.images, (0, sigma_px, sigma_px), mode="nearest"
    )
    return smooth
