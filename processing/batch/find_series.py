"""Find the series of a folder: stacks or folders of images that are named A and B."""

from __future__ import annotations

from pathlib import Path

from processing.errors import InputFileError
from processing.files.compressed import plain_name
from processing.files.image_list import is_image_file
from processing.results import SeriesName


def find_series(session: Path) -> dict[SeriesName, Path]:
    """Return the path of series A, and that of B if there is one.

    Raises
    ------
    InputFileError
        The folder is missing, has no series A, or its series are ambiguous.
    """
    if not session.is_dir():
        raise InputFileError(
            f"{session}: no such folder on this worker; all workers need the same file system"
        )
    found: dict[SeriesName, Path] = {}
    names: tuple[SeriesName, ...] = ("A", "B")
    for name in names:
        series = sorted(path for path in session.iterdir() if _is_series(path, name))
        if len(series) > 1:
            listed = ", ".join(path.name for path in series)
            raise InputFileError(f"{session}: {listed} could all be series {name}; keep one")
        if series:
            found[name] = series[0]
    if "A" not in found:
        raise InputFileError(
            f"{session}: no series A; name the stacks A and B, for example A.mrc and B.mrc"
        )
    if "B" in found and found["A"].samefile(found["B"]):
        raise InputFileError(f"{session}: A and B are the same file; B is the flipped series")
    return found


def _is_series(path: Path, name: str) -> bool:
    if path.name == name:
        return path.is_dir()
    return plain_name(path).stem == name and is_image_file(path)
