"""95 % intervals of particle counts.

Three uncertainties add up. First, which clusters are particles: each cluster is a particle with its
own probability, so their number is Poisson-binomial about the sum of the probabilities; it also
depends on the threshold. Second, which of them are in a wrong place. Third, how many particles left
no cluster: two independent series with
n_A and n_B particles, n_AB of them in common, give N = n_A n_B / n_AB (Lincoln and Petersen;
Chapman's form, 1951, is finite for small numbers). This is done for each depth slab, because A and
B miss particles on opposite sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from processing.combine.pose import mutual_pairs
from processing.count.particles import Threshold
from processing.results import Count
from processing.series import Bools, Float64

Z_95 = 1.96
UNSEEN_ERRORS, UNSEEN_ERROR_SHARE = 3, 1e-3
"""Errors that the clusters do not show. If no error is observed, up to three are possible at 95 %
(rule of three), but not more than one in a thousand particles, as simulated specimens show. A clear
count of six therefore stays six."""
WRONG_PLACES_ERROR = 0.52
"""Error of the expected number of wrong places in a specimen that is left out of the fit, over this
number, beyond its Poisson error. `python -m tests.calibration.fit` prints it, for 79 specimens. It
was 0.22 when more places were wrong (docs/decisions/0043 and 0048)."""
PARTICLES_PER_SLAB = 100


@dataclass(frozen=True)
class Missed:
    """Estimated number of particles that neither series shows, with its variance."""

    expected: float
    variance: float


def count_with_interval(threshold: Threshold, confidence: Float64) -> Count:
    """Count the particles at the threshold, with the 95 % interval of the true number.

    Parameters
    ----------
    confidence
        [cluster], including the clusters below the threshold.
    """
    expected = float(confidence.sum())
    margin = Z_95 * np.sqrt(float((confidence * (1 - confidence)).sum()))
    margin += min(UNSEEN_ERRORS, UNSEEN_ERROR_SHARE * threshold.n)
    low = min(threshold.n_low, expected - margin, threshold.n - margin)
    high = max(threshold.n_high, expected + margin, threshold.n + margin)
    return Count(n=threshold.n, n_low=max(0, int(np.floor(low))), n_high=int(np.ceil(high)))


def widen_by_wrong_places(count: Count, chances: Float64) -> Count:
    """Widen an interval by the particles whose place is wrong, with the error of their number.

    Such a sphere may stand for no particle, and a particle elsewhere may have no sphere. The error
    of their number is that of independent particles, and that of specimens, whose particles are in
    wrong places together.

    Parameters
    ----------
    chances
        [n], probability of a wrong place for each particle counted.
    """
    expected = float(chances.sum())
    more = int(expected + Z_95 * np.sqrt(expected + (WRONG_PLACES_ERROR * expected) ** 2))
    wider = {"n_low": max(0, count.n_low - more), "n_high": count.n_high + more}
    return count.model_copy(update=wider)


def widen_by_missed(count: Count, missed: Missed) -> Count:
    """Raise the upper end of an interval by the missed particles and their uncertainty."""
    more = missed.expected + Z_95 * np.sqrt(missed.variance)
    return count.model_copy(update={"n_high": count.n_high + int(np.ceil(more))})


def missed_by_both(
    centres_a_nm: Float64, centres_b_nm: Float64, fused_nm: Float64, within_nm: float
) -> Missed:
    """Estimate how many particles are in no table, from those of the fused result in A and B.

    A particle of A or B counts only if the fused result confirms it. Otherwise a false particle on
    the blurred side of one series would count as missed by the other. Particles of the fused result
    that are in neither series are subtracted from the estimate.

    Parameters
    ----------
    centres_a_nm, centres_b_nm, fused_nm
        [n, 3] (x, y, z) of A, of B and of the fused result, in A's frame.
    within_nm
        Largest distance between two centres of the same particle.
    """
    in_a, in_b = np.zeros((2, len(fused_nm)), bool)
    in_a[mutual_pairs(fused_nm, centres_a_nm, within_nm)[0]] = True
    in_b[mutual_pairs(fused_nm, centres_b_nm, within_nm)[0]] = True
    depth = fused_nm[:, 2]
    slabs = max(1, len(depth) // PARTICLES_PER_SLAB)
    edges = np.quantile(depth, np.linspace(0, 1, slabs + 1)[1:-1]) if len(depth) else np.zeros(0)

    def per_slab(chosen: Bools) -> Float64:
        slab = np.searchsorted(edges, depth[chosen])
        return np.bincount(slab, minlength=slabs).astype(np.float64)

    both = per_slab(in_a & in_b)
    a_only, b_only = per_slab(in_a & ~in_b), per_slab(in_b & ~in_a)
    neither = per_slab(~in_a & ~in_b)
    expected = np.maximum(a_only * b_only / (both + 1) - neither, 0)
    n_a, n_b = both + a_only, both + b_only
    variance = (n_a + 1) * (n_b + 1) * a_only * b_only / ((both + 1) ** 2 * (both + 2))
    return Missed(float(expected.sum()), float(variance.sum()))


def widen_by_fused(alone: Count, centres_nm: Float64, fused_nm: Float64, within_nm: float) -> Count:
    """Widen the interval of one series by its errors, as shown by the fused result.

    One series alone does not show the errors on its blurred side. Compared with the fused result,
    missed particles raise the upper end and false particles lower the lower end of the interval,
    each with its Poisson uncertainty.

    Parameters
    ----------
    centres_nm, fused_nm
        [n, 3] of the series and of the fused result, in one frame.
    within_nm
        Largest distance between two centres of the same particle.
    """
    same = len(mutual_pairs(centres_nm, fused_nm, within_nm)[0])
    false, missed = len(centres_nm) - same, len(fused_nm) - same
    low = alone.n - false - Z_95 * np.sqrt(false)
    high = alone.n + missed + Z_95 * np.sqrt(missed)
    wider = {
        "n_low": max(0, min(alone.n_low, int(np.floor(low)))),
        "n_high": max(alone.n_high, int(np.ceil(high))),
    }
    return alone.model_copy(update=wider)
