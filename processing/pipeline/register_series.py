"""Registration of series B onto series A, with what is known about both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from processing.combine.capacity import field_capacity
from processing.combine.register import RegistrationResult, register
from processing.device import CPU, Device
from processing.errors import OppositeSenseError, RegistrationRefusedError, UnclearPoseError
from processing.files.particles import ParticleTable
from processing.pipeline.series_search import SeriesResult
from processing.results import Cause, Verdict


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
        raise UnclearPoseError(f"{error}{_likely_reason(a, b)}") from error
    except OppositeSenseError:
        if a.aligned.sense_known and b.aligned.sense_known:
            raise
    b = with_reversed_sense(b)
    found = register(points_a, b.detection.table.centres_nm, diameter_nm, device=device)
    line = (
        "series B: fits A only with the opposite tilt sense; the sign of its angles was reversed. "
        "B's own volumes show the mirror image along z"
    )
    return b, found, (line,)


def _likely_reason(*results: SeriesResult) -> str:
    """Name the series with wrong angles, else those that are undersampled, to end a message.

    With wrong angles particles are in wrong places, and the images look undersampled, too.
    """
    verdicts = [(result.aligned.name, result.detection.count.verdict) for result in results]
    angles = [line for result in results for line in result.aligned.angle_reasons] + _reasons(
        verdicts, Cause.ANGLES
    )
    if angles:
        said = "; ".join(dict.fromkeys(angles))
        return f". Most likely tilt angles are wrong ({said}): give the right ones with --angles"
    reasons = "; ".join(_reasons(verdicts, Cause.UNDERSAMPLED))
    if not reasons:
        return ""
    return f". Most likely the object is undersampled ({reasons}): record closer tilts"


def _reasons(verdicts: Sequence[tuple[str, Verdict | None]], cause: Cause) -> list[str]:
    """Return the reasons of a cause, one line for each series (name, verdict) that has any."""
    return [
        f"series {name}: {', '.join(verdict.lines(cause))}"
        for name, verdict in verdicts
        if verdict and cause in verdict.causes
    ]


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
