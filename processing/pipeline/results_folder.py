"""Results on disk, in DIR/processed. Each file is either complete or absent.

The result of a series can be read back, so A, B and their combination can each run in a separate
process.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from processing.errors import InputFileError
from processing.files.atomic import make_folder, remove_file, replace_text
from processing.files.held_folder import open_to_read
from processing.files.mrc import read_stack, write_images, write_volume
from processing.files.particles import ParticleTable, read_csv, write_csv, write_xyz
from processing.files.rawtlt import write_rawtlt
from processing.files.text import read_small
from processing.pipeline.add_structure import with_structure
from processing.pipeline.detect import Detection
from processing.pipeline.detect_bodies import drawn_as
from processing.pipeline.dual import FusedResult
from processing.pipeline.made_with import MadeWith
from processing.pipeline.sampling import volume_origin_nm
from processing.pipeline.series_search import SeriesResult
from processing.results import (
    Count,
    Counts,
    Diameter,
    FusionRule,
    SeriesName,
    SeriesSummary,
    Summary,
)
from processing.series import TiltSeries
from processing.structure.tables import STRUCTURE_FILES

PROCESSED = "processed"
SUMMARY = "summary.json"
RESOLUTION = "resolution.json"
RESOLUTION_CURVES = "resolution.csv"
"""Resolution of the volumes, measured on request; it goes when they are made again."""
EARLIER = "earlier"
"""Folder in `processed` that holds all old results while new ones replace them."""
MOVING = "earlier.moving"
"""The same folder while only some of the old results are in it."""


class SeriesRecord(BaseModel):
    """Numbers of a series result, without its volumes; the file that is written last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pixel_nm: float
    angles_deg: list[float]
    count: Count
    diameter: Diameter
    summary: SeriesSummary
    warnings: tuple[str, ...]
    sense_known: bool = True
    elapsed: list[float] | None = None
    """Time of recording of each aligned image, from 0 to 1; None in results of earlier versions."""
    made_with: MadeWith | None = None
    """Settings and input files; None where the caller does not know them."""


def write_series_result(
    session: str | Path,
    name: SeriesName,
    result: SeriesResult,
    made_with: MadeWith | None = None,
) -> None:
    """Write the result of one series: aligned images, volumes, particles and record."""
    session = Path(session)
    folder = session / PROCESSED
    session.mkdir(parents=True, exist_ok=True)
    make_folder(folder)
    # without the record, files of the series count as incomplete
    known = f"{name}_known.mrc"
    for stale in (f"{name}.json", SUMMARY, RESOLUTION, RESOLUTION_CURVES, known):
        remove_file(folder / stale)
    pixel_nm = result.aligned.pixel_nm
    write_images(folder / f"{name}_aligned.mrc", result.aligned.images, pixel_nm)
    if result.aligned.known is not None:
        write_images(folder / known, result.aligned.known, pixel_nm)
    write_rawtlt(folder / f"{name}_aligned.rawtlt", result.aligned.angles_deg)
    origin_nm = volume_origin_nm(result.summary.sampling, pixel_nm)
    write_volume(folder / f"{name}_sirt.mrc", result.volume, pixel_nm, origin_nm)
    write_volume(folder / f"{name}_ssr.mrc", result.detection.centres, pixel_nm, origin_nm)
    write_csv(folder / f"{name}_own_particles.csv", _with_beside(result))
    if name == "A":
        _write_table(folder, name, _with_beside(result), result.diameter.names)
    record = SeriesRecord(
        pixel_nm=pixel_nm,
        angles_deg=result.aligned.angles_deg.tolist(),
        count=result.detection.count,
        diameter=result.diameter,
        summary=result.summary,
        warnings=result.warnings,
        sense_known=result.aligned.sense_known,
        elapsed=result.aligned.elapsed.tolist(),
        made_with=made_with,
    )
    replace_text(folder / f"{name}.json", record.model_dump_json(indent=2) + "\n")


