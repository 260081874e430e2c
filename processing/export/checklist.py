"""Facts that a format or archive asks for and nobody has given."""

from __future__ import annotations

from collections.abc import Sequence

from processing.export.finished import Finished
from processing.export.targets import ExportTarget

NXEM = ("start_time", "is_simulation", "atom_types", "preparation_date")
"""Facts that NXem requires, by their names in the file of `--about`."""
REQUIRED: dict[ExportTarget, tuple[str, ...]] = {ExportTarget.NEXUS: NXEM}


def missing(finished: Finished, targets: Sequence[ExportTarget]) -> list[str]:
    """Return one line for each format that asks for facts that are missing."""
    lines = []
    for target in targets:
        names = [
            name for name in REQUIRED.get(target, ()) if getattr(finished.about, name) in (None, [])
        ]
        if names:
            lines.append(f"{target} asks for {', '.join(names)}; give them with --about FILE")
    return lines
