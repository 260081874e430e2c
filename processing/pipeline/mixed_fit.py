"""Fit of spheres of two kinds: the kind of each by its brightness, and the figures of each kind."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from processing.count.kinds import FittedKind
from processing.count.particles import typical_weight
from processing.fit.imager import SphereKind
from processing.fit.mixture import FAINTEST, Mixture, fit_kinds, two_groups
from processing.fit.spheres import SphereFit
from processing.fit.view import Spheres
from processing.series import Float64

SAME_DIAMETER = (0.94, 1.1)
"""Range of the apparent diameter of the fainter kind, in diameters of the brighter one, in which
both are of the same size. Smaller particles appear narrower, blurred or half hidden ones wider."""
FAINTEST_MATERIAL = 0.2
"""Smallest signal of a second material, in signals of the first: that of atoms of four tenths of
the atomic number, as of zinc beside gold. Fainter objects can be noise."""
FEWEST_OF_A_KIND = 3
SMALLEST_SHARE = 0.03
"""Smallest share of a kind among the particles."""
PARTICLE = 0.5
"""Smallest brightness of a certain particle, in brightnesses of a typical one."""


@dataclass(frozen=True, eq=False)
class MixedFit:
    """Fit of spheres of several kinds.

    Attributes
    ----------
    fit
        Positions and amplitudes of all candidates; an amplitude is relative to its own kind.
    mixture
        Kind of each candidate.
    diameter_nm
        Diameter of the first kind, the brightest.
    density
        Signal of the fainter kind over the signal that its apparent size predicts.
    """

    fit: SphereFit
    mixture: Mixture
    diameter_nm: float
    density: float

    @property
    def signals(self) -> Float64:
        """Signal [n] of a sphere that has the usual brightness of its kind."""
        return np.array([kind.signal for kind in self.mixture.kinds])[self.mixture.members]

    @property
    def of_two_materials(self) -> bool:
        """True if both kinds have the same diameter."""
        return self.mixture.kinds[1].size == self.mixture.kinds[0].size

    @property
    def kinds(self) -> tuple[FittedKind, ...]:
        """Each kind, the brightest first."""
        return tuple(
            FittedKind(kind.size * self.diameter_nm, kind.signal) for kind in self.mixture.kinds
        )

    @property
    def kinds_nm(self) -> tuple[float, ...]:
        """Diameter of each kind, the brightest first."""
        return tuple(kind.diameter_nm for kind in self.kinds)

    @property
    def members_nm(self) -> Float64:
        """Diameter of each candidate's kind, [n]."""
        return np.array(self.kinds_nm)[self.mixture.members]

    @property
    def own_diameters_nm(self) -> Float64:
        """Diameter of each candidate, from its kind and its brightness, [n]."""
        brightness = np.maximum(self.fit.amplitudes, 1e-3)
        return np.asarray(self.members_nm * np.cbrt(brightness), np.float64)


def split_by_brightness(fit: SphereFit, signals: Float64, diameter_nm: float) -> MixedFit | None:
    """Sort the spheres of a fit into two kinds by their brightness.

    Parameters
    ----------
    signals
        [n], signal of a sphere of amplitude 1.
    diameter_nm
        Diameter to which the sizes of the views' imager are relative.
    """
    brightness = fit.amplitudes * signals
    if not len(brightness):
        return None
    brightness = relative_brightness(brightness)
    limit = two_groups(brightness)
    if limit is None:
        return None
    members = (brightness < limit).astype(np.int64)
    own = np.array(
        [np.median(brightness[(members == kind) & (brightness > FAINTEST)]) for kind in (0, 1)]
    )
    amplitudes = brightness / own[members]
    kinds = fit_kinds(fit.views, Spheres(fit.centres_nm, amplitudes, members))
    largest = kinds[0]
    signal = min(kinds[1].signal, 1.0)
    apparent = kinds[1].size / largest.size
    narrowest, widest = SAME_DIAMETER
    same = narrowest < apparent < widest and signal > FAINTEST_MATERIAL
    # objects that were not all found yet, or not exactly, look wider but not brighter
    size = 1.0 if same else min(apparent, float(np.cbrt(signal)))
    mixture = Mixture((SphereKind(), SphereKind(size, signal)), members)
    return MixedFit(
        replace(fit, amplitudes=amplitudes, kinds=members),
        mixture,
        largest.size * diameter_nm,
        signal / apparent**3,
    )


def are_kinds(mixed: MixedFit) -> bool:
    """Return true if each kind has enough particles: a few odd objects are no kind."""
    particles = mixed.fit.amplitudes > PARTICLE
    numbers = np.bincount(mixed.mixture.members[particles], minlength=2)
    return bool(numbers.min() >= max(FEWEST_OF_A_KIND, SMALLEST_SHARE * int(particles.sum())))


def relative_brightness(brightness: Float64) -> Float64:
    """Return brightness [n] in brightnesses of a typical particle."""
    return np.asarray(brightness / typical_weight(brightness), np.float64)
