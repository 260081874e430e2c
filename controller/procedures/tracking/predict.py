"""Where the object will be at the next tilt, from where it was at its neighbours; pure.

An object off the tilt axis swings across it in the image as x cos t + z sin t, and the stage
drifts: both are straight lines over a few tilts. What scatters about the line is the stage's own
jitter, which no prediction takes away but which tells how good one can be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controller.model.exposures import MIN_TILTS_TO_PREDICT
from controller.procedures.tracking.aim import foreshortening

NEIGHBOURS = 10
"""Tilts, nearest in angle, that a prediction goes by."""
SURE = 2.0
"""Standard errors that count as the error: one prediction in twenty is worse."""


@dataclass(frozen=True)
class Place:
    """Stage position that had the object in the middle, at one tilt."""

    alpha_deg: float
    x_nm: float
    y_nm: float


@dataclass(frozen=True)
class Prediction:
    """Where to go, and how far off the object may then be."""

    place: Place
    error_nm: float


def predict(known: Sequence[Place], alpha_deg: float, smallest_nm: float) -> Prediction | None:
    """Continue the line through the neighbouring tilts.

    Parameters
    ----------
    known
        In any order.
    alpha_deg
        Tilt asked for.
    smallest_nm
        Scatter below which none is believed: what a place can be measured to.

    Returns
    -------
    Prediction or None
        None while too little is known.
    """
    if len(known) < MIN_TILTS_TO_PREDICT:
        return None
    shown = foreshortening(alpha_deg)
    near = sorted(known, key=lambda place: abs(place.alpha_deg - alpha_deg))[:NEIGHBOURS]
    tilts = np.array([place.alpha_deg for place in near])
    (x_nm, x_error), (y_nm, y_error) = (
        _continued(tilts, np.array(values), alpha_deg, smallest_nm)
        for values in (
            [place.x_nm * foreshortening(place.alpha_deg) for place in near],
            [place.y_nm for place in near],
        )
    )
    return Prediction(Place(alpha_deg, x_nm / shown, y_nm), SURE * math.hypot(x_error, y_error))


def _continued(
    tilts: np.ndarray[tuple[int], np.dtype[np.float64]],
    values: np.ndarray[tuple[int], np.dtype[np.float64]],
    alpha_deg: float,
    smallest: float,
) -> tuple[float, float]:
    """Value of the fitted line at a tilt, and the standard error of a new measurement there."""
    design = np.column_stack([np.ones_like(tilts), tilts - alpha_deg])
    line, *_ = np.linalg.lstsq(design, values, rcond=None)
    left = values - design @ line
    scatter = max(math.sqrt(float(left @ left) / (len(tilts) - 2)), smallest)
    lever = float(np.linalg.pinv(design.T @ design)[0, 0])
    return float(line[0]), scatter * math.sqrt(1.0 + lever)
