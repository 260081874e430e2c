"""Fit of the particles of one volume: equal spheres, or two kinds where the images show two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.combine.pose import Pose
from processing.count.kinds import FittedKind
from processing.count.particles import typical_weight
from processing.device import CPU, Device
from processing.fit.spheres import ROUNDS, SphereFit, fit_spheres
from processing.pipeline.candidates import Candidates
from processing.pipeline.proposals import with_proposals
from processing.pipeline.two_kinds import fit_two_kinds, heaviest_outside_others, second_size_hint
from processing.progress import Progress, silent, within
from processing.series import Float64, TiltSeries

FIRST_SHARE = 0.6
"""Part of the progress that the first fit takes; further ones follow where it does not suffice."""


@dataclass(frozen=True, eq=False)
class ParticleFit:
    """Candidates after all fits.

    Attributes
    ----------
    fit
        The last fit. An amplitude is relative to the kind of its candidate.
    kinds
        Kinds of particles, the brightest first; one if all are equal.
    sizes_nm
        Diameter of each candidate's kind, [n].
    own_nm
        Diameter of each candidate, with two kinds from its own brightness, [n].
    hinted
        Number of weaker objects that may be particles of a second kind, which was not searched.
    """

    fit: SphereFit
    kinds: tuple[FittedKind, ...]
    sizes_nm: Float64
    own_nm: Float64
    hinted: int = 0

    @property
    def diameter_nm(self) -> float:
        """Diameter of the brightest kind."""
        return self.kinds[0].diameter_nm

    def apart(self) -> tuple[NDArray[np.intp], Float64]:
        """Return the numbers of the candidates that lie in no heavier one, and their weights.

        A weight of 1 is that of a typical particle of the kind.
        """
        kept = heaviest_outside_others(self.fit.centres_nm, self.fit.amplitudes, self.sizes_nm)
        weights = self.fit.amplitudes[kept]
        if len(self.kinds) == 1 and len(weights):
            weights = weights / typical_weight(weights)
        return kept, weights


def fit_particles(
    candidates: Candidates,
    series: Sequence[tuple[TiltSeries, Pose | None]],
    diameter_nm: float,
    *,
    rounds: int = ROUNDS,
    second_size: bool = True,
    may_deform: bool = True,
    propose: bool = True,
    device: Device = CPU,
    progress: Progress = silent,
) -> ParticleFit:
    """Fit spheres to the images of one series or of both, starting at the candidates.

    Parameters
    ----------
    series
        See `fit_spheres`, also for `rounds`.
    second_size
        Search particles of a second kind where the brightness of equal ones hints at one.
    may_deform
        See `fit_spheres`.
    propose
        Try places of equal spheres that the volume does not show (`processing.pipeline.proposals`).
    """
    clusters, pixel_nm = candidates.clusters, candidates.pixel_nm
    first, later = within(progress, 0.0, FIRST_SHARE), within(progress, FIRST_SHARE, 1.0)
    equal = fit_spheres(
        series,
        clusters.centres_px * pixel_nm,
        clusters.weight,
        diameter_nm,
        rounds=rounds,
        may_deform=may_deform,
        device=device,
        progress=first,
    )
    hinted = 0 if second_size else second_size_hint(equal)
    if second_size:
        mixed = fit_two_kinds(
            equal,
            candidates.search,
            series,
            diameter_nm,
            rounds=rounds,
            pixel_nm=pixel_nm,
            device=device,
            progress=later,
        )
        if mixed is not None:
            return ParticleFit(mixed.fit, mixed.kinds, mixed.members_nm, mixed.own_diameters_nm)
    if propose:
        equal = with_proposals(equal, diameter_nm, may_deform=may_deform, progress=later)
    sizes_nm = np.full(len(equal.amplitudes), diameter_nm)
    return ParticleFit(equal, (FittedKind(diameter_nm),), sizes_nm, sizes_nm, hinted)
