"""Places that a fit of equal spheres lacks: proposed by images and lattice, decided by the images.

The fit moves spheres by small steps and finds the nearest solution. Two kinds of proposals lead out
of it:

- spheres where the residual of the images shows one (`processing/fit/missing.py`);
- the sites of a crystal or of its grains, for particles that have settled beside them. On the exit
  side of one series a part can be displaced as a whole, and no small step leads back.

All images are fitted again with the proposed places. The new fit is kept only if it explains the
images better, by more than the new places must by chance. So a part of a crystal that is truly
disordered, cracked or turned stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from processing.count.particles import SMALLEST_DISTANCE
from processing.count.wrong_places import local_scatter
from processing.fit.information import explains_better
from processing.fit.missing import missing_spheres
from processing.fit.spheres import SphereFit
from processing.pipeline.judged_places import known_sites
from processing.progress import Progress, within
from processing.series import Float64

PASSES = 3
"""Largest number of passes; each tries all kinds of proposals."""
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


Propose = Callable[[SphereFit, float], Proposal | None]
"""Propose a start of a new fit, from a fit and the diameter (nm); None if there is nothing new."""
Fit = Callable[[Float64, Float64, Progress], SphereFit]
"""Fit all images from centres [n, 3] and amplitudes [n]."""


def with_proposals(
    fit: SphereFit, diameter_nm: float, fitted: Fit, progress: Progress
) -> SphereFit:
    """Return the fit with those proposed places by which the images are explained better."""
    # two series show the exit sides of each other
    alone = len(fit.blurs_nm) == 1
    kinds: tuple[Propose, ...] = (missing, on_sites) if alone else (missing,)
    for done in range(PASSES):
        before = fit
        for number, propose in enumerate(kinds):
            start = (done + number / len(kinds)) / PASSES
            part = within(progress, start, start + 1 / len(kinds) / PASSES)
            fit = _tried(fit, propose(fit, diameter_nm), fitted, part)
        if fit is before:
            break
    return fit


def missing(fit: SphereFit, diameter_nm: float) -> Proposal | None:
    """Propose more spheres, where the residual of the images shows one."""
    places_nm, amplitudes = missing_spheres(fit, diameter_nm, kind=0)
    return _with_more(fit.centres_nm, fit.amplitudes, places_nm, amplitudes)


def on_sites(fit: SphereFit, diameter_nm: float) -> Proposal | None:
    """Propose free sites of the lattices in place of particles that lie beside all sites."""
    particles = fit.spheres.are_particles
    if not particles.any():
        return None
    centres_nm = fit.centres_nm
    sizes_nm = np.full(len(centres_nm), diameter_nm)
    scatter = local_scatter(centres_nm, centres_nm[particles], sizes_nm[particles])
    known = known_sites(centres_nm, fit.evidence.sharpness, scatter, particles)
    if known is None:
        return None
    beside = particles & known.beside
    right = particles & ~beside
    sites_nm = known.sites_around(centres_nm, beside)
    if not right.any() or not len(sites_nm):
        return None
    free = cKDTree(centres_nm[right]).query(sites_nm)[0] > SMALLEST_DISTANCE * diameter_nm
    sites_nm = sites_nm[free]
    start = np.full(len(sites_nm), START_AMPLITUDE)
    return _with_more(centres_nm[right], fit.amplitudes[right], sites_nm, start)


def _with_more(
    centres_nm: Float64, amplitudes: Float64, more_nm: Float64, more: Float64
) -> Proposal | None:
    if not len(more):
        return None
    return Proposal(np.vstack([centres_nm, more_nm]), np.concatenate([amplitudes, more]), len(more))


def _tried(fit: SphereFit, proposal: Proposal | None, fitted: Fit, progress: Progress) -> SphereFit:
    """Return the fit from a proposal if it explains the images better, or else the one before."""
    if proposal is None:
        return fit
    trial = fitted(proposal.centres_nm, proposal.amplitudes, progress)
    return trial if explains_better(trial, fit, UNKNOWNS * proposal.new) else fit
