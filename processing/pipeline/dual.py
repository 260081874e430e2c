"""Combination of two series: registration of B onto A, fusion, and the particles of both.

The fused volume gives the candidates. A fit of spheres to the images of both series selects the
particles among them and refines their positions. The controls are counted from their volumes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from processing.combine.pose import Pose
from processing.combine.register import RegistrationResult
from processing.combine.resample import resample
from processing.device import device
from processing.files.particles import NO_PARTICLES, ParticleTable
from processing.fit.spheres import ROUNDS
from processing.pipeline.both_series import BothSeries, find_bodies, find_spheres
from processing.pipeline.deformed import deformation_lines
from processing.pipeline.detect import Detection, kind_notes
from processing.pipeline.kind_names import name_notes, named
from processing.pipeline.memory import DUAL_VOLUMES, allocator
from processing.pipeline.own_diameters import mean_at_zero, with_statistics
from processing.pipeline.own_positions import calibrated_by_pairs
from processing.pipeline.pair_volumes import PairVolumes
from processing.pipeline.register_series import register_series
from processing.pipeline.sampling import volume_origin_nm
from processing.pipeline.search_start import PairStart
from processing.pipeline.series_search import SeriesResult
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.suspect_angles import with_suspected_angles
from processing.progress import Progress, silent, within
from processing.results import Count, Deformation, Diameter, Fusion, FusionRule, Registration
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
    found
        Registration with the poses that were compared, for a later one to start from; its entry in
        summary.json is `registration`.
    pixel_nm, origin_nm
        Voxel size of the volumes, and the place (x, y, z) of their first voxel, as for A.
    count_a, count_b
        Counts of A alone and B alone; their intervals include the faults that the fusion shows.
    controls
        On request: particles of the volume of each fusion rule, without a fit to the images.
    warnings
        One line if the tilt sense of B was reversed, one for each image that was left out of this
        fit only, one if there are several sizes.
    beside, beside_b
        Particles beside the object that the fit to both series or either series shows, and those
        that B shows.
    """

    registered_b: Float32
    volume: Float32
    detection: Detection
    table_b: ParticleTable
    diameter: Diameter
    found: RegistrationResult
    registration: Registration
    fusion: Fusion
    pixel_nm: float
    origin_nm: tuple[float, float, float]
    count_a: Count
    count_b: Count
    controls: dict[FusionRule, Detection] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    beside: ParticleTable = NO_PARTICLES
    beside_b: ParticleTable = NO_PARTICLES