def read_series_result(session: str | Path, name: SeriesName) -> SeriesResult:
    """Read the result that `write_series_result` wrote.

    Raises
    ------
    InputFileError
        A file is missing or damaged: processing of the series was not completed.
    """
    session = Path(session)
    folder = session / PROCESSED
    record = read_record(session, name)
    known = folder / f"{name}_known.mrc"
    aligned = TiltSeries(
        images=read_stack(folder / f"{name}_aligned.mrc").data,
        angles_deg=np.array(record.angles_deg),
        pixel_nm=record.pixel_nm,
        name=name,
        sense_known=record.sense_known,
        known=read_stack(known).data if known.exists() else None,
        recorded_at=None if record.elapsed is None else np.array(record.elapsed),
    )
    table = drawn_as(read_csv(folder / f"{name}_own_particles.csv"), record.diameter.shape)
    centres = read_stack(folder / f"{name}_ssr.mrc").data
    detection = Detection(centres, table.counted, record.count)
    return SeriesResult(
        aligned,
        read_stack(folder / f"{name}_sirt.mrc").data,
        detection,
        record.diameter,
        record.summary,
        record.warnings,
        table.select(table.beside),
    )


def _with_beside(result: SeriesResult) -> ParticleTable:
    return result.detection.table.followed_by(result.beside)


def write_fused_result(session: str | Path, result: FusedResult) -> None:
    """Write the result of both series, and the particles of B in the frame of A."""
    write_fused_volumes(session, result)
    write_fused_tables(session, result)


def write_fused_volumes(session: str | Path, result: FusedResult) -> None:
    """Write the volumes of both series in the frame of A."""
    folder = Path(session) / PROCESSED
    pixel_nm = result.pixel_nm
    origin_nm = result.origin_nm
    write_volume(folder / "B_registered.mrc", result.registered_b, pixel_nm, origin_nm)
    write_volume(folder / "fused.mrc", result.volume, pixel_nm, origin_nm)
    write_volume(folder / "fused_ssr.mrc", result.detection.centres, pixel_nm, origin_nm)


def write_fused_tables(session: str | Path, result: FusedResult) -> None:
    """Write the particles of both series, and those of B in the frame of A."""
    folder = Path(session) / PROCESSED
    names = result.diameter.names
    _write_table(folder, "B", result.table_b.followed_by(result.beside_b), names)
    _write_table(folder, "fused", result.detection.table.followed_by(result.beside), names)
    for name, control in result.controls.items():
        _write_table(folder, name, control.table, names)


def _counts(a: SeriesResult, b: SeriesResult | None, fused: FusedResult | None) -> Counts:
    if fused is not None:
        return Counts(A=fused.count_a, B=fused.count_b, fused=fused.detection.count)
    return Counts(A=a.detection.count, B=b.detection.count if b else None)


def _series(
    a: SeriesResult, b: SeriesResult | None, fused: FusedResult | None
) -> dict[SeriesName, SeriesSummary]:
    """Return the summaries of the series, with the deformation that the last fit shows."""
    summaries: dict[SeriesName, SeriesSummary] = {"A": a.summary}
    if b is not None:
        summaries["B"] = b.summary
    if fused is None:
        return summaries
    deformed = fused.detection.deformed
    return {
        name: each.model_copy(update={"deformation": deformed.get(name)})
        for name, each in summaries.items()
    }


def write_summary(
    session: str | Path,
    a: SeriesResult,
    b: SeriesResult | None = None,
    fused: FusedResult | None = None,
) -> Summary:
    """Analyse the structure, and write summary.json as the last file.

    If the summary exists, every file it names is complete.
    """
    return write_summarised(session, analysed(session, summarise(a, b, fused)))


def analysed(session: str | Path, found: Summary) -> Summary:
    """Return the summary with the structure of its particles; only spheres have one."""
    return found if found.diameter_nm.shape else with_structure(Path(session) / PROCESSED, found)


