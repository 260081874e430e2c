"""Two series into one volume: B onto A, fusion, particles of the whole.

The fused volume proposes particles; spheres fitted to the images of both series decide which of
them count, and where they are. The controls are counted as their volumes give them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import get_args

from processing.combine.fuse import fuse
from processing.combine.pose import Pose
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
from processing.scratch import Allocate
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
    detection = fitted(
        candidates,
        [(a.aligned, None), (b.aligned, found.pose)],
        diameter.value,
        progress=within(progress, 0.55, 0.8 if settings.controls else 1.0),
    )
    controls: dict[FusionRule, Detection] = {}
    if settings.controls:
        controls = _controls(pair, candidates, within(progress, 0.8, 1.0))
    table_b = _moved(b.detection.table, found.pose)
    whole_nm, same_nm = detection.table.centres_nm, PAIRED_WITHIN * diameter.value

    def beside(alone: Count, table: ParticleTable) -> Count:
        return beside_the_whole(alone, table.centres_nm, whole_nm, same_nm)

    missed = missed_by_both(a.detection.table.centres_nm, table_b.centres_nm, whole_nm, same_nm)
    return FusedResult(
        registered,
        volume,
        replace(detection, count=with_missed(detection.count, missed)),
        table_b,
        diameter,
        _registration(found),
        Fusion(rule=settings.fusion_rule, wavelet=settings.wavelet, level=settings.level),
        a.aligned.pixel_nm,
        beside(a.detection.count, a.detection.table),
        beside(b.detection.count, table_b),
        controls,
    )


@dataclass(frozen=True, eq=False)
class _Pair:
    """A's volume and B's in A's frame, and how to look for particles in them."""

    a: Float32
    b: Float32
    diameter_nm: float
    pixel_nm: float
    settings: ProcessSettings
    allocate: Allocate

    def fused(self, rule: FusionRule, progress: Progress) -> Float32:
        return fuse(
            self.a,
            self.b,
            rule,
            wavelet=self.settings.wavelet,
            level=self.settings.level,
            allocate=self.allocate,
            progress=progress,
        )

    def candidates(self, volume: Float32, progress: Progress) -> Candidates:
        return find_candidates(
            volume,
            self.diameter_nm,
            self.pixel_nm,
            iterations=self.settings.ssr_iterations,
            allocate=self.allocate,
            progress=progress,
        )


def _controls(
    pair: _Pair, candidates: Candidates, progress: Progress
) -> dict[FusionRule, Detection]:
    """What each rule's volume gives; `candidates` are those of the rule in use."""
    used = pair.settings.fusion_rule
    found = {used: as_reconstructed(candidates, pair.diameter_nm)}
    others: list[FusionRule] = [rule for rule in get_args(FusionRule) if rule != used]
    for done, rule in enumerate(others):
        part = within(progress, done / len(others), (done + 1) / len(others))
        volume = pair.fused(rule, within(part, 0.0, 0.6))
        theirs = pair.candidates(volume, within(part, 0.6, 1.0))
        found[rule] = as_reconstructed(theirs, pair.diameter_nm)
    return found


def _moved(table: ParticleTable, pose: Pose) -> ParticleTable:
    return replace(table, centres_nm=pose.apply(table.centres_nm))


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
