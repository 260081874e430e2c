"""Analysis of a file of particles or of the results of a session."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from processing.errors import InputFileError, NoStructureError, ResultRefusedError
from processing.files.atomic import replace_text
from processing.files.coordinates import Coordinates, read_coordinates
from processing.files.held_folder import open_to_read
from processing.results import Summary, Trust
from processing.structure.analyse import StructureAnalysis, analyse_structure
from processing.structure.errors import PositionError
from processing.structure.tables import write_structure
from processing.structure_results import Structure

PROCESSED = "processed"


@dataclass(frozen=True)
class StructureOptions:
    """Facts that the operator gives; None where the files name them."""

    unit: str | None = None
    diameter_nm: float | None = None
    position_error_nm: float | None = None


def analyse_file(path: Path, out: Path, options: StructureOptions) -> tuple[Structure, list[Path]]:
    """Analyse a table of particles; write the results as ``NAME_structure...`` into `out`.

    Raises
    ------
    InputFileError
        The table cannot be read.
    NoStructureError
        Its particles have no structure that can be analysed.
    """
    particles = _with_diameter(read_coordinates(path, options.unit), options.diameter_nm)
    try:
        analysis = _analyse(particles, options)
    except NoStructureError as error:
        raise NoStructureError(f"{path}: {error}") from None
    prefix = f"{path.stem}_"
    paths = write_structure(
        out, analysis, particles.centres_nm, particles.diameter_nm, prefix=prefix
    )
    summary = out / f"{prefix}structure.json"
    replace_text(summary, analysis.summary.model_dump_json(indent=2) + "\n")
    return analysis.summary, [*paths, summary]


def analyse_session(session: Path, options: StructureOptions) -> tuple[Structure, list[Path]]:
    """Analyse the particles of both series of a session, or of A; write the results beside them.

    Raises
    ------
    InputFileError
        The session has no complete results.
    ResultRefusedError
        Its count is refused.
    NoStructureError
        Its particles have no structure that can be analysed.
    """
    folder = session / PROCESSED
    summary = _read_summary(folder / "summary.json")
    _require_accepted(session, summary)
    name = "A" if summary.counts.fused is None else "fused"
    path = folder / f"particles_{name}.csv"
    particles = _with_diameter(read_coordinates(path, options.unit), options.diameter_nm)
    try:
        analysis = _analyse(particles, options)
    except NoStructureError as error:
        raise NoStructureError(f"{path}: {error}") from None
    paths = write_structure(folder, analysis, particles.centres_nm, particles.diameter_nm)
    return analysis.summary, paths


def _analyse(particles: Coordinates, options: StructureOptions) -> StructureAnalysis:
    given = options.position_error_nm
    return analyse_structure(
        particles.centres_nm,
        particles.diameter_nm,
        excluded=particles.other_object,
        position_error=None if given is None else PositionError(given, "given"),
    )


def _with_diameter(particles: Coordinates, diameter_nm: float | None) -> Coordinates:
    if diameter_nm is None:
        return particles
    sizes = np.full(len(particles.centres_nm), diameter_nm)
    return Coordinates(particles.centres_nm, sizes, particles.other_object)


def _read_summary(path: Path) -> Summary:
    try:
        with open_to_read(path) as file:
            return Summary.model_validate_json(file.read())
    except FileNotFoundError:
        raise InputFileError(
            f"{path}: no such file; process the series first, or give a table of particles"
        ) from None
    except (ValidationError, UnicodeDecodeError):
        raise InputFileError(f"{path}: damaged; process the series again") from None


def _require_accepted(session: Path, summary: Summary) -> None:
    verdict = summary.verdict
    if verdict is not None and verdict.state is Trust.REFUSED:
        reason = verdict.reasons[0] if verdict.reasons else "the images are not explained"
        raise ResultRefusedError(
            f"{session}: its count is refused, so its particles have no structure: {reason}"
        )
