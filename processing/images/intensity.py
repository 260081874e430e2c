"""From detector counts to something proportional to thickness."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize

from processing.series import Float32, Float64, TiltSeries

TOP_QUANTILE = 99.9
"""Stands for the thickest column; single hot pixels lie above it."""
DEEPEST = 0.97
"""Largest share of the saturated signal that is inverted: beyond it noise would explode."""
BACKGROUND_SHARE = 0.2
"""Of the pixels that surely show background."""


@dataclass(frozen=True)
class Response:
    """HAADF signal against thickness, I = full tanh(t / t_sat).

    For gold at 300 kV and 62-250 mrad a Monte Carlo gives I / I0 = 0.65 tanh(t / 57 nm). Without
    a calibration t is known up to a factor, which nothing downstream needs.
    """

    saturation: float
    """Signal of the brightest columns over the signal of infinite thickness; 0 is linear."""


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

    t ~ arctanh(s I / I_top) I_top / s, clipped short of its pole.
    """
    share = response.saturation
    if share < 1e-3:
        return series
    unit = np.float32(np.percentile(series.images, TOP_QUANTILE) / share)
    ratio = np.clip(series.images / unit, -DEEPEST, DEEPEST)
    return replace(series, images=(np.arctanh(ratio) * unit).astype(np.float32))


def estimated_response(series: TiltSeries, centres_y_px: Float64) -> Response:
    """Find the saturation under which every row holds the same mass at every tilt.

    Sections across the tilt axis keep their mass whatever the angle, while saturation costs the
    more the longer the paths are. Rows are compared after removal of `centres_y_px` [tilt], where
    the object's centre lies along the axis.
    """
    top = np.percentile(series.images, TOP_QUANTILE)
    rows = np.arange(series.images.shape[1], dtype=np.float64)

    def inconsistency(saturation: float) -> float:
        masses = linearised(series, Response(saturation)).images.sum(axis=2, dtype=np.float64)
        level = np.stack(
            [np.interp(rows + y, rows, mass) for y, mass in zip(centres_y_px, masses, strict=True)]
        )
        mean = level.mean(axis=0)
        return float(np.linalg.norm(level - mean) / np.linalg.norm(mean))

    if not top > 0:
        return Response(0.0)
    best = optimize.minimize_scalar(
        inconsistency, bounds=(0.0, 0.85), method="bounded", options={"xatol": 0.02}
    )
    return Response(float(best.x))