def combine_series(
    a: SeriesResult,
    b: SeriesResult,
    settings: ProcessSettings,
    *,
    start: PairStart | None = None,
    rounds: int = ROUNDS,
    progress: Progress = silent,
) -> FusedResult:
    """Register B onto A, fuse both, and find the particles.

    Parameters
    ----------
    start
        Registration of a B that is not fitted yet, and an earlier result; None to start from
        nothing, with a fitted B.
    rounds
        Largest number of rounds of the fit.

    Raises
    ------
    RegistrationRefusedError
        B is not the flipped A, or far more particles were found than the field can hold.
    ProcessingError
        The volumes exceed the memory limit.
    """
    allocate = allocator(a.volume.shape, DUAL_VOLUMES, settings.memory_limit_GB)
    diameter = _common_diameter(a.diameter, b.diameter)
    progress("registration", 0.0)
    reversed_line: tuple[str, ...] = ()
    if start is not None:
        found = start.registration
    else:
        b, found, reversed_line = register_series(
            a, b, diameter.value, device=device(settings.device)
        )
    registered = resample(
        b.volume,
        found.pose,
        a.volume.shape,
        a.aligned.pixel_nm,
        b.aligned.pixel_nm,
        allocate=allocate,
        progress=within(progress, 0.3, 0.4),
    )
    pair = PairVolumes(a.volume, registered, diameter.value, a.aligned.pixel_nm, settings, allocate)
    volume = pair.fused(settings.fusion_rule, within(progress, 0.4, 0.5))
    table_b = _moved(b.detection.table, found.pose)
    seen = BothSeries(a, b, found.pose, table_b, diameter.value, b_is_fitted=start is None)
    rest = within(progress, 0.5, 1.0)
    if settings.body is not None:
        detection = find_bodies(seen, volume, settings.body, settings, rest)
        controls: dict[FusionRule, Detection] = {}
    else:
        search = None if start is None else start.search_for(diameter.value)
        detection, controls = find_spheres(seen, pair, volume, search, rounds, rest)
    detection = replace(
        detection,
        table=calibrated_by_pairs(detection.table, a.detection.table, table_b, seen.same_nm),
    )
    if diameter.source == "estimated" and not detection.kinds:
        detection = detection.with_mean_diameter(mean_at_zero(diameter.value, detection.table))
    diameter = diameter.model_copy(update={"kinds": list(detection.kinds)})
    beside_b = _moved(b.beside, found.pose)
    return FusedResult(
        registered,
        volume,
        with_suspected_angles(
            seen.with_missed(seen.with_uncertain(detection)), seen.angle_reasons()
        ),
        table_b,
        named(with_statistics(diameter, detection.table), settings.particles),
        found,
        _registration(found, sense_reversed=bool(reversed_line)),
        Fusion(rule=settings.fusion_rule, wavelet=settings.wavelet, level=settings.level),
        a.aligned.pixel_nm,
        volume_origin_nm(a.summary.sampling, a.aligned.pixel_nm),
        seen.count_alone(a.detection.count, a.detection.table, detection),
        seen.count_alone(b.detection.count, table_b, detection),
        controls,
        (
            *reversed_line,
            *deformation_lines(_newly_deformed(detection, a, b)),
            *(line for line in detection.left_out if line not in (*a.warnings, *b.warnings)),
            *(f"both series: {line}" for line in detection.loose),
            *kind_notes("both series", detection.kinds),
            *name_notes("both series", diameter, settings.particles),
        ),
        _all_beside(detection, (a.beside, beside_b), seen.same_nm),
        beside_b,
    )


def _newly_deformed(
    detection: Detection, a: SeriesResult, b: SeriesResult
) -> dict[str, Deformation]:
    """Return the deformations that the fits to single series did not show."""
    known = {one.aligned.name for one in (a, b) if one.summary.deformation is not None}
    return {name: each for name, each in detection.deformed.items() if name not in known}


def _all_beside(
    detection: Detection, tables: Sequence[ParticleTable], same_nm: float
) -> ParticleTable:
    """Return the particles beside the object: of the fused result, then further ones of A and B.

    A particle that the fused result counts is not beside the object, whatever one series shows.
    """
    beside = detection.beside
    for table in tables:
        known_nm = np.vstack([detection.table.centres_nm, beside.centres_nm])
        if len(table) and len(known_nm):
            distance_nm, _ = cKDTree(known_nm).query(table.centres_nm)
            table = table.select(distance_nm > same_nm)
        beside = beside.followed_by(table)
    return beside


def _moved(table: ParticleTable, pose: Pose) -> ParticleTable:
    variances = table.centre_se_nm**2 @ np.square(pose.scale * pose.matrix).T
    moved = replace(table, centres_nm=pose.apply(table.centres_nm), centre_se_nm=np.sqrt(variances))
    if not table.turned:
        return moved
    turns = Rotation.from_matrix(pose.matrix) * Rotation.from_quat(table.quaternion)
    return replace(moved, quaternion=turns.as_quat())


def _common_diameter(a: Diameter, b: Diameter) -> Diameter:
    """Return the mean diameter: both series show the same particles."""
    known = a.scale_se is not None and b.scale_se is not None
    scale_se = float(np.hypot(a.scale_se or 0.0, b.scale_se or 0.0)) / 2 if known else None
    return a.model_copy(update={"value": (a.value + b.value) / 2, "scale_se": scale_se})


def _registration(found: RegistrationResult, *, sense_reversed: bool) -> Registration:
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
        sense_reversed=sense_reversed,
    )
