"""Two series into one volume: B onto A, fusion, particles of the whole.

The fused particles' centres are refined in the images of both series; the control's are left as
its volume gives them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from processing.combine.fuse import fuse
from processing.combine.register import PAIRED_WITHIN, RegistrationResult, register
from processing.combine.resample import resample
from processing.combine.sharpen import sharpen_centres
from processing.count.interval import beside_the_whole, missed_by_both
from processing.files.particles import ParticleTable
from processing.pipeline.detect import Detection, detect
from processing.pipeline.memory import DUAL_VOLUMES, require_memory
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
    mean
        Detection in the plain mean, where asked for.
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
    mean: Detection | None = None


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
    require_memory(a.volume.shape, DUAL_VOLUMES, settings.memory_limit_GB)
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
        progress=within(progress, 0.3, 0.4),
    )
    table_b = ParticleTable(
        found.pose.apply(b.detection.table.centres_nm),
        b.detection.table.diameter_nm,
        b.detection.table.confidence,
    )
    missed = missed_by_both(
        a.detection.table.centres_nm, table_b.centres_nm, PAIRED_WITHIN * diameter.value
    )

    def fused_by(rule: FusionRule, part: Progress) -> tuple[Float32, Detection]:
        volume = fuse(
            a.volume,
            registered,
            rule,
            wavelet=settings.wavelet,
            level=settings.level,
            progress=within(part, 0.0, 0.4),
        )
        detection = detect(
            volume,
            diameter.value,
            pixel_nm,
            iterations=settings.ssr_iterations,
            missed=missed,
            progress=within(part, 0.4, 1.0),
        )
        return volume, detection

    volume, detection = fused_by(settings.fusion_rule, within(progress, 0.4, 0.6))
    centres_nm = sharpen_centres(
        a.aligned,
        b.aligned,
        detection.table.centres_nm,
        found.pose,
        diameter.value,
        progress=within(progress, 0.6, 0.8),
    )
    detection = replace(detection, table=replace(detection.table, centres_nm=centres_nm))

    def beside(alone: Count, table: ParticleTable) -> Count:
        within_nm = PAIRED_WITHIN * diameter.value
        return beside_the_whole(alone, table.centres_nm, centres_nm, within_nm)

    mean = fused_by("mean", within(progress, 0.8, 1.0))[1] if settings.controls else None
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
        mean,
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
