"""From a volume to its particle table and count: what every volume goes through."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from processing.count.interval import Missed, count_with_interval
from processing.count.particles import Clusters, confidence, find_clusters, plateau
from processing.files.particles import ParticleTable
from processing.progress import Progress, silent
from processing.reconstruct.ssr import ssr_volume
from processing.results import Count
from processing.series import Float32


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
    """

    centres: Float32
    table: ParticleTable
    count: Count

    def of_diameter(self, diameter_nm: float) -> Detection:
        """The same particles, said to be of another diameter."""
        sizes = np.full(len(self.table), diameter_nm)
        return replace(self, table=replace(self.table, diameter_nm=sizes))


def detect(
    volume: Float32,
    diameter_nm: float,
    pixel_nm: float,
    *,
    iterations: int,
    missed: Missed | None = None,
    progress: Progress = silent,
) -> Detection:
    """Sparse sphere reconstruction of a volume [z, y, x], its clusters, and those that count."""
    diameter_px = diameter_nm / pixel_nm
    centres = ssr_volume(volume, diameter_px, iterations=iterations, progress=progress)
    clusters = find_clusters(centres, diameter_px)
    table, count = tabulate(clusters, diameter_nm, pixel_nm, missed)
    return Detection(centres, table, count)


def tabulate(
    clusters: Clusters, diameter_nm: float, pixel_nm: float, missed: Missed | None
) -> tuple[ParticleTable, Count]:
    """The clusters over the plateau's threshold as a table, and their count."""
    threshold = plateau(clusters.weight)
    chance = confidence(clusters.weight, threshold.value)
    kept = clusters.weight >= threshold.value
    table = ParticleTable(
        clusters.centres_px[kept] * pixel_nm,
        np.full(int(kept.sum()), diameter_nm),
        chance[kept],
    )
    return table, count_with_interval(threshold, chance, missed)
