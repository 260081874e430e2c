"""Analysis of the structure of a session that was processed before."""

from __future__ import annotations

from pathlib import Path

from processing.files.atomic import replace_text
from processing.pipeline.add_structure import analyse_summarised
from processing.pipeline.results_folder import PROCESSED, SUMMARY, read_summary
from processing.structure.run import StructureOptions
from processing.structure.tables import STRUCTURE_FILES
from processing.structure_results import Structure

NO_RESULTS = "process the series first, or give a table of particles"


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
    summary = read_summary(session, if_missing=NO_RESULTS)
    structure = analyse_summarised(folder, summary, options)
    files = dict(summary.files)
    files |= {name.replace(".", "_"): f"{PROCESSED}/{name}" for name in STRUCTURE_FILES}
    changed = summary.model_copy(update={"structure": structure, "files": files})
    replace_text(folder / SUMMARY, changed.model_dump_json(indent=2) + "\n")
    return structure, [folder / name for name in STRUCTURE_FILES]