def summarise(
    a: SeriesResult, b: SeriesResult | None = None, fused: FusedResult | None = None
) -> Summary:
    """Return the summary, without structure and the names of the files."""
    counts = _counts(a, b, fused)
    return Summary(
        counts=counts,
        verdict=(counts.fused or counts.A).verdict,
        diameter_nm=fused.diameter if fused else a.diameter,
        series=_series(a, b, fused),
        registration=fused.registration if fused else None,
        fusion=fused.fusion if fused else None,
        pixel_nm=a.aligned.pixel_nm,
        warnings=[
            *a.warnings,
            *(b.warnings if b else ()),
            *(fused.warnings if fused else ()),
        ],
    )


def write_summarised(session: str | Path, found: Summary) -> Summary:
    """Write a summary with the version of dualtilt and the names of all files of the results."""
    folder = Path(session) / PROCESSED
    files = {
        path.name.replace(".", "_"): f"{PROCESSED}/{path.name}"
        for path in sorted(folder.iterdir())
        if path.suffix in (".mrc", ".csv", ".xyz")
    }
    summary = found.model_copy(update={"version": version("dualtilt"), "files": files})
    replace_text(folder / SUMMARY, summary.model_dump_json(indent=2) + "\n")
    return summary


def read_summary(session: Path, *, if_missing: str = "process the series first") -> Summary:
    """Read summary.json.

    Parameters
    ----------
    if_missing
        Advice where there is no such file.

    Raises
    ------
    InputFileError
        It is missing or damaged.
    """
    path = session / PROCESSED / SUMMARY
    try:
        with open_to_read(path) as file:
            return Summary.model_validate_json(read_small(file))
    except (FileNotFoundError, NotADirectoryError):
        advice = earlier_results(path.parent) or _single_series(path.parent) or f"; {if_missing}"
        raise InputFileError(f"{path}: no such file{advice}") from None
    except (ValidationError, UnicodeDecodeError):
        raise InputFileError(f"{path}: damaged; process the series again") from None


def _single_series(folder: Path) -> str:
    """Say that only the tables of single series are there; empty if there are none."""
    tables = [folder / f"particles_{name}.csv" for name in ("A", "B")]
    there = [table for table in tables if table.is_file()]
    if not there:
        return ""
    return (
        f"; A and B were not brought together: `dualtilt process` says why. "
        f"`dualtilt analyse {shlex.quote(str(there[0]))}` takes the particles of one series"
    )


def earlier_results(folder: Path) -> str:
    """Say where a batch that failed or was killed left old results; empty if it left none."""
    for name in (EARLIER, MOVING):
        if (folder / name).is_dir():
            return (
                f"; the earlier results are in {folder / name}: the same command "
                "`dualtilt batch` puts them back"
            )
    return ""


def result_names() -> list[str]:
    """Return the names of all files that a result can have, the summary first."""
    tables = ("A", "B", "fused", *FusionRule)
    return [
        SUMMARY,
        RESOLUTION,
        RESOLUTION_CURVES,
        *(f"{name}.json" for name in "AB"),
        *(f"{name}_own_particles.csv" for name in "AB"),
        *(f"{name}_aligned.rawtlt" for name in "AB"),
        *(f"{name}_{kind}.mrc" for name in "AB" for kind in ("aligned", "known", "sirt", "ssr")),
        *("B_registered.mrc", "fused.mrc", "fused_ssr.mrc"),
        *STRUCTURE_FILES,
        *(f"particles_{name}.{suffix}" for name in tables for suffix in ("csv", "xyz")),
    ]


def _write_table(folder: Path, name: str, table: ParticleTable, names: Sequence[str]) -> None:
    write_csv(folder / f"particles_{name}.csv", table)
    write_xyz(folder / f"particles_{name}.xyz", table, names)


def read_record(session: Path, name: SeriesName) -> SeriesRecord:
    """Read the record of a series.

    Raises
    ------
    InputFileError
        It is missing or damaged: processing of the series was not completed.
    """
    path = session / PROCESSED / f"{name}.json"
    try:
        with open_to_read(path) as file:
            return SeriesRecord.model_validate_json(read_small(file))
    except FileNotFoundError:
        raise InputFileError(f"{path}: no such file; process this series first") from None
    except (ValidationError, UnicodeDecodeError):
        raise InputFileError(f"{path}: damaged; process this series again") from None
