"""Analysis of a particle table, of any program or among the results of a session."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from processing.errors import InputFileError, NoStructureError, ResultRefusedError
from processing.files.atomic import remove_file, replace_text
from processing.files.coordinates import Coordinates, read_coordinates
from processing.files.text import read_text
from processing.results import Registration, Trust, Verdict
from processing.structure.analyse import analyse_structure
from processing.structure.errors import PositionError, errors_of_the_fit
from processing.structure.tables import STRUCTURE_FILES, write_structure
from processing.structure_results import Structure


@dataclass(frozen=True)
class StructureOptions:
    """Facts that the operator gives; None where the files name them."""

    unit: str | None = None
    diameter_nm: float | None = None
    position_error_nm: float | None = None


OWN_FACTS = StructureOptions()


def analyse_file(path: Path, out: Path, options: StructureOptions) -> tuple[Structure, list[Path]]:
    """Analyse a table of particles; write the results as ``NAME_structure...`` into `out`.

    Raises
    ------
    InputFileError
        The table cannot be read, or files in `out` would be replaced that are not those of an
        earlier analysis of it.
    NoStructureError
        Its particles have no structure that can be analysed.
    """
    prefix = f"{path.stem}_"
    summary = out / f"{prefix}structure.json"
    _require_own(summary, [out / f"{prefix}{name}" for name in STRUCTURE_FILES], path.name)
    remove_file(summary)  # without it the other files count as incomplete
    structure = _analyse(path, out, options, path.name, prefix=prefix)
    replace_text(summary, structure.model_dump_json(indent=2) + "\n")
    return structure, [*(out / f"{prefix}{name}" for name in STRUCTURE_FILES), summary]


def _require_own(summary: Path, files: list[Path], source: str) -> None:
    """Refuse to replace files other than those of an earlier analysis of the same table."""
    present = [path.name for path in (summary, *files) if path.exists() or path.is_symlink()]
    if present and _source(summary) != source:
        raise InputFileError(
            f"{summary.parent}: already holds {', '.join(present)}, not of a finished analysis of "
            f"{source}; move these files away, or choose another folder with --out"
        )


def _source(summary: Path) -> str | None:
    """Return the table that a summary of `analyse_file` is of; None if it is no such summary."""
    try:
        return Structure.model_validate_json(read_text(summary)).source
    except (InputFileError, ValidationError):
        return None


def analyse_results(
    folder: Path,
    source: str,
    verdict: Verdict | None,
    registration: Registration | None,
    options: StructureOptions = OWN_FACTS,
) -> Structure:
    """Analyse the particle table of a folder of results; write the structure's files beside it.

    Parameters
    ----------
    source
        "A" or "fused".

    Raises
    ------
    InputFileError
        The table cannot be read.
    ResultRefusedError
        The count is refused.
    NoStructureError
        The particles have no structure that can be analysed.
    """
    remove_structure(folder)
    path = folder / f"particles_{source}.csv"
    if verdict is not None and verdict.state is Trust.REFUSED:
        reason = verdict.reasons[0] if verdict.reasons else "the images are not explained"
        raise ResultRefusedError(
            f"{path}: the count is refused, so its particles have no structure: {reason}"
        )
    error = None if registration is None else _error_of_both(registration)
    return _analyse(path, folder, options, source, error, _doubts(verdict))


def remove_structure(folder: Path) -> None:
    """Remove the files of an earlier analysis."""
    for name in STRUCTURE_FILES:
        remove_file(folder / name)


def _analyse(
    path: Path,
    folder: Path,
    options: StructureOptions,
    source: str,
    error: PositionError | None = None,
    notes: tuple[str, ...] = (),
    prefix: str = "",
) -> Structure:
    particles = _with_diameter(read_coordinates(path, options.unit), options.diameter_nm)
    if particles.error_nm is not None:
        error = errors_of_the_fit(particles.error_nm)
    if options.position_error_nm is not None:
        error = PositionError(options.position_error_nm, "given")
    try:
        analysis = analyse_structure(
            particles.centres_nm,
            particles.diameter_nm,
            source=source,
            excluded=particles.other_object,
            position_error=error,
            notes=notes,
        )
    except NoStructureError as refused:
        raise NoStructureError(f"{path}: {refused}") from None
    write_structure(folder, analysis, particles.centres_nm, particles.diameter_nm, prefix=prefix)
    return analysis.summary


def _error_of_both(registration: Registration) -> PositionError:
    """Return the error of a coordinate found from both series.

    Each series alone has its part of the distance between the paired places; both together, half of
    the distance, in three coordinates.
    """
    return PositionError(registration.rms_nm / 2 / 3**0.5, "places in B against those in A")


def _doubts(verdict: Verdict | None) -> tuple[str, ...]:
    if verdict is None or verdict.state is Trust.TRUSTED:
        return ()
    return tuple(
        f"the count is {verdict.state}, and so is the structure: {reason}"
        for reason in verdict.reasons
    )


def _with_diameter(particles: Coordinates, diameter_nm: float | None) -> Coordinates:
    if diameter_nm is None:
        return particles
    sizes = np.full(len(particles.centres_nm), diameter_nm)
    return replace(particles, diameter_nm=sizes)
