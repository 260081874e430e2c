"""Chance that a sphere of the fit is in a wrong place: no particle is within a quarter diameter.

There are two ways to a wrong place. A residual near the sphere pulls it; this shows where tilts are
too far apart or the images contradict one another. And on the exit side of one series spheres are
so blurred that several places explain the images equally well, without any residual. Four figures
tell such spheres from the others: how sharp their images are, how far apart the tilts are, how
much the distances to nearest neighbours scatter around them, and in a crystal or a grain how far
they are from the sites of its lattice. Right places of equal spheres in contact have nearly equal
distances.

The rule of one series was fitted to simulated series by `python -m tests.calibration.fit`
(docs/decisions/0030, 0033, 0036, 0040, 0042, 0043, 0046 and 0048).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import log_ndtr

from processing.series import Float64

PLACE_LIMIT = 0.012
"""Error of place, in diameters, at which half of the spheres are more than a quarter of a diameter
away from any particle. It is the error of one sphere alone; overlapping spheres that move together
are less certain."""
PLACE_STEEPNESS = 6.0
"""Power of the error with which the odds of a wrong place grow."""
LEAST_SHARPNESS, LEAST_SCATTER = 0.05, 0.01
"""Smallest sharpness and scatter that are told apart."""
FAULTS = 1e-3
"""Share of right places that may lie beside all sites of a real crystal: at dislocations, or at
faults that cross. Images that show a place count for more than the lattice. Simulated crystals have
no such places: with smaller shares their likelihood is larger, with this one their confidences are
the same within a point (docs/decisions/0036)."""
USUAL_SCATTER = 0.03
"""Scatter of right places in simulated assemblies, where the scatter is not known."""
NEIGHBOURS = 12
"""Number of particles around a place whose distances count: those in contact in a close packing."""
LARGEST_DEVIATION = 0.5
"""Largest deviation of one distance from the usual one that counts."""
LARGEST_LOG_ODDS = 50.0
"""Odds beyond which a place is as good as certain."""
NO_CONTACTS = 0.15
"""Scatter, in the most even tenth of the particles, above which they have no usual distance:
particles that are not in contact. Random points have 0.2 or more, wrong places 0.06 at most."""

CHANCES = (0.2, 0.4, 0.6, 0.75, 0.9)
"""Chances of a wrong place that are corrected to shares of wrong places. 0 and 1 stay."""


@dataclass(frozen=True, eq=False)
class Places:
    """Figures of the places of some spheres.

    Attributes
    ----------
    place_error
        [n], error of place that the residual of the images allows, in diameters.
    sharpness
        [n], gradient energy of the sphere's images, over that of the sharpest particles.
    scatter
        [n], scatter of the distances to nearest neighbours around the place (`local_scatter`).
    off_site
        [n], distance from the nearest site of the crystal or of the grain (`KnownSites`), in
        bonds; NaN where no lattice is known.
    in_grains
        True if the sites are those of several grains.
    usual_scatter
        Median of the scatter of all particles.
    step
        Angular step times size of the object, in diameters (Crowther et al. 1970); 0 with two
        series, where each shows the exit side of the other.
    """

    place_error: Float64
    sharpness: Float64
    scatter: Float64
    off_site: Float64
    in_grains: bool
    usual_scatter: float
    step: float

    @property
    def in_crystal(self) -> bool:
        """True if the sites of a single crystal are known."""
        return bool(np.isfinite(self.off_site).any()) and not self.in_grains

    def select(self, chosen: NDArray[np.intp]) -> Places:
        """Return the figures of some of the spheres."""
        return replace(
            self,
            place_error=self.place_error[chosen],
            sharpness=self.sharpness[chosen],
            scatter=self.scatter[chosen],
            off_site=self.off_site[chosen],
        )

    def without_sites(self) -> Places:
        """Return the figures as they are where no lattice is known."""
        return replace(self, off_site=np.full(len(self.off_site), np.nan), in_grains=False)


@dataclass(frozen=True)
class ExitRule:
    """Chance of a wrong place on the exit side of one series.

    The odds are (step . scatter . usual scatter / limit)^steepness / sharpness^sharpening. In a
    crystal a place is wrong if its true distance from the site exceeds `even`; the distance found
    has a normal error. `FAULTS` and `filled` limit its odds by those of the images. Several grains
    have figures of their own.
    """

    limit: float = 0.0841
    """Product of the three at which the odds are even for the sharpest spheres."""
    steepness: float = 1.81
    """Power with which the odds grow with this product."""
    sharpening: float = 4.74
    """Power with which the odds fall with the sharpness."""
    by_chance: float = 0.344
    """Share of the spheres whose place nothing shows that are near a particle all the same; none
    beside a single crystal, of which the images show most."""
    even: float = 0.207
    """Distance from a site of the crystal, in bonds, at which the odds are even: a quarter of a
    diameter, and the scatter of the particles around the sites."""
    distance_se: float = 0.0314
    """Standard error of the distance from a site, in bonds."""
    filled: float = 3.78
    """Smallest odds on a site of the crystal, over those of the residual: a wrong place may lie on
    a site by chance or in a vacancy. Residuals that show a wrong place count for more than the
    lattice."""
    grain_even: float = 0.204
    """The same distance in one of several grains."""
    grain_se: float = 0.0198
    """Standard error of the distance from a site of a grain, which is smaller than a crystal."""
    grain_filled: float = 0.0341
    """Smallest odds on a site of a grain, over the odds of the images."""
    grain_beside: float = 0.00758
    """Odds of the images, over the largest odds beside the sites of all grains: some right places
    are in a grain of which no lattice is known."""
    shares: tuple[float, ...] = (0.244, 0.385, 0.59, 0.723, 0.897)
    """Share of wrong places where all figures above give the chances `CHANCES`; linear between."""
    crystal_shares: tuple[float, ...] = (0.153, 0.293, 0.672, 0.896, 0.988)
    """The same in a single crystal: its lattice tells right from wrong places more sharply."""


ONE_SERIES = ExitRule()


def wrong_place_chance(places: Places, rule: ExitRule = ONE_SERIES) -> Float64:
    """Return the probability [n] that a sphere is more than a quarter diameter off any particle.

    The figures of the rule are correct on average over all particles, but not where in doubt: their
    chances are corrected to the shares of wrong places among simulated particles (histogram
    calibration; Zadrozny and Elkan 2001), of one series.
    """
    chances = _chance_by_figures(places, rule)
    if not places.step:  # two series
        return chances
    return corrected_chance(chances, rule.crystal_shares if places.in_crystal else rule.shares)


def corrected_chance(chances: Float64, shares: Sequence[float]) -> Float64:
    """Return chances [n] corrected to shares of wrong places, which belong to `CHANCES`."""
    return np.interp(chances, (0.0, *CHANCES, 1.0), (0.0, *shares, 1.0))


def _chance_by_figures(places: Places, rule: ExitRule) -> Float64:
    pulled = (places.place_error / PLACE_LIMIT) ** PLACE_STEEPNESS
    uneven = (
        places.step
        * np.maximum(places.scatter, LEAST_SCATTER)
        * max(places.usual_scatter, LEAST_SCATTER)
    )
    sharp = np.maximum(places.sharpness, LEAST_SHARPNESS) ** rule.sharpening
    unseen = (uneven / rule.limit) ** rule.steepness / sharp
    in_no_crystal = np.isnan(places.off_site)
    by_chance = rule.by_chance if in_no_crystal.all() else 0.0
    right = (1 - _chance(pulled)) * (1 - (1 - by_chance) * _chance(unseen))
    images = pulled + unseen
    if places.in_grains:
        beside = _odds_beside(places.off_site, rule.grain_even, rule.grain_se)
        beside = np.clip(beside, rule.grain_filled * images, images / rule.grain_beside)
    else:
        beside = _odds_beside(places.off_site, rule.even, rule.distance_se)
        beside = np.clip(beside, rule.filled * pulled, images / FAULTS)
    return np.where(in_no_crystal, 1 - right, _chance(beside))


def _odds_beside(off_site: Float64, even: float, distance_se: float) -> Float64:
    """Return the odds [n] that the true distance from a site exceeds `even`."""
    beyond = (off_site - even) / distance_se
    log_odds = log_ndtr(beyond) - log_ndtr(-beyond)
    return np.asarray(np.exp(np.clip(log_odds, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)), np.float64)


def local_scatter(places_nm: Float64, centres_nm: Float64, sizes_nm: Float64) -> Float64:
    """Return the scatter of the distances to nearest neighbours around places [n, 3].

    It is the root mean square deviation from the usual distance, over this distance, of the
    `NEIGHBOURS` particles nearest to each place. `USUAL_SCATTER` where particles have no usual
    distance.

    Parameters
    ----------
    centres_nm
        [m, 3], centres of the particles.
    sizes_nm
        [m], diameter of each particle.
    """
    unknown = np.full(len(places_nm), USUAL_SCATTER)
    if len(centres_nm) < 2:
        return unknown
    tree = cKDTree(centres_nm)
    nearest_nm, neighbour = (found[:, 1] for found in tree.query(centres_nm, k=2))
    if not np.median(nearest_nm):
        return unknown
    # particles of two sizes in contact lie at the usual distance in diameters, not in nm
    deviation = np.minimum(
        _deviation(nearest_nm), _deviation(2 * nearest_nm / (sizes_nm + sizes_nm[neighbour]))
    )
    squared = np.minimum(deviation, LARGEST_DEVIATION) ** 2
    around = range(1, min(NEIGHBOURS, len(centres_nm)) + 1)
    if _even_tenth(np.sqrt(_mean_of_nearest(tree, centres_nm, squared, around))) > NO_CONTACTS:
        return unknown
    return np.sqrt(_mean_of_nearest(tree, places_nm, squared, around))


def _deviation(distance: Float64) -> Float64:
    return np.asarray(np.abs(distance / np.median(distance) - 1), np.float64)


def _even_tenth(scatter: Float64) -> float:
    return float(np.quantile(scatter, 0.1))


def _mean_of_nearest(tree: cKDTree, places_nm: Float64, value: Float64, around: range) -> Float64:
    """Return the mean of a value [m] over the particles nearest to places [n, 3]."""
    return np.asarray(value[tree.query(places_nm, k=list(around))[1]].mean(axis=1), np.float64)


def _chance(odds: Float64) -> Float64:
    return np.asarray(1 - 1 / (1 + odds), np.float64)
