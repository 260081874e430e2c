"""Particle detection: from a volume to its particle table and count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from processing.combine.pose import Pose
from processing.count.interval import count_with_interval
from processing.count.particles import (
    MOST_CLUSTERS,
    Clusters,
    confidence,
    drop_close_clusters,
    find_clusters,
    plateau,
)
from processing.device import CPU, Device
from processing.errors import TooManyCandidatesError
from processing.files.particles import ParticleTable
from processing.fit.spheres import FINEST_PX, ROUNDS, fit_spheres
from processing.pipeline.verdict import Fitness, judge, measure_fitness, with_verdict, wrong_share
from processing.progress import Progress, silent
from processing.reconstruct.ssr import ssr_volume
from processing.results import Count
from processing.scratch import Allocate, in_memory
from processing.series import Float32, TiltSeries

PIXELS_PER_CANDIDATE = 8
"""Fewest pixels, over all images, for each candidate: twice its unknowns (place and amplitude)."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Candidate particles of a volume.

    Attributes
    ----------
    centres
        Sphere-centre volume [z, y, x].
    clusters
        Clusters of the sphere-centre volume, one for each candidate.
    pixel_nm
        Voxel size (nm).
    """

    centres: Float32
    clusters: Clusters
    pixel_nm: float


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
    exit_blurs_nm
        Standard deviation of the beam where it leaves the specimen, for each fitted series.
    fitness
        Figures behind the verdict; None without a fit to the images.
    """

    centres: Float32
    table: ParticleTable
    count: Count
    exit_blurs_nm: tuple[float, ...] = ()
    fitness: Fitness | None = None

    def with_diameter(self, diameter_nm: float) -> Detection:
        """Return the same particles with another diameter in the table."""
        sizes = np.full(len(self.table), diameter_nm)
        return replace(self, table=replace(self.table, diameter_nm=sizes))


def find_candidates(
    volume: Float32,
    diameter_nm: float,
    pixel_nm: float,
    *,
    iterations: int,
    device: Device = CPU,
    allocate: Allocate = in_memory,
    progress: Progress = silent,
) -> Candidates:
    """Find candidates in a volume [z, y, x] by sparse sphere reconstruction."""
    diameter_px = diameter_nm / pixel_nm
    centres = ssr_volume(
        volume,
        diameter_px,
        iterations=iterations,
        device=device,
        allocate=allocate,
        progress=progress,
    )
    return Candidates(centres, find_clusters(centres, diameter_px, device=device), pixel_nm)


def detect_by_weight(candidates: Candidates, diameter_nm: float) -> Detection:
    """Select the particles among the candidates by their weight in the volume alone."""
    return _detection(candidates, candidates.clusters, diameter_nm)


def detect_by_fit(
    candidates: Candidates,
    series: Sequence[tuple[TiltSeries, Pose | None]],
    diameter_nm: float,
    *,
    rounds: int = ROUNDS,
    doubts: Sequence[str] = (),
    progress: Progress = silent,
) -> Detection:
    """Select the particles by a fit of spheres to the images, and judge the count.

    Parameters
    ----------
    series
        See `fit_spheres`, also for `rounds`.
    doubts
        One line for each reason not to trust the input.

    Raises
    ------
    TooManyCandidatesError
        There are more candidates than the images can decide on.
    """
    clusters = candidates.clusters
    require_few_candidates(len(clusters.weight), [one for one, _ in series], diameter_nm)
    fit = fit_spheres(
        series,
        clusters.centres_px * candidates.pixel_nm,
        clusters.weight,
        diameter_nm,
        rounds=rounds,
        progress=progress,
    )
    spheres = drop_close_clusters(
        Clusters(fit.centres_nm / candidates.pixel_nm, fit.amplitudes),
        diameter_nm / candidates.pixel_nm,
    )
    detection = _detection(candidates, spheres, diameter_nm)
    fitness = measure_fitness(fit, [one for one, _ in series], diameter_nm)
    verdict = judge(fitness, doubts)
    wrong = wrong_share(fitness, verdict)
    table = replace(detection.table, confidence=detection.table.confidence * (1 - wrong))
    return replace(
        detection,
        table=table,
        count=with_verdict(detection.count, verdict, wrong),
        exit_blurs_nm=fit.blurs_nm,
        fitness=fitness,
    )


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


def _detection(candidates: Candidates, clusters: Clusters, diameter_nm: float) -> Detection:
    """Return the clusters above the plateau threshold as a table, and their count."""
    threshold = plateau(clusters.weight)
    chance = confidence(clusters.weight, threshold.value)
    kept = clusters.weight >= threshold.value
    table = ParticleTable(
        clusters.centres_px[kept] * candidates.pixel_nm,
        np.full(int(kept.sum()), diameter_nm),
        chance[kept],
    )
    count = count_with_interval(threshold, chance)
    return Detection(candidates.centres, table, count)
