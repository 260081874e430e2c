"""Convert detector counts to a signal proportional to thickness."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from processing.images.smooth import smooth_images
from processing.series import Float32, Float64, TiltSeries

TOP_PERCENTILE = 99.9
"""Percentile taken as the signal of the thickest column; only single hot pixels lie above it."""
LARGEST_INVERTED = 0.97
"""Largest fraction of the saturated signal that is inverted; above it the gain diverges."""
SMALLEST_INVERTED = 1e-3
"""Fraction of the saturated signal below which the response is linear."""
SPREAD_NM = 4.0
"""Width (standard deviation) of the broadened beam. Saturation depends on the mean thickness over
this width, not on the single column under the probe."""
THICK_SHARE = 0.3
"""Smallest mass of a row in the object's thick part, as a fraction of the largest row mass."""
LARGEST_SATURATION = 0.9
"""Upper limit of the search for the saturation."""
FEWEST_ROWS = 4
"""Fewest beam widths along the tilt axis that show a saturation. A field of less holds atoms, or an
object so thin that its signal saturates by less than 3 %."""
BACKGROUND_SHARE = 0.2
"""Fraction of the pixels that certainly shows background."""


@dataclass(frozen=True)
class Response:
    """HAADF signal as a function of thickness, I = full tanh(t / t_sat).

    For gold at 300 kV and 62-250 mrad a Monte Carlo simulation gives
    I / I0 = 0.65 tanh(t / 57 nm). Without a calibration t is known up to a factor, which no later
    step needs.
    """

    full: float
    """Signal of infinite thickness, in the images' units; infinite if the response is linear."""
    saturation: float
    """Signal of the thickest regions over `full`, 0..1."""


LINEAR = Response(np.inf, 0.0)


def background_levels(images: Float32) -> Float64:
    """Return the background level [tilt]: dark level, film, liquid and contamination.

    It is the middle of the shortest intensity interval that holds a fifth of the pixels, i.e. the
    most frequent level. A large object or a dark frame around the image does not change it.
    """
    # every second pixel in each direction is enough, and quarters the sorting
    values = np.sort(images[:, ::2, ::2].reshape(len(images), -1), axis=1)
    held = max(1, int(BACKGROUND_SHARE * values.shape[1]))
    widths = values[:, held:] - values[:, :-held]
    start = widths.argmin(axis=1)
    tilts = np.arange(len(images))
    return np.asarray(values[tilts, start + held // 2], np.float64)


def without_background(series: TiltSeries) -> TiltSeries:
    """Subtract from each image its background level, which includes the detector's dark level."""
    levels = background_levels(series.images).astype(np.float32)
    return replace(series, images=series.images - levels[:, None, None])


def linearise(series: TiltSeries, response: Response) -> TiltSeries:
    """Undo the saturation of a series without background; weak signals keep their value.

    Every pixel is multiplied by the gain (t / t_sat) / tanh(t / t_sat) of the mean thickness
    within `SPREAD_NM` around it. Inversion pixel by pixel would amplify aligned columns of
    particles too much: a crystal would have 1.2 times the mass at a zone axis than at other tilts.
    """
    if np.isinf(response.full):
        return series
    smooth = np.clip(
        _beam_average(series) / np.float32(response.full), SMALLEST_INVERTED, LARGEST_INVERTED
    )
    linear = series.images * (np.arctanh(smooth) / smooth)
    return replace(series, images=linear.astype(np.float32, copy=False))


def saturate(linear: TiltSeries, response: Response) -> TiltSeries:
    """Invert `linearise`: return the signal of images in proportion to the thickness."""
    if np.isinf(response.full):
        return linear
    smooth = np.maximum(_beam_average(linear) / np.float32(response.full), SMALLEST_INVERTED)
    signal = linear.images * (np.tanh(smooth) / smooth)
    return replace(linear, images=signal.astype(np.float32, copy=False))


def estimate_response(series: TiltSeries, centres_y_px: Float64) -> Response:
    """Find the saturation for which each image row has the same mass at every tilt.

    A section across the tilt axis has the same mass at every tilt, but saturation removes more
    signal where the path through the object is longer. Rows are compared after correction for the
    object's position along the axis, `centres_y_px` [tilt]. Only rows through the object's thick
    part are used. Their absolute differences are compared, not the squares, because a neighbour
    may come into view at some tilts. The response of a very small field is linear.
    """
    from scipy.optimize import minimize_scalar  # slow to load, and not needed for live volumes

    # the smoothed images need only one sample per beam width
    step = max(1, int(SPREAD_NM / series.pixel_nm))
    if series.images.shape[1] < FEWEST_ROWS * step:
        return LINEAR
    smooth = _beam_average(series)[:, ::step, ::step]
    rows = np.arange(smooth.shape[1], dtype=np.float64)
    top = np.percentile(smooth, TOP_PERCENTILE)
    if not top > 0:
        return LINEAR

    def inconsistency(saturation: float) -> float:
        scaled = np.clip(smooth * (saturation / top), -LARGEST_INVERTED, LARGEST_INVERTED)
        masses = np.arctanh(scaled).sum(axis=2, dtype=np.float64)
        centred = np.stack(
            [
                np.interp(rows + y / step, rows, mass)
                for y, mass in zip(centres_y_px, masses, strict=True)
            ]
        )
        usual = np.median(centred, axis=0)
        thick = usual > THICK_SHARE * usual.max()
        difference, slope = (centred - usual)[:, thick], np.gradient(usual)[thick]
        # remove the effect of a small error in the centre, which is not caused by saturation
        difference -= np.outer(difference @ slope, slope) / max(float(slope @ slope), 1e-30)
        return float(np.abs(difference).mean() / usual[thick].mean())

    best = minimize_scalar(
        inconsistency,
        bounds=(SMALLEST_INVERTED, LARGEST_SATURATION),
        method="bounded",
        options={"xatol": 0.01},
    )
    return Response(float(top / best.x), float(best.x))


def _beam_average(series: TiltSeries) -> Float32:
    """Average the signal [tilt, y, x] over the width of the broadened beam."""
    sigma_px = SPREAD_NM / series.pixel_nm
    return smooth_images(series.images, sigma_px, mode="nearest")
