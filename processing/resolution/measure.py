"""Resolution of A, B and the fused volume, each from the two halves of its series.

One half holds every second tilt, the other half the rest (Cardone, Grunewald and Steven 2005). The
halves share the alignment but no image, so that only the specimen correlates. By depth, the
correlation shows the blur where the beam leaves the specimen; by direction, the missing wedge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from processing.combine.fuse import fuse
from processing.combine.pose import Pose
from processing.combine.resample import resample
from processing.device import device
from processing.pipeline.memory import allocator
from processing.pipeline.series_search import SeriesResult
from processing.pipeline.settings import ProcessSettings
from processing.progress import Progress, silent, within
from processing.reconstruct.sirt import sirt_series
from processing.resolution.results import Measured, PartResolution, Volume
from processing.resolution.shells import Sector, shell_correlations
from processing.scratch import Allocate
from processing.series import Float32, Float64, TiltSeries

Halves = tuple[Float32, Float32]
"""Volumes [z, y, x] of the two halves of a series."""

LAYERS = 5
"""Number of depths at which the resolution is measured."""
RESOLUTION_VOLUMES = 14
"""Largest number of volumes at a time: halves of both series and of the fused volume, spectra."""


@dataclass(frozen=True, eq=False)
class Combination:
    """Result of B and its place in the frame of A."""

    b: SeriesResult
    pose: Pose


def measure_resolution(
    a: SeriesResult,
    combination: Combination | None,
    settings: ProcessSettings,
    *,
    progress: Progress = silent,
) -> list[Measured]:
    """Measure the resolution of A, and of B and the fused volume if B is given.

    All volumes are in the frame of A, where the beam of series A enters at the largest z.

    Raises
    ------
    ProcessingError
        The volumes exceed the memory limit, or a half has fewer than three images.
    """
    allocate = allocator(a.volume.shape, RESOLUTION_VOLUMES, settings.memory_limit_GB)
    pixel_nm = a.aligned.pixel_nm
    depths_nm = _layers_nm(a.detection.table.centres_nm)

    def measured(volume: Volume, halves: Halves) -> list[Measured]:
        found = _measured(volume, halves, pixel_nm, depths_nm, a.diameter.value)
        return list(found)

    halves_a = _halves(a.aligned, settings, allocate, within(progress, 0.0, 0.35))
    results = measured(Volume.A, halves_a)
    if combination is None:
        return results
    b, pose = combination.b.aligned, combination.pose
    moved = partial(
        resample,
        pose=pose,
        shape_a=a.volume.shape,
        pixel_a_nm=pixel_nm,
        pixel_b_nm=b.pixel_nm,
        allocate=allocate,
    )
    first, second = _halves(b, settings, allocate, within(progress, 0.4, 0.75))
    halves_b = moved(first), moved(second)
    results += measured(Volume.B, halves_b)
    progress("fusion of the halves", 0.85)
    fused = partial(
        fuse,
        rule=settings.fusion_rule,
        level=settings.level,
        allocate=allocate,
    )
    halves_fused = fused(halves_a[0], halves_b[0]), fused(halves_a[1], halves_b[1])
    return results + measured(Volume.FUSED, halves_fused)


def _halves(
    series: TiltSeries, settings: ProcessSettings, allocate: Allocate, progress: Progress
) -> Halves:
    """Reconstruct the two halves of a series, [z, y, x] each."""
    used = series.usable()
    by_angle = np.argsort(used.angles_deg, kind="stable")

    def half(first: int) -> Float32:
        return sirt_series(
            used.subset(by_angle[first::2]),
            settings.sirt_iterations,
            momentum=True,
            device=device(settings.device),
            allocate=allocate,
            progress=within(progress, first / 2, (first + 1) / 2),
        )

    return half(0), half(1)


def _layers_nm(centres_nm: Float64) -> Float64:
    """Return the middle of each layer (nm), from the depths of the particles; empty for a few."""
    if len(centres_nm) < 2 * LAYERS:
        return np.zeros(0)
    low, high = np.percentile(centres_nm[:, 2], (1, 99))
    edges = np.linspace(low, high, LAYERS + 1)
    return np.asarray((edges[1:] + edges[:-1]) / 2, np.float64)


def _measured(
    volume: Volume,
    halves: Halves,
    pixel_nm: float,
    depths_nm: Float64,
    diameter_nm: float,
) -> Iterator[Measured]:
    sectors = list(Sector)
    curves = shell_correlations(halves[0], halves[1], pixel_nm, sectors)
    for sector, curve in zip(sectors, curves, strict=True):
        resolution_nm = curve.resolution_nm(diameter_nm)
        yield Measured(
            PartResolution(
                volume=volume, sector=sector, depth_nm=None, resolution_nm=resolution_nm
            ),
            curve,
        )
    heights_nm = (np.arange(len(halves[0])) - (len(halves[0]) - 1) / 2) * pixel_nm
    for depth_nm in depths_nm:
        sigma_nm = (depths_nm[1] - depths_nm[0]) / 2
        window = np.exp(-(((heights_nm - depth_nm) / sigma_nm) ** 2) / 2).astype(np.float32)
        first, second = (half * window[:, None, None] for half in halves)
        (curve,) = shell_correlations(first, second, pixel_nm)
        yield Measured(
            PartResolution(
                volume=volume,
                sector=Sector.ALL,
                depth_nm=float(depth_nm),
                resolution_nm=curve.resolution_nm(diameter_nm),
            ),
            curve,
        )
