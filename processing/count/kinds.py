"""Kind of each particle by its own brightness, with its probability, and the number of each kind.

Brightness is given as a diameter: the cube root of the integrated signal. Particles of one material
have that of their size; those of another material appear larger or smaller than they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.count.interval import Z_95
from processing.count.own_sizes import spread_of
from processing.results import Count
from processing.series import Float64

LEAST_WIDTH = 0.01
"""Smallest standard deviation of the logarithms of a kind."""
ODD = 1e-3
"""Share of the particles of which the brightness says nothing about the kind."""


@dataclass(frozen=True)
class FittedKind:
    """Particles of one diameter and one signal.

    Attributes
    ----------
    diameter_nm
        Mean diameter.
    signal
        Integrated signal of a particle, in signals of the first kind.
    """

    diameter_nm: float
    signal: float = 1.0


@dataclass(frozen=True)
class KindCount:
    """Number of particles of one kind, and its share among all, with 95 % intervals."""

    n: int
    n_low: int
    n_high: int
    share_low: float
    share_high: float


def kind_chances(
    log_brightness: Float64, error: Float64, kinds: NDArray[np.int64], number: int
) -> Float64:
    """Return the probability [n, kind] that each particle belongs to each kind.

    The logarithms of a kind are normally distributed about the median of the particles that the fit
    assigned to it, with their own spread.

    Parameters
    ----------
    log_brightness
        [n], logarithm of the brightness as a diameter.
    error
        [n], its standard error.
    kinds
        [n], number of the kind of each particle in the fit, from 0.
    number
        Number of kinds.
    """
    density = np.zeros((len(log_brightness), number))
    for kind in range(number):
        own = kinds == kind
        if not own.any():
            continue
        spread = spread_of(log_brightness[own], error[own]).value
        width = np.hypot(max(spread, LEAST_WIDTH), error)
        distance = (log_brightness - np.median(log_brightness[own])) / width
        density[:, kind] = own.mean() * np.exp(-(distance**2) / 2) / width
    assigned = np.eye(number)[kinds]
    total = density.sum(axis=1, keepdims=True)
    by_size = np.where(total > 0, density / np.maximum(total, 1e-300), assigned)
    return np.asarray((1 - ODD) * by_size + ODD / number, np.float64)


def kind_counts(chances: Float64, kinds: NDArray[np.int64], count: Count) -> list[KindCount]:
    """Return the number of particles of each kind, with its interval.

    The number is uncertain because the kinds of the particles are, and because the particles that
    the interval of the count holds may all be of this kind.

    Parameters
    ----------
    chances
        [n, kind], probability of each kind.
    kinds
        [n], the more probable kind, from 0.
    """
    found = []
    for kind in range(chances.shape[1]):
        chance, n = chances[:, kind], int((kinds == kind).sum())
        margin = Z_95 * float(np.sqrt((chance * (1 - chance)).sum()))
        low, high = min(n, chance.sum()) - margin, max(n, chance.sum()) + margin
        others = count.n - n
        found.append(
            KindCount(
                n,
                max(0, int(np.floor(low)) - (count.n - count.n_low)),
                int(np.ceil(high)) + count.n_high - count.n,
                _share(low - (count.n - count.n_low), others),
                _share(high + count.n_high - count.n, others),
            )
        )
    return found


def _share(n: float, others: float) -> float:
    return float(np.clip(n / max(n + others, 1), 0, 1))
