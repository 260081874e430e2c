"""Chance of each sphere of a fit that its place is wrong, from the images and from the sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from processing.count.grain_sites import sites_of_grains
from processing.count.known_sites import KnownSites
from processing.count.lattice_sites import sites_of_crystal
from processing.count.wrong_places import Places, local_scatter, wrong_place_chance
from processing.fit.spheres import SphereFit
from processing.pipeline.fitness import PARTICLE, angular_step, in_use
from processing.series import Bools, Float64, TiltSeries


@dataclass(frozen=True, eq=False)
class FittedSpheres:
    """Figures of a fit on which the places of its candidates are judged.

    Attributes
    ----------
    centres_nm
        [n, 3] as (x, y, z), those of the fit or as tables have them; the beam of one series enters
        at large z.
    amplitudes, place_error, sharpness
        [n], of the fit and its evidence.
    sizes_nm
        [n], diameters.
    step
        See `Places`; 0 with two series.
    """

    centres_nm: Float64
    amplitudes: Float64
    place_error: Float64
    sharpness: Float64
    sizes_nm: Float64
    step: float


def wrong_places(
    fit: SphereFit,
    series: Sequence[TiltSeries],
    diameter_nm: float,
    sizes_nm: Float64 | None = None,
    places_nm: Float64 | None = None,
) -> Float64:
    """Return the chance [n] of each candidate of a fit that its place is wrong.

    Parameters are those of `measure_fitness`, and places [n, 3] other than those of the fit.
    """
    spheres = fitted_spheres(fit, series, diameter_nm, sizes_nm)
    if places_nm is not None:
        spheres = replace(spheres, centres_nm=places_nm)
    return wrong_place_chance(places_of(spheres))


def fitted_spheres(
    fit: SphereFit,
    series: Sequence[TiltSeries],
    diameter_nm: float,
    sizes_nm: Float64 | None = None,
) -> FittedSpheres:
    """Return the figures of all candidates of a fit.

    Parameters are those of `measure_fitness`.
    """
    if sizes_nm is None:
        sizes_nm = np.full(len(fit.amplitudes), diameter_nm)
    particles = fit.amplitudes > PARTICLE
    alone = len(series) == 1 and particles.any()
    return FittedSpheres(
        fit.centres_nm,
        fit.amplitudes,
        fit.evidence.place_error,
        fit.evidence.sharpness,
        sizes_nm,
        angular_step(in_use(series, fit)[0], fit.centres_nm[particles], diameter_nm)
        if alone
        else 0.0,
    )


def places_of(spheres: FittedSpheres) -> Places:
    """Return the figures of the places of spheres."""
    centres_nm, particle = spheres.centres_nm, spheres.amplitudes > PARTICLE
    scatter = local_scatter(centres_nm, centres_nm[particle], spheres.sizes_nm[particle])
    usual = float(np.median(scatter[particle])) if particle.any() else 0.0
    known = None
    if spheres.step:
        certain = entrance_half(centres_nm, particle)
        known = known_sites(centres_nm, spheres.sharpness, scatter, particle, certain)
    return Places(
        place_error=spheres.place_error,
        sharpness=spheres.sharpness,
        scatter=scatter,
        off_site=np.full(len(scatter), np.nan) if known is None else known.off_site,
        in_grains=known is not None and known.in_grains,
        usual_scatter=usual,
        step=spheres.step,
    )


def entrance_half(centres_nm: Float64, particle: Bools) -> Bools:
    """Return which places [n] are in the half that the beam of one series enters, at large z."""
    return np.asarray(centres_nm[:, 2] >= np.median(centres_nm[particle, 2]), bool)


def known_sites(
    centres_nm: Float64, sharpness: Float64, scatter: Float64, particle: Bools, certain: Bools
) -> KnownSites | None:
    """Return the sites of the crystal, or of the grains, that the images show; None for neither.

    Parameters are those of `sites_of_crystal`. Certain [n] are the places in the entrance half of
    one series, or all places that two series show.
    """
    crystal = sites_of_crystal(centres_nm, sharpness, scatter, particle, certain)
    if crystal is not None:
        return crystal
    return sites_of_grains(centres_nm, sharpness, particle, certain)
