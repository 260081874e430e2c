"""Registration of series B onto series A, with what is known about both."""

from __future__ import annotations

from dataclasses import replace

from processing.combine.capacity import field_capacity
from processing.combine.register import RegistrationResult, register
from processing.device import CPU, Device
from processing.errors import OppositeSenseError, RegistrationRefusedError, UnclearPoseError
from processing.files.particles import ParticleTable
from processing.pipeline.series_search import SeriesResult
from processing.results import Cause


def register_series(
    a: SeriesResult, b: SeriesResult, diameter_nm: float, *, device: Device = CPU
) -> tuple[SeriesResult, RegistrationResult, tuple[str, ...]]:
    """Register B onto A; return B, its pose, and a line if its tilt sense was reversed.

    The sense is reversed only if it was chosen freely when axis or angles were found in the images.

    Raises
    ------
    RegistrationRefusedError
        B is not the flipped A, or far more particles were found than the field can hold.
    """
    for one in (a, b):
        _require_room(one, diameter_nm)
    points_a = a.detection.table.centres_nm
    try:
        return b, register(points_a, b.detection.table.centres_nm, diameter_nm, device=device), ()
    except UnclearPoseError as error:
        raise UnclearPoseError(f"{error}{_undersampled(a, b)}") from error
    except OppositeSenseError:
        if a.aligned.sense_known and b.aligned.sense_known:
            raise
    b = with_reversed_sense(b)
    found = register(points_a, b.detection.table.centres_nm, diameter_nm, device=device)
    line = (
        "series B: fits A only with the opposite tilt sense, which was taken; B's own volumes show "
        "the mirror image along z"
    )
    return b, found, (line,)


def _undersampled(*results: SeriesResult) -> str:
    """Name the series whose tilts or pixels are too coarse, as the end of a message."""
    verdicts = [(result.aligned.name, result.detection.count.verdict) for result in results]
    reasons = [
        f"series {name}: {', '.join(verdict.lines(Cause.UNDERSAMPLED))}"
        for name, verdict in verdicts
        if verdict and Cause.UNDERSAMPLED in verdict.causes
    ]
    if not reasons:
        return ""
    return f". Most likely the object is undersampled ({'; '.join(reasons)}): record closer tilts"


def _require_room(result: SeriesResult, diameter_nm: float) -> None:
    """Refuse more particles than the field can hold: their registration would take long."""
    shape, number = result.volume.shape, len(result.detection.table)
    most = field_capacity(shape, result.aligned.pixel_nm, diameter_nm)
    if number > most:
        name = result.aligned.name
        raise RegistrationRefusedError(
            f"series {name}: {number} particles of {diameter_nm:.3g} nm were found, but an object "
            f"in this field holds {most} at most; most are noise or background, so B is not "
            "registered onto A: check the images and the diameter"
        )


def with_reversed_sense(result: SeriesResult) -> SeriesResult:
    """Mirror a result along the beam: the same images with the opposite tilt angles."""
    return replace(
        result,
        aligned=replace(result.aligned, angles_deg=-result.aligned.angles_deg),
        volume=result.volume[::-1],
        detection=replace(
            result.detection,
            centres=result.detection.centres[::-1],
            table=_mirrored(result.detection.table),
        ),
        beside=_mirrored(result.beside),
    )


def _mirrored(table: ParticleTable) -> ParticleTable:
    mirrored = replace(table, centres_nm=table.centres_nm * [1.0, 1.0, -1.0])
    if not table.turned:
        return mirrored
    # a mirror along z turns the rotation vector about x and y the other way
    return replace(mirrored, quaternion=table.quaternion * [-1.0, -1.0, 1.0, 1.0])
