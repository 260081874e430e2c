"""Combination of two series: registration of B onto A, fusion, and the particles of both.

The fused volume gives the candidates. A fit of spheres to the images of both series selects the
particles among them and refines their positions. The controls are counted from their volumes alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from processing.combine.fuse import fuse
from processing.combine.pose import Pose
from processing.combine.register import PAIRED_WITHIN, RegistrationResult, register
from processing.combine.resample import resample
from processing.count.interval import beside_the_whole, missed_by_both, with_missed
from processing.files.particles import ParticleTable
from processing.pipeline.detect import (
    Candidates,
    Detection,
    detect_by_fit,
    detect_by_weight,
    find_candidates,
)
from processing.pipeline.memory import DUAL_VOLUMES, allocator
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.single import SeriesResult
from processing.progress import Progress, silent, within
from processing.results import Count, Diameter, Fusion, FusionRule, Registration
from processing.scratch import Allocate
from processing.series import Float32


@dataclass(frozen=True, eq=False)
class FusedResult:
    """Result of both series together, in the frame of A.

    Attributes
    ----------
    registered_b
        Volume of B, resampled, [z, y, x].
    volume
        Fused volume, [z, y, x].
    detection
        Particles of both series.
    table_b
        Particles of B alone.
    count_a, count_b
        Counts of A alone and B alone; their intervals include the faults that the fusion shows.
    controls
        On request: particles of the volume of each fusion rule, without a fit to the images.
    """

    registered_b: Float32
    volume: Float32
    detection: Detection
    table_b: ParticleTable
    diameter: Diameter
    registration: Registration
    fusion: Fusion
    pixel_nm: float
    count_a: Count
    count_b: Count
    controls: dict[FusionRule, Detection] = field(default_factory=dict)


def combine_series(
    a: SeriesResult, b: SeriesResult, settings: ProcessSettings, *, progress: Progress = silent
) -> FusedResult:
    """Register B onto A, fuse both, and find the particles.

    Raises
    ------
    RegistrationRefusedError
        B is not the flipped A.
    ProcessingError
        The volumes exceed the memory limit.
    """
    allocate = allocator(a.volume.shape, DUAL_VOLUMES, settings.memory_limit_GB)
    diameter = _common_diameter(a.diameter, b.diameter)
    progress("registration", 0.0)
    found = register(a.detection.table.centres_nm, b.detection.table.centres_nm, diameter.value)
    registered = resample(
        b.volume,
        found.pose,
        a.volume.shape,
        a.aligned.pixel_nm,
        b.aligned.pixel_nm,
        allocate=allocate,
        progress=within(progress, 0.3, 0.4),
    )
    pair = _Pair(a.volume, registered, diameter.value, a.aligned.pixel_nm, settings, allocate)
    volume = pair.fused(settings.fusion_rule, within(progress, 0.4, 0.5))
    candidates = pair.candidates(volume, within(progress, 0.5, 0.55))
    fit_share = 1.0 - 0.06 * len(settings.control_rules)
    detection = detect_by_fit(
