"""Find the files with tilt angles that belong to a stack."""

from __future__ import annotations

from pathlib import Path

from processing.files.compressed import plain_name


def angle_files_beside(path: Path) -> list[Path]:
    """Return the angle files in the stack's folder that have the stack's name, mdoc first."""
    plain = plain_name(path)
    if not plain.name:  # the root folder
        return []
    mdocs = [
        path.with_name(path.name + ".mdoc"),
        plain.with_name(plain.name + ".mdoc"),
        plain.with_suffix(".mdoc"),
    ]
    # an mdoc tells more than a list of angles, and .tlt holds angles that were refined later
    found = next((file for file in mdocs if file.exists()), None)
    lists = [plain.with_suffix(suffix) for suffix in (".rawtlt", ".tlt")]
    return ([found] if found else []) + [file for file in lists if file.exists()][:1]
