"""Sparse sphere fit: the particles that explain the images of one series, or of both, at once.

The images are a sum of equal spheres, each with an amplitude and a place, seen from poses that are
corrected as well, through a beam that broadens and weakens on its way: deeper layers are blurred
more and have a contrast of their own, so that saturation needs no undoing. Candidates come from a
reconstruction; what is no particle ends with no amplitude. Nothing of it needs a volume, and both
series speak at once, each where it sees well.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from processing.align.matching import reduced
from processing.combine.pose import Pose
from processing.fit.beam import Beam, fitted_beam
from processing.fit.camera import Camera
from processing.fit.look import Look, corrected, look, with_contrasts
from processing.fit.solve import displacements, fitted_amplitudes
from processing.fit.view import REAL, Spheres, View, views_of
from processing.parallel import worker_threads
from processing.progress import Progress, silent
from processing.series import Float64, TiltSeries

ROUNDS = 3
TURNED_IN_ROUND = 1
"""Of the rounds, the one that corrects tilts: repeated, they would follow what the model leaves out
where ordered layers line up."""
FINEST_PX = 7.0
"""Diameter to which finer images are reduced: more pixels tell no more of a sphere."""
BRIGHTEST = 1.2
"""Amplitude of a candidate at the start, at most."""
LARGEST_MOVE = 0.3
"""Diameters a round."""


@dataclass(frozen=True, eq=False)
class SphereFit:
    """Particles and poses that explain the images together.

    Attributes
    ----------
    centres_nm
        [n, 3] (x, y, z), as many as there were candidates, in their order.
    amplitudes
        [n]; 1 is a typical particle, and what is none has nearly 0.
    blurs_nm
        [series], standard deviation of the beam where it leaves the specimen.
    misfit
        Norm of what stays unexplained in the band, over that of the images.
    """

    centres_nm: Float64
    amplitudes: Float64
    blurs_nm: tuple[float, ...]
    misfit: float


def fit_spheres(
    series: Sequence[tuple[TiltSeries, Pose | None]],
    centres_nm: Float64,
    weights: Float64,
    diameter_nm: float,
    *,
    rounds: int = ROUNDS,
    progress: Progress = silent,
) -> SphereFit:
    """Fit spheres and poses to one aligned series, or to several at once.

    Parameters
    ----------
    series
        Aligned, without background, saturation left in; with the pose that brings each one's
        frame onto that of the centres, None where it is the same.
    centres_nm
        [n, 3] (x, y, z): everything that might be a particle.
    weights
        [n] about 1 for a particle, from a reconstruction.
    """
    if len(weights) == 0:
        return SphereFit(centres_nm, weights, (0.0,) * len(series), 1.0)
    pixel_nm = diameter_nm / FINEST_PX
    views = [
        view
        for index, (one, pose) in enumerate(series)
        for view in views_of(reduced(one, pixel_nm / one.pixel_nm), diameter_nm, pose, index)
    ]
    spheres = Spheres(centres_nm, np.clip(weights, 0, BRIGHTEST))
    beams: dict[int, Beam] = {}
    looks: list[Look] = []
    with ThreadPoolExecutor(worker_threads()) as pool:
        for done in range(rounds):
            beams = _beams(views, spheres, len(series))
            looks = _looks(views, beams, spheres, pool)
            turned = done == TURNED_IN_ROUND
            views = list(
                pool.map(partial(corrected, spheres=spheres, turn_about_axis=turned), looks)
            )
            progress("sphere fit", (done + 1 / 3) / rounds)
            looks = _looks(views, beams, spheres, pool)
            spheres = replace(spheres, amplitudes=fitted_amplitudes(looks, spheres, pool))
            progress("sphere fit", (done + 2 / 3) / rounds)
            looks = list(pool.map(partial(with_contrasts, spheres=spheres), looks))
            spheres = replace(spheres, centres_nm=_moved(looks, spheres, diameter_nm, pool))
            progress("sphere fit", (done + 1) / rounds)
    blurs_nm = tuple(
        beam.blur_px * diameter_nm / _camera(views, index).diameter_px
        for index, beam in beams.items()
    )
    return SphereFit(spheres.centres_nm, spheres.amplitudes, blurs_nm, _misfit(looks, spheres))


def _camera(views: list[View], series: int) -> Camera:
    return next(view.camera for view in views if view.series == series)


def _beams(views: list[View], spheres: Spheres, count: int) -> dict[int, Beam]:
    return {
        index: fitted_beam([view for view in views if view.series == index], spheres)
        for index in range(count)
    }


def _looks(
    views: list[View], beams: dict[int, Beam], spheres: Spheres, pool: Executor
) -> list[Look]:
    return list(pool.map(lambda view: look(view, beams[view.series], spheres), views))


def _moved(looks: list[Look], spheres: Spheres, diameter_nm: float, pool: Executor) -> Float64:
    """New centres; what moves all spheres alike belongs to the views."""
    moves = displacements(looks, spheres, pool)
    particles = spheres.amplitudes > REAL
    if particles.any():
        moves[particles] -= moves[particles].mean(axis=0)
    reach = LARGEST_MOVE * diameter_nm
    return spheres.centres_nm + np.clip(moves, -reach, reach)


def _misfit(looks: list[Look], spheres: Spheres) -> float:
    left = sum(seen.view.camera.energy(seen.residual(spheres.weights)) for seen in looks)
    whole = sum(seen.view.camera.energy(seen.view.spectrum) for seen in looks)
    return float(np.sqrt(left / max(whole, 1e-30)))
