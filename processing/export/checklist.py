"""Facts that a format or archive asks for and nobody has given."""

from __future__ import annotations

from collections.abc import Sequence

from processing.export.empiar import missing_files
from processing.export.finished import Finished
from processing.export.targets import ExportTarget

NXEM = ("start_time", "is_simulation", "atom_types", "preparation_date")
"""Facts that NXem requires, by their names in the file of `--about`."""
EMPIAR = (
    "title",
    "authors",
    "corresponding_author",
    "principal_investigator",
    "publication",
    "release",
    "sample",
    "microscope",
)
"""Facts that EMPIAR's form asks for."""
REQUIRED: dict[ExportTarget, tuple[str, ...]] = {
    ExportTarget.NEXUS: NXEM,
    ExportTarget.EMPIAR: EMPIAR,
}


def missing(finished: Finished, targets: Sequence[ExportTarget]) -> list[str]:
    """Return one line for each format with missing facts, and for each missing raw file."""
    lines = []
    for target in targets:
        names = [
            name for name in REQUIRED.get(target, ()) if getattr(finished.about, name) in (None, [])
        ]
        if names:
            lines.append(f"{target} asks for {', '.join(names)}; give them with --about FILE")
    if ExportTarget.EMPIAR in targets:
        lines += missing_files(finished)
    return lines
