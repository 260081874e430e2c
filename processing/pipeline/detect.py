"""From a volume to its particle table and count: what every volume goes through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from processing.combine.pose import Pose
from processing.count.interval import count_with_interval
from processing.count.particles import Clusters, apart, confidence, find_clusters, plateau
from processing.files.particles import ParticleTable
from processing.fit.spheres import ROUNDS, fit_spheres
from processing.progress import Progress, silent
from processing.reconstruct.ssr import ssr_volume
from processing.results import Count
from processing.scratch import Allocate, in_memory
from processing.series import Float32, TiltSeries


@dataclass(frozen=True, eq=False)
class Candidates:
    """Everything in a volume that might be a particle.

    Attributes
    ----------
    centres
        Sphere-centre volume [z, y, x].
    clusters
        Its clusters.
    pixel_nm
        Of the volume.
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
        The particles, nm.
    count
        Their number with its interval.
    exit_blurs_nm
        Of each series that was fitted: standard deviation of the beam where it leaves the specimen.
    """

    centres: Float32
    table: ParticleTable
    count: Count
    exit_blurs_nm: tuple[float, ...] = ()

    def of_diameter(self, diameter_nm: float) -> Detection:
        """The same particles, said to be of another diameter."""
        sizes = np.full(len(self.table), diameter_nm)
        return replace(self, table=replace(self.table, diameter_nm=sizes))


def find_candidates(
    volume: Float32,
    diameter_nm: float,
    pixel_nm: float,
    *,
    iterations: int,
    allocate: Allocate = in_memory,
    progress: Progress = silent,
) -> Candidates:
    """Sparse sphere reconstruction of a volume [z, y, x], and its clusters."""
    diameter_px = diameter_nm / pixel_nm
    centres = ssr_volume(
        volume, diameter_px, iterations=iterations, allocate=allocate, progress=progress
    )
    return Candidates(centres, find_clusters(centres, diameter_px), pixel_nm)


def as_reconstructed(candidates: Candidates, diameter_nm: float) -> Detection:
    """The candidates that count, by their weight in the volume alone."""
    return _detection(candidates, candidates.clusters, diameter_nm)


def fitted(
    candidates: Candidates,
    series: Sequence[tuple[TiltSeries, Pose | None]],
    diameter_nm: float,
    *,
    rounds: int = ROUNDS,
    progress: Progress = silent,
) -> Detection:
    """The candidates that count once spheres in their places are fitted to the images.

    Parameters
    ----------
    series
        As in `fit_spheres`, like `rounds`.
    """
    found = candidates.clusters
    fit = fit_spheres(
        series,
        found.centres_px * candidates.pixel_nm,
        found.weight,
        diameter_nm,
        rounds=rounds,
        progress=progress,
    )
    spheres = apart(
        Clusters(fit.centres_nm / candidates.pixel_nm, fit.amplitudes),
        diameter_nm / candidates.pixel_nm,
    )
    found_so = _detection(candidates, spheres, diameter_nm)
    return replace(found_so, exit_blurs_nm=fit.blurs_nm)


def _detection(candidates: Candidates, clusters: Clusters, diameter_nm: float) -> Detection:
    """The clusters over the plateau's threshold as a table, and their count."""
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
