"""Candidate particles of a volume, by sparse sphere reconstruction."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from processing.count.particles import Clusters, find_clusters
from processing.device import CPU, Device
from processing.pipeline.search_start import SSR_ITERATIONS, SearchStart, at_fitted_places
from processing.pipeline.two_kinds import Search
from processing.progress import Progress, silent
from processing.reconstruct.ssr import ssr_volume
from processing.scratch import Allocate, in_memory
from processing.series import Float32


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
    search
        Search of the same volume for spheres of another diameter.
    """

    centres: Float32
    clusters: Clusters
    pixel_nm: float
    search: Search


def find_candidates(
    volume: Float32,
    diameter_nm: float,
    pixel_nm: float,
    *,
    iterations: int,
    start: SearchStart | None = None,
    device: Device = CPU,
    allocate: Allocate = in_memory,
    progress: Progress = silent,
) -> Candidates:
    """Find candidates in a volume [z, y, x] by sparse sphere reconstruction."""
    spheres = partial(ssr_volume, volume, device=device, allocate=allocate)

    def search(other_nm: float) -> Clusters:
        diameter_px = other_nm / pixel_nm
        return find_clusters(spheres(diameter_px, iterations=iterations), diameter_px)

    diameter_px = diameter_nm / pixel_nm
    if start is None:
        centres = spheres(diameter_px, iterations=iterations, progress=progress)
        return Candidates(centres, find_clusters(centres, diameter_px), pixel_nm, search)
    centres = spheres(
        diameter_px, iterations=SSR_ITERATIONS, start=start.centres, progress=progress
    )
    found = find_clusters(centres, diameter_px)
    clusters = at_fitted_places(found, start.particles_nm / pixel_nm, diameter_px)
    return Candidates(centres, clusters, pixel_nm, search)
