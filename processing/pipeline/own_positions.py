"""Position of each particle in the tables of a detection, and the standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from processing.combine.pose import mutual_pairs
from processing.count.kinds import FittedKind
from processing.count.own_sizes import spread_of
from processing.files.particles import ParticleTable
from processing.fit.position_system import STAGE
from processing.fit.positions import measure_positions
from processing.fit.spheres import SphereFit
from processing.progress import Progress, silent
from processing.series import Float64

FEWEST_PAIRS = 50
"""Fewest particles in both series whose distances calibrate the errors."""
OUTLIER = 3.5
"""Distance from the median, in robust standard deviations, beyond which a pair does not count."""


def with_own_positions(
    table: ParticleTable,
    fit: SphereFit,
    kinds: Sequence[FittedKind],
    *,
    errors: bool = True,
    progress: Progress = silent,
) -> ParticleTable:
    """Return particles of a fit at the positions that their own diameters give, with errors.

    Diameters as uncertain as their spread are drawn towards the mean of their kind.

    Parameters
    ----------
    table
        Particles with their own diameters.
    kinds
        Kinds of the fit.
    errors
        Measure the standard errors of the positions.
    """
    if not len(table):
        return table
    candidate = numbers_of(table, fit.centres_nm)
    members = np.zeros(len(table), np.int64) if fit.kinds is None else fit.kinds[candidate]
    usual_nm = np.array([kind.diameter_nm for kind in kinds])[members]
    log_size = np.log(table.diameter_nm / usual_nm)
    error = table.diameter_se_nm / table.diameter_nm
    variance = spread_of(log_size, error).value ** 2
    share = variance / np.maximum(variance + error**2, 1e-30)
    log_sizes, size_errors = np.zeros((2, len(fit.centres_nm)))
    log_sizes[candidate] = share * log_size
    size_errors[candidate] = np.sqrt(share) * error
    progress(STAGE, 0.0)
    positions = measure_positions(
        fit, log_sizes, size_errors if errors else None, progress=progress
    )
    return replace(
        table,
        centres_nm=positions.centres_nm[candidate],
        centre_se_nm=positions.errors_nm[candidate],
    )


def numbers_of(table: ParticleTable, centres_nm: Float64) -> NDArray[np.intp]:
    """Return the number [n] of the centre at which each particle of a table is."""
    return np.asarray(cKDTree(centres_nm).query(table.centres_nm)[1], np.intp)


def calibrated_by_pairs(
    table: ParticleTable, a: ParticleTable, b: ParticleTable, within_nm: float
) -> ParticleTable:
    """Return particles of both series with errors like those of the weighted mean of A and B.

    The errors of A and B are independent but for what both share, so that their differences show
    more than the residual of one: the errors of the model, too. The errors of A and B are scaled,
    along each axis, to these differences. A fit of all images is as exact as their weighted mean at
    least; its own residual does not show errors by which A and B pull a particle apart. All tables
    are in A's frame.

    Parameters
    ----------
    within_nm
        Largest distance between two centres of the same particle.
    """
    here, there = mutual_pairs(a.centres_nm, b.centres_nm, within_nm)
    squares_a, squares_b = a.centre_se_nm[here] ** 2, b.centre_se_nm[there] ** 2
    expected = squares_a + squares_b
    known = ~np.isnan(expected).any(axis=1)
    if known.sum() < FEWEST_PAIRS or np.isnan(table.centre_se_nm).all():
        return table
    apart_nm = (a.centres_nm[here] - b.centres_nm[there])[known] / np.sqrt(expected[known])
    of_mean = (squares_a * squares_b / expected)[known].mean(axis=0)
    told = np.nanmean(table.centre_se_nm**2, axis=0)
    factor = _robust_rms(apart_nm) * np.sqrt(of_mean / told)
    return replace(table, centre_se_nm=table.centre_se_nm * factor)


def _robust_rms(values: Float64) -> Float64:
    """Return the standard deviation of each column [n, 3], without outliers."""
    deviation = np.abs(values - np.median(values, axis=0))
    usual = deviation <= OUTLIER * 1.4826 * np.median(deviation, axis=0)
    return np.array([column[kept].std() for column, kept in zip(values.T, usual.T, strict=True)])
