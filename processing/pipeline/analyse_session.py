"""Analysis of the structure of a session that was processed before."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from processing.errors import InputFileError
from processing.files.atomic import replace_text
from processing.files.held_folder import open_to_read
from processing.pipeline.add_structure import analyse_summarised
from processing.pipeline.results_folder import PROCESSED, SUMMARY
from processing.results import Summary
from processing.structure.run import StructureOptions
from processing.structure.tables import STRUCTURE_FILES
from processing.structure_results import Structure


def analyse_session(session: Path, options: StructureOptions) -> tuple[Structure, list[Path]]:
    """Analyse the particles of a session again; write structure and summary.

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
    summary = _read_summary(folder / SUMMARY)
    structure = analyse_summarised(folder, summary, options)
    files = dict(summary.files)
    files |= {name.replace(".", "_"): f"{PROCESSED}/{name}" for name in STRUCTURE_FILES}
    changed = summary.model_copy(update={"structure": structure, "files": files})
    replace_text(folder / SUMMARY, changed.model_dump_json(indent=2) + "\n")
    return structure, [folder / name for name in STRUCTURE_FILES]


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
