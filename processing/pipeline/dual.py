"""Two series into one volume: B onto A, fusion, particles of the whole.

The fused volume proposes particles; spheres fitted to the images of both series decide which of
them count, and where they are. The controls are counted as their volumes give them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import get_args

from processing.combine.fuse import fuse
from processing.combine.register import PAIRED_WITHIN, RegistrationResult, register
from processing.combine.resample import resample
from processing.count.interval import beside_the_whole, missed_by_both, with_missed
from processing.files.particles import ParticleTable
from processing.pipeline.detect import (
    Candidates,
    Detection,
    as_reconstructed,
    find_candidates,
    fitted,
)
from processing.pipeline.memory import DUAL_VOLUMES, allocator
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.single import SeriesResult
from processing.progress import Progress, silent, within
from processing.results import Count, Diameter, Fusion, FusionRule, Registration
from processing.series import Float32


@dataclass(frozen=True, eq=False)
class FusedResult:
    """What the two series give together, all of it in A's frame.

    Attributes
    ----------
    registered_b
        B's volume, resampled, [z, y, x].
    volume
        A and B fused.
    detection
        Of the fused volume.
    table_b
        B's own particles, moved.
    count_a, count_b
        Of the series alone, their intervals widened by what the fused volume shows.
    controls
        Where asked for: what each rule's volume gives, without the images.
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
    """Bring B onto A, fuse, and find the particles.

    Raises
    ------
    RegistrationRefusedError
        B is no flipped A.
    ProcessingError
        The volumes would go beyond the memory limit.
    """
    allocate = allocator(a.volume.shape, DUAL_VOLUMES, settings.memory_limit_GB)
    diameter = _common_diameter(a.diameter, b.diameter)
    pixel_nm = a.aligned.pixel_nm
    progress("registration", 0.0)
    found = register(a.detection.table.centres_nm, b.detection.table.centres_nm, diameter.value)
    registered = resample(
        b.volume,
        found.pose,
        a.volume.shape,
        pixel_nm,
        b.aligned.pixel_nm,
        allocate=allocate,
        progress=within(progress, 0.3, 0.4),
    )
    table_b = ParticleTable(
        found.pose.apply(b.detection.table.centres_nm),
        b.detection.table.diameter_nm,
        b.detection.table.confidence,
    )

    def candidates_by(rule: FusionRule, part: Progress) -> tuple[Float32, Candidates]:
        volume = fuse(
            a.volume,
            registered,
            rule,
            wavelet=settings.wavelet,
            level=settings.level,
            progress=within(part, 0.0, 0.4),
        )
        candidates = find_candidates(
            volume,
            diameter.value,
            pixel_nm,
            iterations=settings.ssr_iterations,
            allocate=allocate,
            progress=within(part, 0.4, 1.0),
        )
        return volume, candidates

    volume, candidates = candidates_by(settings.fusion_rule, within(progress, 0.4, 0.55))
    both = [(a.aligned, None), (b.aligned, found.pose)]
    detection = fitted(candidates, both, diameter.value, progress=within(progress, 0.55, 0.8))

    whole_nm, same_nm = detection.table.centres_nm, PAIRED_WITHIN * diameter.value
    missed = missed_by_both(a.detection.table.centres_nm, table_b.centres_nm, whole_nm, same_nm)
    detection = replace(detection, count=with_missed(detection.count, missed))

    def beside(alone: Count, table: ParticleTable) -> Count:
        return beside_the_whole(alone, table.centres_nm, whole_nm, same_nm)

    controls: dict[FusionRule, Detection] = {}
    if settings.controls:
        controls[settings.fusion_rule] = as_reconstructed(candidates, diameter.value)
        others = [rule for rule in get_args(FusionRule) if rule != settings.fusion_rule]
        for done, rule in enumerate(others):
            part = within(
                progress, 0.8 + 0.2 * done / len(others), 0.8 + 0.2 * (done + 1) / len(others)
            )
            controls[rule] = as_reconstructed(candidates_by(rule, part)[1], diameter.value)
    progress("counting", 1.0)
    return FusedResult(
        registered,
        volume,
        detection,
        table_b,
        diameter,
        _registration(found),
        Fusion(rule=settings.fusion_rule, wavelet=settings.wavelet, level=settings.level),
        pixel_nm,
        beside(a.detection.count, a.detection.table),
        beside(b.detection.count, table_b),
        controls,
    )


def _common_diameter(a: Diameter, b: Diameter) -> Diameter:
    """The same particles lie in both: the mean of what each series says."""
    return a.model_copy(update={"value": (a.value + b.value) / 2})


def _registration(found: RegistrationResult) -> Registration:
    x, y, z = (float(value) for value in found.pose.shift_nm)
    return Registration(
        matrix=found.pose.matrix.tolist(),
        shift_nm=(x, y, z),
        score=found.share,
        runner_up=found.runner_up,
        in_plane_deg=found.in_plane_deg,
        seat_tilt_deg=found.seat_tilt_deg,
        scale=found.pose.scale,
        rms_nm=found.rms_nm,
    )
