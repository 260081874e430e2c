"""Particle detection: from a volume to its particle table and count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from processing.combine.pose import Pose
from processing.count.interval import count_with_interval, widen_by_wrong_places
from processing.count.particles import (
    MOST_CLUSTERS,
    Clusters,
    confidence,
    plateau,
)
from processing.device import CPU, Device
from processing.errors import TooManyCandidatesError
from processing.files.particles import NO_PARTICLES, ParticleTable
from processing.fit.spheres import FINEST_PX, ROUNDS, SphereFit
from processing.pipeline.candidates import Candidates
from processing.pipeline.deformed import deformations_of
from processing.pipeline.fitness import Fitness, measure_fitness, misplaced_share
from processing.pipeline.judged_places import wrong_places
from processing.pipeline.objects import part_objects
from processing.pipeline.own_diameters import particle_kinds, scaled, with_own_diameters
from processing.pipeline.own_positions import numbers_of, with_own_positions
from processing.pipeline.particle_fit import ParticleFit, fit_particles
from processing.pipeline.verdict import beyond_places, judge, with_verdict, wrong_share
from processing.progress import Progress, silent, within
from processing.results import Count, Deformation, ParticleKind, Trust
from processing.series import Float32, Float64, TiltSeries

PIXELS_PER_CANDIDATE = 8
"""Fewest pixels, over all images, for each candidate: twice its unknowns (place and amplitude)."""
FIT_SHARE = 0.8
"""Part of the progress that the fit takes; what follows measures the particles it found."""


@dataclass(frozen=True, eq=False)
class Detection:
    """Particles of one volume.

    Attributes
    ----------
    centres
        Sphere-centre volume [z, y, x].
    table
        Particles.
    count
        Number of particles with its interval.
    threshold
        Weight that separates particles from noise.
    exit_blurs_nm
        Standard deviation of the beam where it leaves the specimen, for each fitted series.
    fitness
        Figures behind the verdict; None without a fit to the images.
    kinds
        Kinds of particles, the brightest first; empty if all are of one kind.
    hinted
        Number of weaker objects that may be particles of a second kind, which was not searched.
    left_out
        One line for each image that the fit left out.
    beside
        Particles that lie apart from the assembly; they are listed, but not counted.
    loose
        One line about them, and one about particles that may belong to the assembly or not.
    deformed
        Deformation of the specimen during each series that shows one, by the name of the series.
    """

    centres: Float32
    table: ParticleTable
    count: Count
    threshold: float = 0.0
    exit_blurs_nm: tuple[float, ...] = ()
    fitness: Fitness | None = None
    kinds: tuple[ParticleKind, ...] = ()
    hinted: int = 0
    left_out: tuple[str, ...] = ()
    beside: ParticleTable = NO_PARTICLES
    loose: tuple[str, ...] = ()
    deformed: Mapping[str, Deformation] = field(default_factory=dict)

    def with_mean_diameter(self, mean_nm: float) -> Detection:
        """Return the same particles with diameters of another scale in the tables."""
        if not len(self.table):
            return self
        factor = mean_nm / float(self.table.diameter_nm.mean())
        table, beside = (scaled(each, factor) for each in (self.table, self.beside))
        return replace(self, table=table, beside=beside)


def detect_by_weight(candidates: Candidates, diameter_nm: float) -> Detection:
    """Select the particles among the candidates by their weight in the volume alone."""
    clusters = candidates.clusters
    number = len(clusters.weight)
    return _above_plateau(candidates, clusters, np.full(number, diameter_nm))


def detect_by_fit(
    candidates: Candidates,
    series: Sequence[tuple[TiltSeries, Pose | None]],
    diameter_nm: float,
    *,
    rounds: int = ROUNDS,
    own_diameters: bool = True,
    position_errors: bool = True,
    second_size: bool = True,
    propose: bool = True,
    doubts: Sequence[str] = (),
    device: Device = CPU,
    progress: Progress = silent,
) -> Detection:
    """Select the particles by a fit of spheres to the images, and judge the count.

    Parameters
    ----------
    series
        See `fit_spheres`, also for `rounds`.
    own_diameters
        Measure the diameter of each particle where all have one size, its position with that
        diameter, and the deformation of the specimen; with two sizes all but the last is always
        done.
    position_errors
        Measure the standard errors of the positions as well.
    second_size
        Search particles of a second kind where the brightness of equal ones hints at one; otherwise
        the hint is a reason to doubt the count.
    propose
        Try places of equal spheres that the volume does not show.
    doubts
        One line for each reason not to trust the input.

    Raises
    ------
    TooManyCandidatesError
        There are more candidates than the images can decide on.
    """
    images = [one for one, _ in series]
    require_few_candidates(len(candidates.clusters.weight), images, diameter_nm)
    found = fit_particles(
        candidates,
        series,
        diameter_nm,
        rounds=rounds,
        second_size=second_size,
        may_deform=own_diameters,
        propose=propose,
        device=device,
        progress=within(progress, 0.0, FIT_SHARE),
    )
    progress("judging the count", FIT_SHARE)
    detection = _detection(candidates, found)
    table = detection.table
    fitness = measure_fitness(found.fit, images, found.diameter_nm, found.sizes_nm)
    if judge(fitness).state is not Trust.REFUSED and (own_diameters or len(found.kinds) > 1):
        table = with_own_diameters(table, found.fit, found.kinds, within(progress, FIT_SHARE, 0.9))
        shown = within(progress, 0.9, 1.0)
        table = with_own_positions(
            table, found.fit, found.kinds, errors=position_errors, progress=shown
        )
    return _judged(detection, table, found, images, fitness, doubts)


def _judged(
    detection: Detection,
    table: ParticleTable,
    found: ParticleFit,
    images: Sequence[TiltSeries],
    fitness: Fitness,
    doubts: Sequence[str],
) -> Detection:
    """Return a detection with the verdict on its count, and with confidences that know it.

    Parameters
    ----------
    table
        The particles of the detection where they are listed: up to a tenth of a diameter beside
        their places in the fit. The listed places are judged.
    fitness
        Figures of the fit, but for wrong places.
    """
    fit, kinds = found.fit, found.kinds
    candidate = numbers_of(detection.table, fit.centres_nm)
    places_nm = fit.centres_nm.copy()
    places_nm[candidate] = table.centres_nm
    wrong_place = wrong_places(fit, images, found.diameter_nm, found.sizes_nm, places_nm)
    fitness = replace(fitness, misplaced=misplaced_share(fit, wrong_place))
    table = replace(table, confidence=table.confidence * (1 - wrong_place[candidate]))
    count = widen_by_wrong_places(detection.count, wrong_place[candidate])
    sizes = _second_size_doubt(found.hinted)
    verdict = judge(fitness, doubts, several_sizes=sizes)
    if verdict.state is not Trust.REFUSED:
        parted = part_objects(table, count, detection.table.diameter_nm)
        table, count = parted.table, parted.count
        detection = replace(detection, beside=parted.beside, loose=parted.notes)
        verdict = judge(fitness, doubts, parted.several, sizes)
    wrong = max(wrong_share(fitness, verdict), found.hinted / max(1, count.n))
    count = with_verdict(count, verdict, wrong)
    beyond = beyond_places(fitness, verdict)
    return replace(
        detection,
        table=_less_certain(table, beyond),
        beside=_less_certain(detection.beside, beyond),
        count=count,
        kinds=tuple(particle_kinds(table, kinds, count)) if len(kinds) > 1 else (),
        hinted=found.hinted,
        exit_blurs_nm=fit.blurs_nm,
        fitness=fitness,
        left_out=_left_out_lines(images, fit),
        deformed=deformations_of(fit, [one.name for one in images]),
    )


def _less_certain(table: ParticleTable, wrong: float) -> ParticleTable:
    """Return a table of particles of which a further share is wrong."""
    return replace(table, confidence=table.confidence * (1 - wrong))


def kind_notes(name: str, kinds: Sequence[ParticleKind]) -> list[str]:
    """Describe particles of two kinds in one line; nothing for one kind."""
    if not kinds:
        return []
    first, second = kinds
    if second.diameter_nm == first.diameter_nm:
        return [
            f"{name}: particles of 2 materials were found, {first.particles} bright ones and "
            f"{second.particles} with {second.signal:.2f} of their signal and the same diameter"
        ]
    sizes = " and ".join(f"{kind.particles} of {kind.diameter_nm:.2f} nm" for kind in kinds)
    return [f"{name}: particles of 2 sizes were found, {sizes}"]


def require_few_candidates(number: int, series: Sequence[TiltSeries], diameter_nm: float) -> None:
    """Check that the images hold enough pixels to decide on every candidate.

    Raises
    ------
    TooManyCandidatesError
        They do not: the candidates are noise, or the diameter is wrong.
    """
    finest_nm = diameter_nm / FINEST_PX
    pixels = sum(one.images.size / max(1.0, finest_nm / one.pixel_nm) ** 2 for one in series)
    most = int(min(pixels / PIXELS_PER_CANDIDATE, MOST_CLUSTERS))
    if number >= most:
        names = " and ".join(one.name for one in series)
        raise TooManyCandidatesError(
            f"series {names}: {number} candidates for particles of {diameter_nm:.3g} nm, but the "
            f"images can decide on {most} at most; they show noise, or the diameter is wrong: "
            "check the contrast, give the diameter, or record a higher dose"
        )


def _second_size_doubt(hinted: int) -> tuple[str, ...]:
    if not hinted:
        return ()
    objects = f"{hinted} fainter objects" if hinted > 1 else "1 fainter object"
    return (f"{objects} may be particles of a second kind, which only a new search looks for",)


def _left_out_lines(series: Sequence[TiltSeries], fit: SphereFit) -> tuple[str, ...]:
    return tuple(
        f"series {one.name}: the image at {one.angles_deg[image]:+.1f} degrees does not show the "
        "particles that the other images show, and was left out of the count"
        for one, left_out in zip(series, fit.left_out, strict=True)
        for image in np.flatnonzero(left_out)
    )


def _detection(candidates: Candidates, found: ParticleFit) -> Detection:
    kept, weights = found.apart()
    spheres = Clusters(found.fit.centres_nm[kept] / candidates.pixel_nm, weights)
    return _above_plateau(candidates, spheres, found.own_nm[kept])


def _above_plateau(candidates: Candidates, clusters: Clusters, sizes_nm: Float64) -> Detection:
    """Return the clusters above the plateau threshold as a table, and their count."""
    threshold = plateau(clusters.weight)
    chance = confidence(clusters.weight, threshold.value)
    kept = clusters.weight >= threshold.value
    centres_nm = clusters.centres_px[kept] * candidates.pixel_nm
    table = ParticleTable(centres_nm, sizes_nm[kept], chance[kept])
    count = count_with_interval(threshold, chance)
    return Detection(candidates.centres, table, count, threshold.value)
