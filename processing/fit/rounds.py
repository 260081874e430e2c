"""Rounds of the sphere fit: beams, poses, amplitudes and places, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

import numpy as np

from processing.fit.beam import Beam, fit_beam
from processing.fit.deformation import Deformation, find_deformation
from processing.fit.equations import ViewEquations
from processing.fit.solve import fit_amplitudes, solve_displacements
from processing.fit.view import Spheres, Views, every
from processing.fit.view_model import (
    ViewModel,
    correct_poses,
    deformation_equations,
    model_views,
    posed,
    refit_contrasts,
)
from processing.progress import Progress, silent, within
from processing.series import Float64

LARGEST_MOVE = 0.3
"""Largest displacement in one round, in sphere diameters."""
DEFORMED_ROUNDS = 3
"""Rounds that follow where the specimen has deformed during the series."""
DEFORMATION_VIEWS = 24
"""Largest number of images of a series, evenly spaced, from which the deformation is found."""
LEAST_EXPLAINED = 0.02
"""Smallest share of what remains in the images that a deformation must explain to be followed.

Uneven shrinkage by 3 % explained 0.035 to 0.045, even shrinkage 0.11 (75 nm). What the model of a
thick specimen does not describe exactly is explained, too: 0.013 at most (165 nm), by fields that
would displace the places."""
FEWEST_DEFORMED = 40
"""Fewest particles that show a deformation, which has up to 7 unknowns in a series."""


@dataclass(frozen=True, eq=False)
class FitState:
    """Result of one round of the fit.

    Attributes
    ----------
    move_nm
        Displacement of the particles in this round, rms.
    """

    views: list[Views]
    spheres: Spheres
    beams: dict[int, Beam]
    move_nm: float


def next_round(
    state: FitState, smallest_nm: float, pool: Executor, *, correct_tilt: bool, progress: Progress
) -> FitState:
    """Fit the beams, the poses of the views, and amplitudes and centres of the spheres."""
    spheres = state.spheres
    state = replace(state, beams=_fit_beams(state.views, spheres, pool))
    correct = partial(correct_poses, spheres=spheres, correct_tilt=correct_tilt)
    state = replace(state, views=list(pool.map(correct, model_all(state, pool))))
    progress("sphere fit", 1 / 3)
    models = model_all(state, pool)
    spheres = replace(spheres, amplitudes=fit_amplitudes(models, spheres, pool))
    progress("sphere fit", 2 / 3)
    models = list(pool.map(partial(refit_contrasts, spheres=spheres), models))
    moved_nm = _moved(models, spheres, smallest_nm, pool)
    progress("sphere fit", 1.0)
    move_nm = _rms_move_nm(moved_nm, spheres)
    return replace(state, spheres=replace(spheres, centres_nm=moved_nm), move_nm=move_nm)


def with_deformation(
    state: FitState,
    given: list[Views],
    smallest_nm: float,
    pool: Executor,
    progress: Progress = silent,
) -> tuple[FitState, Deformation | None]:
    """Fit the deformation of the specimen that the images ask for, and all else again.

    Where they ask for none, the state is returned as it is.

    Parameters
    ----------
    given
        The views of the state before any correction of their poses.
    smallest_nm
        Diameter of the smallest kind of spheres.
    """
    progress("deformation", 0.0)
    found = _deformation(state, given, pool, _some_of_each_series)
    if found is None and all(some.deformation is None for some in state.views):
        return state, None
    for done in range(DEFORMED_ROUNDS):
        shown = within(progress, done / DEFORMED_ROUNDS, (done + 1) / DEFORMED_ROUNDS)
        shown("deformation", 0.0)
        found = _deformation(state, given, pool, list)
        state = _displaced(state, found)
        state = next_round(state, smallest_nm, pool, correct_tilt=False, progress=shown)
    return state, found


def _deformation(
    state: FitState,
    given: list[Views],
    pool: Executor,
    chosen: Callable[[list[Views]], list[Views]],
) -> Deformation | None:
    """Return the deformation that the chosen images ask for besides poses and places."""
    spheres = state.spheres
    particles = spheres.are_particles
    if particles.sum() < FEWEST_DEFORMED:
        return None
    views = chosen(state.views)
    models = model_all(replace(state, views=views), pool)
    equations = pool.map(partial(deformation_equations, spheres=spheres), models, chosen(given))
    places_nm = spheres.centres_nm[particles]
    radius_nm = float(np.linalg.norm(places_nm, axis=1).max())
    together = ViewEquations.joined(list(equations))
    found = find_deformation(together, radius_nm)
    return found if found and found.explained > LEAST_EXPLAINED else None


def _some_of_each_series(views: list[Views]) -> list[Views]:
    """Return at most `DEFORMATION_VIEWS` views of each series, evenly spaced."""
    by_series = [list(its) for _, its in groupby(views, lambda some: some.series)]
    return [
        some
        for its in by_series
        for some in every(its, -(-sum(map(len, its)) // DEFORMATION_VIEWS))
    ]


def _displaced(state: FitState, deformation: Deformation | None) -> FitState:
    """Return the state with the specimen deformed in each view, and its places at the mean time."""
    if deformation is None:
        return replace(state, views=[replace(some, deformation=None) for some in state.views])
    ends = np.cumsum([len(some) for some in state.views])[:-1]
    views = [
        replace(
            posed(some, corrections),
            deformation=deformation.in_views(some.elapsed, np.full(len(some), some.series)),
        )
        for some, corrections in zip(state.views, np.split(deformation.poses, ends), strict=True)
    ]
    centres_nm = deformation.moved(state.spheres.centres_nm)
    return replace(state, views=views, spheres=replace(state.spheres, centres_nm=centres_nm))


def _fit_beams(views: list[Views], spheres: Spheres, pool: Executor) -> dict[int, Beam]:
    by_series = groupby(views, lambda some: some.series)
    return {index: fit_beam(list(its), spheres, pool) for index, its in by_series}


def model_all(state: FitState, pool: Executor) -> list[ViewModel]:
    """Return the models of all views."""

    def model(some: Views) -> ViewModel:
        return model_views(some, state.beams[some.series], state.spheres)

    return list(pool.map(model, state.views))


def _moved(
    models: list[ViewModel], spheres: Spheres, diameter_nm: float, pool: Executor
) -> Float64:
    """Return the new centres, without the mean displacement: that one belongs to the views."""
    moves = solve_displacements(models, spheres, pool)
    particles = spheres.are_particles
    if particles.any():
        moves[particles] -= moves[particles].mean(axis=0)
    largest_nm = LARGEST_MOVE * diameter_nm
    return spheres.centres_nm + np.clip(moves, -largest_nm, largest_nm)


def _rms_move_nm(centres_nm: Float64, spheres: Spheres) -> float:
    """Return the rms distance of the particles from their places in `spheres`; 0 for none."""
    moves = (centres_nm - spheres.centres_nm)[spheres.are_particles]
    return float(np.sqrt((moves**2).sum(axis=1).mean())) if len(moves) else 0.0
