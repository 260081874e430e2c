"""How sure a count is: 95 % intervals with no truth at hand.

Two doubts add up. Which clusters are particles: each is one with its own chance, so that their
number is Poisson-binomial around the sum of the chances, and the threshold moves it as well. And
which particles left no cluster at all: from two independent looks, n_A and n_B with n_AB in
common, N = n_A n_B / n_AB (Lincoln and Petersen; Chapman's form, 1951, stays finite for small
numbers), slab by slab of depth, because A and B miss particles at opposite sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from processing.combine.pose import mutual_pairs
from processing.count.particles import Threshold
from processing.results import Count
from processing.series import Bools, Float64

Z_95 = 1.96
UNSEEN, UNSEEN_SHARE = 3, 1e-3
"""Where none of a kind of fault is seen, up to three are still likely at 95 % (rule of three); no
more than one in a thousand, as simulated specimens show: six particles seen well are six."""
PARTICLES_PER_SLAB = 100


@dataclass(frozen=True)
class Missed:
    """Particles that neither series shows, estimated from those that only one shows."""

    expected: float
    variance: float


def count_with_interval(threshold: Threshold, confidence: Float64) -> Count:
    """Count at the threshold, with the interval that holds the true number in 95 % of cases.

    Parameters
    ----------
    confidence
        [cluster], of all clusters, the ones under the threshold among them.
    """
    expected = float(confidence.sum())
    doubt = Z_95 * np.sqrt(float((confidence * (1 - confidence)).sum()))
    doubt += min(UNSEEN, UNSEEN_SHARE * threshold.n)
    low = min(threshold.n_low, expected - doubt, threshold.n - doubt)
    high = max(threshold.n_high, expected + doubt, threshold.n + doubt)
    return Count(n=threshold.n, n_low=max(0, int(np.floor(low))), n_high=int(np.ceil(high)))


def with_missed(count: Count, missed: Missed) -> Count:
    """The interval's upper end raised by particles that left no trace, with their doubt."""
    more = missed.expected + Z_95 * np.sqrt(missed.variance)
    return count.model_copy(update={"n_high": count.n_high + int(np.ceil(more))})


def missed_by_both(
    centres_a_nm: Float64, centres_b_nm: Float64, whole_nm: Float64, within_nm: float
) -> Missed:
    """Particles that no table holds, from how those of the whole are shared between A's and B's.

    Only what the whole confirms counts as seen: what a series makes up on its blurred side would
    pass for a find that the other one missed. What the whole shows and neither series does is
    part of what both were expected to miss.

    Parameters
    ----------
    centres_a_nm, centres_b_nm, whole_nm
        [n, 3] (x, y, z) of A, of B and of both together, in A's frame.
    """
    seen_by_a, seen_by_b = np.zeros((2, len(whole_nm)), bool)
    seen_by_a[mutual_pairs(whole_nm, centres_a_nm, within_nm)[0]] = True
    seen_by_b[mutual_pairs(whole_nm, centres_b_nm, within_nm)[0]] = True
    depth = whole_nm[:, 2]
    slabs = max(1, len(depth) // PARTICLES_PER_SLAB)
    edges = np.quantile(depth, np.linspace(0, 1, slabs + 1)[1:-1]) if len(depth) else np.zeros(0)

    def tally(these: Bools) -> Float64:
        slab = np.searchsorted(edges, depth[these])
        return np.bincount(slab, minlength=slabs).astype(np.float64)

    both = tally(seen_by_a & seen_by_b)
    a_only, b_only = tally(seen_by_a & ~seen_by_b), tally(seen_by_b & ~seen_by_a)
    neither = tally(~seen_by_a & ~seen_by_b)
    expected = np.maximum(a_only * b_only / (both + 1) - neither, 0)
    n_a, n_b = both + a_only, both + b_only
    variance = (n_a + 1) * (n_b + 1) * a_only * b_only / ((both + 1) ** 2 * (both + 2))
    return Missed(float(expected.sum()), float(variance.sum()))


def beside_the_whole(
    alone: Count, centres_nm: Float64, whole_nm: Float64, within_nm: float
) -> Count:
    """Widen one series' interval by what the fused volume shows of its faults.

    A series cannot know what its blurred side hides; once both are fused, the particles it missed
    raise the upper end and those it made up lower the other, each with its Poisson doubt.

    Parameters
    ----------
    centres_nm, whole_nm
        [n, 3] of the series and of the fused volume, in one frame.
    within_nm
        Centres nearer than this are one particle.
    """
    same = len(mutual_pairs(centres_nm, whole_nm, within_nm)[0])
    made_up, missed = len(centres_nm) - same, len(whole_nm) - same
    low = alone.n - made_up - Z_95 * np.sqrt(made_up)
    high = alone.n + missed + Z_95 * np.sqrt(missed)
    return Count(
        n=alone.n,
        n_low=max(0, min(alone.n_low, int(np.floor(low)))),
        n_high=max(alone.n_high, int(np.ceil(high))),
    )
