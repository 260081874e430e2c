"""Places that a fit of equal spheres lacks: proposed by images and lattice, decided by the images.

The fit moves spheres by small steps and finds the nearest solution. Two kinds of proposals lead out
of it:

- spheres where the residual of the images shows one (`processing/fit/missing.py`);
- the sites of a crystal or of its grains, for particles that have settled beside them. On the exit
  side of one series, and in coarse tilts in the middle between two, a part can be displaced as a
  whole, and no small step leads back.

The fit goes on with the proposed places. It is kept only if it explains the images better, by more
than the new places must by chance. Sites are not tried before the places are at rest: until then
any further round explains the images better, and nothing follows from it. So a part of a crystal
that is truly disordered, cracked or turned stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from processing.count.particles import SMALLEST_DISTANCE
from processing.count.wrong_places import local_scatter
from processing.fit.information import explains_better
from processing.fit.missing import missing_spheres
from processing.fit.spheres import SphereFit, fit_again
from processing.pipeline.judged_places import entrance_half, known_sites
from processing.progress import Progress, within
from processing.series import Float64

PASSES = 3
"""Largest number of passes; each tries both kinds of proposals together."""
MOST_ROUNDS = 8
"""Largest number of rounds of the fit that tries them. Where tilts are sparse or the object is
thick, places come to rest only then."""
START_AMPLITUDE = 0.8
"""Amplitude of a site at the start of the fit, which decides whether it holds a particle."""
UNKNOWNS = 4
"""Unknowns of a sphere: its place and its amplitude."""


@dataclass(frozen=True, eq=False)
class Proposal:
    """Start of a new fit.

    Attributes
    ----------
    centres_nm, amplitudes
        [n, 3] and [n], all spheres.
    new
        Number of those that are not where the fit before has one.
    """

    centres_nm: Float64
    amplitudes: Float64
    new: int

    def with_more(self, places_nm: Float64, amplitudes: Float64) -> Proposal:
        """Return the proposal with further spheres, [m, 3] and [m]."""
        return Proposal(
            np.vstack([self.centres_nm, places_nm]),
            np.concatenate([self.amplitudes, amplitudes]),
            self.new + len(amplitudes),
        )


def with_proposals(
    fit: SphereFit, diameter_nm: float, *, may_deform: bool, progress: Progress
) -> SphereFit:
    """Return the fit at rest, with proposed places while they explain the images better.

    One series is fitted again in any case: any further round explains its images better, and sites
    would be kept for that.

    Parameters
    ----------
    may_deform
        See `fit_spheres`.
    """
    if not fit.spheres.are_particles.any():
        return fit
    # two series show the exit sides of each other: once at rest, their places need no proposals
    enough = fit.at_rest and len(fit.blurs_nm) > 1
    for done in range(PASSES):
        start = on_sites(fit, diameter_nm) if done else as_fitted(fit)
        proposal = _with_missing(start, fit, diameter_nm)
        if not proposal.new and (done or enough):
            break
        trial = fit_again(
            fit,
            proposal.centres_nm,
            proposal.amplitudes,
            diameter_nm,
            rounds=MOST_ROUNDS,
            may_deform=may_deform,
            progress=within(progress, done / PASSES, (done + 1) / PASSES),
        )
        if not explains_better(trial, fit, UNKNOWNS * proposal.new):
            break
        fit = trial
    return fit


def _with_missing(proposal: Proposal, fit: SphereFit, diameter_nm: float) -> Proposal:
    """Return a proposal with more spheres, where the residual of the images shows one."""
    places_nm, amplitudes = missing_spheres(fit, diameter_nm, kind=0)
    apart_nm = cKDTree(proposal.centres_nm).query(places_nm)[0]
    apart = apart_nm > SMALLEST_DISTANCE * diameter_nm
    return proposal.with_more(places_nm[apart], amplitudes[apart])


def as_fitted(fit: SphereFit) -> Proposal:
    """Return the spheres of a fit, without any new place."""
    return Proposal(fit.centres_nm, fit.amplitudes, 0)


def on_sites(fit: SphereFit, diameter_nm: float) -> Proposal:
    """Propose free sites of the lattices in place of particles that lie beside all sites."""
    particles = fit.spheres.are_particles
    centres_nm = fit.centres_nm
    sizes_nm = np.full(len(centres_nm), diameter_nm)
    scatter = local_scatter(centres_nm, centres_nm[particles], sizes_nm[particles])
    alone = len(fit.blurs_nm) == 1
    certain = entrance_half(centres_nm, particles) if alone else np.ones(len(centres_nm), bool)
    known = known_sites(centres_nm, fit.evidence.sharpness, scatter, particles, certain)
    if known is None:
        return as_fitted(fit)
    beside = particles & known.beside
    right = particles & ~beside
    sites_nm = known.sites_around(centres_nm, beside)
    if not right.any() or not len(sites_nm):
        return as_fitted(fit)
    free = cKDTree(centres_nm[right]).query(sites_nm)[0] > SMALLEST_DISTANCE * diameter_nm
    sites_nm = sites_nm[free]
    if not len(sites_nm):
        return as_fitted(fit)
    kept = Proposal(centres_nm[right], fit.amplitudes[right], 0)
    return kept.with_more(sites_nm, np.full(len(sites_nm), START_AMPLITUDE))
