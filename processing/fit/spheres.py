"""Sparse sphere fit: the particles that best explain the images of one series, or of both.

The images are modelled as a sum of spheres, each with an amplitude and a position. They are equal,
or of several kinds with a diameter each (`processing/fit/mixture.py`). The beam broadens and
weakens in the specimen: deeper layers are blurred more and have their own contrast, so that the
saturation needs no correction beforehand. The poses of the images are corrected as well. Candidates
come from a reconstruction; false ones end with an amplitude near zero. The fit needs no volume, and
uses each series on the side where it is sharp.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from processing.align.matching import reduced
from processing.combine.pose import Pose
from processing.device import CPU, Device
from processing.fit.beam import Beam, fit_beam
from processing.fit.evidence import Evidence, gather_evidence, no_evidence
from processing.fit.imager import ONE_KIND, SphereImager
from processing.fit.mixture import Mixture
from processing.fit.solve import fit_amplitudes, solve_displacements
from processing.fit.view import Spheres, Views, views_of
from processing.fit.view_model import ViewModel, correct_poses, model_views, refit_contrasts
from processing.progress import Progress, silent
from processing.series import Float64, TiltSeries

ROUNDS = 3
"""Largest number of rounds."""
TILT_ROUND = 1
"""Round, from 0, in which tilt angles are corrected too.

In every round they would follow the errors of the model where ordered layers line up.
"""
FINEST_PX = 7.0
"""Sphere diameter to which finer images are reduced (px). More pixels do not improve the fit."""
LARGEST_START_AMPLITUDE = 1.2
LARGEST_MOVE = 0.3
"""Largest displacement in one round, in sphere diameters."""
CONVERGED_MOVE = 0.01
"""Displacement, rms over the particles in sphere diameters, after which no round follows.

The rounds that remain would move the particles by a third of it, much less than their errors.
"""


@dataclass(frozen=True, eq=False)
class SphereFit:
    """Candidates after the fit.

    Attributes
    ----------
    centres_nm
        [n, 3] as (x, y, z), one for each candidate, in their order.
    amplitudes
        [n]; 1 is a typical particle, a false candidate has nearly 0.
    blurs_nm
        Standard deviation of the beam where it leaves the specimen, for each series.
    misfit
        Norm of the residual in the band, divided by the norm of the images.
    evidence
        Comparison of the fitted spheres with every image.
    views
        Images in the band, with their corrected poses.
    """

    centres_nm: Float64
    amplitudes: Float64
    blurs_nm: tuple[float, ...]
    misfit: float
    evidence: Evidence
    views: tuple[Views, ...] = ()


def fit_spheres(
    series: Sequence[tuple[TiltSeries, Pose | None]],
    centres_nm: Float64,
    weights: Float64,
    diameter_nm: float,
    *,
    rounds: int = ROUNDS,
    mixture: Mixture | None = None,
    device: Device = CPU,
    progress: Progress = silent,
) -> SphereFit:
    """Fit spheres and poses to one aligned series, or to several at once.

    Parameters
    ----------
    series
        Aligned series with background subtracted and saturation not corrected. Each has the pose
        that brings its frame onto that of the centres; None if the frames are equal.
    centres_nm
        Candidates, [n, 3] as (x, y, z).
    weights
        [n] from a reconstruction, about 1 for a particle.
    diameter_nm
        Diameter of the spheres, or of the largest kind.
    mixture
        Kind of each candidate; None for equal spheres.
    """
    if len(weights) == 0:
        return SphereFit(centres_nm, weights, (0.0,) * len(series), 1.0, no_evidence(len(series)))
    kinds = ONE_KIND if mixture is None else mixture.kinds
    smallest_nm = diameter_nm * min(kind.size for kind in kinds)
    pixel_nm = smallest_nm / FINEST_PX
    views = [
        some
        for index, (one, pose) in enumerate(series)
        for some in views_of(
            reduced(one, pixel_nm / one.pixel_nm),
            diameter_nm,
            pose,
            index,
            kinds,
            spheres=len(weights),
            device=device,
        )
    ]
    given = views
    start = np.clip(weights, 0, LARGEST_START_AMPLITUDE)
    spheres = Spheres(centres_nm, start, None if mixture is None else mixture.members)
    beams: dict[int, Beam] = {}
    models: list[ViewModel] = []
    with ThreadPoolExecutor(device.threads()) as pool:
        for done in range(rounds):
            beams = _fit_beams(views, spheres, len(series), pool)
            models = _model_views(views, beams, spheres, pool)
            correct = partial(correct_poses, spheres=spheres, correct_tilt=done == TILT_ROUND)
            views = list(pool.map(correct, models))
            progress("sphere fit", (done + 1 / 3) / rounds)
            models = _model_views(views, beams, spheres, pool)
            spheres = replace(spheres, amplitudes=fit_amplitudes(models, spheres, pool))
            progress("sphere fit", (done + 2 / 3) / rounds)
            models = list(pool.map(partial(refit_contrasts, spheres=spheres), models))
            moved_nm = _moved(models, spheres, smallest_nm, pool)
            move_nm = _rms_move_nm(moved_nm, spheres)
            spheres = replace(spheres, centres_nm=moved_nm)
            progress("sphere fit", (done + 1) / rounds)
            if done >= TILT_ROUND and move_nm < CONVERGED_MOVE * smallest_nm:
                break
        models = _model_views(views, beams, spheres, pool)
        evidence = gather_evidence(models, given, spheres, pool)
        misfit = _misfit(models, spheres, pool)
    blurs_nm = tuple(
        beam.blur_px * diameter_nm / _imager(views, index).diameter_px
        for index, beam in beams.items()
    )
    found = spheres.centres_nm, spheres.amplitudes
    return SphereFit(*found, blurs_nm, misfit, evidence, tuple(views))


def _imager(views: list[Views], series: int) -> SphereImager:
    return next(some.imager for some in views if some.series == series)


def _fit_beams(views: list[Views], spheres: Spheres, count: int, pool: Executor) -> dict[int, Beam]:
    by_series = [[some for some in views if some.series == index] for index in range(count)]
    return {index: fit_beam(its, spheres, pool) for index, its in enumerate(by_series)}


def _model_views(
    views: list[Views], beams: dict[int, Beam], spheres: Spheres, pool: Executor
) -> list[ViewModel]:
    return list(pool.map(lambda some: model_views(some, beams[some.series], spheres), views))


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


def _misfit(models: list[ViewModel], spheres: Spheres, pool: Executor) -> float:
    def energies(model: ViewModel) -> Float64:
        imager = model.views.imager
        parts = model.residual(spheres.weights), model.views.spectra
        return np.array([imager.energies(part).sum() for part in parts])

    residual, whole = np.sum(list(pool.map(energies, models)), axis=0)
    return float(np.sqrt(residual / max(whole, 1e-30)))
