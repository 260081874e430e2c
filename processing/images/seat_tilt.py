"""Seat tilt of a flipped grid, from the heights of its targets before and after the flip.

The flip turns heights over: a target that lay higher on its film than the others lies lower by as
much. The sum of its two heights is therefore the same for all targets of a rigid grid, however the
film is bent. In a seat that is tilted, the sums rise along a plane.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from processing.series import Float64

FEWEST = 3
"""Smallest number of targets: a plane goes through any three heights."""
FEWEST_TO_JUDGE = 5
"""Smallest number of targets of which one can be off the plane: of four, any could be the one."""
CONFIDENCE = 0.95
"""Chance that the seat tilt lies within its error."""
CHANCE = 0.01
"""Chance that errors alone put any target of a rigid grid off the plane."""
LEAST_ERROR_NM = 1.0
"""Smallest standard error of a height: no stage reads its height better."""
LARGEST_ERROR_DEG = 5.0
"""Largest error of a seat tilt that is of use: seats are tilted by a degree or two."""


@dataclass(frozen=True)
class SeatTilt:
    """Plane of the heights.

    Attributes
    ----------
    slopes
        Rise of the grid along x and y after the flip, nm for each nm.
    error_deg
        Error of the seat tilt, in the direction where it is largest, with 95 % confidence.
    off_plane_nm
        Height of each target above the plane of the others.
    limits_nm
        Largest such height that errors explain; infinite where too few others are on the plane.
    """

    slopes: tuple[float, float]
    error_deg: float
    off_plane_nm: tuple[float, ...]
    limits_nm: tuple[float, ...]

    @property
    def angle_deg(self) -> float:
        """Seat tilt."""
        return float(np.degrees(np.arctan(np.hypot(*self.slopes))))

    @property
    def rises_towards_deg(self) -> float:
        """Direction in which the grid rises, from x towards y, 0 to 360 degrees."""
        return float(np.degrees(np.arctan2(self.slopes[1], self.slopes[0])) % 360.0)

    @property
    def shares_of_limit(self) -> tuple[float, ...]:
        """Height above the plane divided by its limit, without a sign; a target above 1 is off."""
        pairs = zip(self.off_plane_nm, self.limits_nm, strict=True)
        return tuple(abs(off) / limit for off, limit in pairs)


def fit_seat_tilt(places_nm: Float64, sums_nm: Float64, variances_nm2: Float64) -> SeatTilt | None:
    """Fit the plane of the heights by least squares, without the targets that are off it.

    The variance of a height is pooled from the images of all targets and from the scatter of the
    heights about the plane, so that errors which no image shows count as well.

    Parameters
    ----------
    places_nm
        Places (x, y) of the targets after the flip, [n, 2].
    sums_nm
        Height above the tilt axis before the flip plus that after it, [n].
    variances_nm2
        Estimates of the variance of one such sum from images, each with one degree of freedom, [m];
        may be empty.

    Returns
    -------
    SeatTilt or None
        None for fewer than three targets, for three without any estimate of their errors, and where
        the seat tilt is not known within 5 degrees, as for targets on a line.
    """
    on_plane = np.ones(len(places_nm), np.bool_)
    while True:
        found = _fit(places_nm, sums_nm, variances_nm2, on_plane)
        if found is None:
            return None
        shares = np.where(on_plane, found.shares_of_limit, 0.0)
        worst = int(np.argmax(shares))
        if shares[worst] <= 1.0:
            return found
        on_plane[worst] = False


def _fit(
    places_nm: Float64, sums_nm: Float64, variances_nm2: Float64, on_plane: NDArray[np.bool_]
) -> SeatTilt | None:
    """Fit the plane of some targets, and judge each target by all others of these."""
    n = int(np.count_nonzero(on_plane))
    freedom = len(variances_nm2) + n - FEWEST
    if n < FEWEST or not freedom:
        return None
    design = np.column_stack([places_nm - places_nm[on_plane].mean(axis=0), np.ones(len(sums_nm))])
    fitted = design[on_plane]
    if np.linalg.matrix_rank(fitted) < FEWEST:
        return None
    inverse = np.linalg.inv(fitted.T @ fitted)
    plane = inverse @ fitted.T @ sums_nm[on_plane]
    residuals = sums_nm - design @ plane
    squares = float(np.sum(variances_nm2) + np.sum(residuals[on_plane] ** 2))
    squares = max(squares, freedom * LEAST_ERROR_NM**2)
    # both slopes together lie in an ellipse; this is its longer half axis
    reach = 2 * special.fdtri(2, freedom, CONFIDENCE)
    slope_error = np.sqrt(reach * np.linalg.eigvalsh(inverse[:2, :2])[-1] * squares / freedom)
    error_deg = np.degrees(np.arctan(slope_error))
    if error_deg > LARGEST_ERROR_DEG:
        return None
    leverages = np.einsum("ij,jk,ik->i", design, inverse, design)
    off_plane, limits = _judge(residuals, leverages, on_plane, squares, freedom)
    return SeatTilt(
        (float(plane[0]), float(plane[1])),
        float(error_deg),
        tuple(off_plane.tolist()),
        tuple(limits.tolist()),
    )


def _judge(
    residuals: Float64,
    leverages: Float64,
    on_plane: NDArray[np.bool_],
    squares: float,
    freedom: int,
) -> tuple[Float64, Float64]:
    """Return the height of each target above the plane of the others, and its limit (nm).

    A target of the plane is left out of it: its residual divided by one minus its leverage. (R. D.
    Cook, Technometrics 1977, 19, 15.)
    """
    spread = np.where(on_plane, 1.0 / np.maximum(1.0 - leverages, 1e-9), 1.0 + leverages)
    off_plane = np.where(on_plane, residuals * spread, residuals)
    others_freedom = np.where(on_plane, freedom - 1, freedom)
    others = np.where(on_plane, squares - residuals**2 * spread, squares)
    variances = np.maximum(others / np.maximum(others_freedom, 1), LEAST_ERROR_NM**2)
    reach = special.stdtrit(np.maximum(others_freedom, 1), 1.0 - CHANCE / (2 * len(residuals)))
    too_few = on_plane & (np.count_nonzero(on_plane) < FEWEST_TO_JUDGE)
    limits = np.where(too_few, np.inf, reach * np.sqrt(variances * spread))
    return off_plane, limits
