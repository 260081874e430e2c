"""Pair correlation g(r) and structure factor S(q) of a finite assembly.

Both compare the pairs with those of a uniform body of the assembly's own shape, so that g(r) is 1
for uncorrelated places at every distance, and S(q) lacks the small-angle scattering of the shape.
The mean of g(r) over the outer half of its range is set to 1. S(q) is the sine transform of
g(r) - 1, with a Lorch window against the end of the range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from processing.series import Float64
from processing.structure.envelope import Envelope, pair_share

RANGE = 8.0
"""Largest distance of g(r), in spacings, or the size of the body."""
BINS_PER_SPACING = 50
Q_RANGE = (2.0, 40.0)
"""Range of q, in inverse spacings: the first peak of a close packing is at 7.7."""
Q_POINTS = 400
MOST_PARTICLES = 20_000
"""Largest number of particles whose distances are measured; more are drawn at random."""
FEWEST_EXPECTED = 0.5
"""Smallest number of pairs in a bin of g(r); with less, g is set to 1, or to 0 below the nearest
pair."""
BLOCK = 256
"""Particles whose distances are measured at once; it bounds the memory."""


@dataclass(frozen=True, eq=False)
class Correlations:
    """Pair correlation and structure factor, with the errors of the numbers of pairs.

    Attributes
    ----------
    r_nm, g, g_error
        [bin], middle of the bin.
    q_per_nm, s, s_error
        [q]
    """

    r_nm: Float64
    g: Float64
    g_error: Float64
    q_per_nm: Float64
    s: Float64
    s_error: Float64


def radii(centres_nm: Float64, spacing_nm: float) -> Float64:
    """Return the middles of the bins of g(r) (nm) for centres [n, 3]."""
    size_nm = float(np.linalg.norm(np.ptp(centres_nm, axis=0)))
    bins = max(4, round(min(RANGE, 0.5 * size_nm / spacing_nm) * BINS_PER_SPACING))
    return np.asarray(spacing_nm / BINS_PER_SPACING * (np.arange(bins) + 0.5), np.float64)


def correlations(centres_nm: Float64, radii_nm: Float64, envelope: Envelope) -> Correlations:
    """Return g(r) and S(q) of centres [n, 3] in bins around `radii`."""
    bins, width_nm = len(radii_nm), 2 * radii_nm[0]
    edges = width_nm * np.arange(bins + 1)
    pairs = _count_distances(_thinned(centres_nm), width_nm, bins)
    uniform = np.diff(edges**3) * pair_share(envelope, radii_nm)
    far = slice(bins // 2, None)
    expected = uniform * pairs[far].sum() / max(uniform[far].sum(), 1e-30)
    usable = expected > FEWEST_EXPECTED
    unknown = np.where(np.cumsum(pairs) == 0, 0.0, 1.0)
    g = np.divide(pairs, expected, out=unknown, where=usable)
    error = np.divide(np.sqrt(pairs), expected, out=np.zeros(bins), where=usable)
    density = len(centres_nm) / envelope.volume_nm3
    weight = density * 4 * np.pi / 3 * uniform * np.sinc(radii_nm / edges[-1])
    q = np.linspace(*Q_RANGE, Q_POINTS) / (width_nm * BINS_PER_SPACING)
    wave = np.sinc(np.outer(q, radii_nm) / np.pi)
    s = 1 + wave @ (weight * (g - 1))
    s_error = np.sqrt(wave**2 @ (weight * error) ** 2)
    return Correlations(radii_nm, g, error, q, s, s_error)


def _thinned(centres_nm: Float64) -> Float64:
    """Draw `MOST_PARTICLES` of the centres, always the same ones; keep all if they are fewer."""
    if len(centres_nm) <= MOST_PARTICLES:
        return centres_nm
    drawn = np.random.default_rng(0).choice(len(centres_nm), MOST_PARTICLES, replace=False)
    return np.asarray(centres_nm[drawn])


def _count_distances(centres_nm: Float64, width_nm: float, bins: int) -> Float64:
    """Count the distances between different particles in bins of equal width, each pair once."""
    points = (centres_nm - centres_nm.mean(axis=0)).astype(np.float32)
    squares = (points**2).sum(axis=1)
    total = np.zeros(bins)
    for at in range(0, len(points), BLOCK):
        block, others = points[at : at + BLOCK], points[at:]
        squared = squares[at : at + BLOCK, None] + squares[at:] - 2 * block @ others.T
        within = slice(None), slice(len(block))
        squared[within] = np.where(np.tri(len(block), dtype=bool), np.inf, squared[within])
        # half a bin beyond the last one, so that rounding moves no far pair into it
        np.minimum(squared, ((bins + 0.5) * width_nm) ** 2, out=squared)
        np.sqrt(np.maximum(squared, 0, out=squared), out=squared)
        squared /= width_nm
        total += np.bincount(squared.astype(np.int32).ravel(), minlength=bins + 1)[:bins]
    return total
