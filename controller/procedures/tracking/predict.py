"""Predict the object's position at a tilt from its positions at neighbouring tilts; pure.

An object off the tilt axis moves across it in the image as x cos t + z sin t, and the stage drifts.
Over a few tilts both are straight lines. The scatter about the line is the stage's random
positioning error: it cannot be predicted, but it gives the error of the prediction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controller.model.exposures import MIN_TILTS_TO_PREDICT
from controller.procedures.tracking.stage_image import cos_tilt

NEIGHBOURS = 10
"""Number of tilts, nearest in angle, through which the line is fitted."""
ERROR_SIGMAS = 2.0
"""Standard errors in `Prediction.error_nm`: one prediction in twenty is worse."""


@dataclass(frozen=True)
class CentredPosition:
    """Stage position that centred the object at one tilt."""

    alpha_deg: float
    x_nm: float
    y_nm: float


@dataclass(frozen=True)
class Prediction:
    """Predicted stage position, and the distance by which the object may miss the centre."""

    position: CentredPosition
    error_nm: float


def predict_position(
    known: Sequence[CentredPosition], alpha_deg: float, smallest_nm: float
) -> Prediction | None:
    """Fit a line through the neighbouring tilts and evaluate it at a tilt.

    Parameters
    ----------
    known
        Positions at other tilts, in any order.
    alpha_deg
        Tilt of the prediction.
    smallest_nm
        Smallest scatter assumed: the precision of one position.

    Returns
    -------
    Prediction or None
        None with fewer than `MIN_TILTS_TO_PREDICT` positions.
    """
    if len(known) < MIN_TILTS_TO_PREDICT:
        return None
    cos_here = cos_tilt(alpha_deg)
    near = sorted(known, key=lambda position: abs(position.alpha_deg - alpha_deg))[:NEIGHBOURS]
    tilts = np.array([position.alpha_deg for position in near])
    (x_nm, x_error), (y_nm, y_error) = (
        _line_at(tilts, np.array(values), alpha_deg, smallest_nm)
        for values in (
            [position.x_nm * cos_tilt(position.alpha_deg) for position in near],
            [position.y_nm for position in near],
        )
    )
    return Prediction(
        CentredPosition(alpha_deg, x_nm / cos_here, y_nm),
        ERROR_SIGMAS * math.hypot(x_error, y_error),
    )


def _line_at(
    tilts: np.ndarray[tuple[int], np.dtype[np.float64]],
    values: np.ndarray[tuple[int], np.dtype[np.float64]],
    alpha_deg: float,
    smallest: float,
) -> tuple[float, float]:
    """Return the fitted line's value at a tilt, and the standard error of a new position there."""
    design = np.column_stack([np.ones_like(tilts), tilts - alpha_deg])
    line, *_ = np.linalg.lstsq(design, values, rcond=None)
    residuals = values - design @ line
    scatter = max(math.sqrt(float(residuals @ residuals) / (len(tilts) - 2)), smallest)
    leverage = float(np.linalg.pinv(design.T @ design)[0, 0])
    return float(line[0]), scatter * math.sqrt(1.0 + leverage)
