"""Find single images of a tilt series: the files of a folder, or those that a list names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.errors import InputFileError
from processing.files.compressed import plain_name
from processing.files.foreign import READERS
from processing.files.rawtlt import AngleTable, read_angle_table
from processing.files.text import read_text, to_number

LIST_SUFFIXES = (".txt", ".lst", ".csv")
MRC_SUFFIXES = (".mrc", ".mrcs", ".st", ".map")
ANGLE_SUFFIXES = (".rawtlt", ".tlt", *LIST_SUFFIXES)
ANGLE_IN_NAME = re.compile(r"(?:^|[^\d.])([-+]\d+(?:\.\d+)?|\d+\.\d+|\d+(?=deg|°))(?:deg|°)?\D*$")
"""Number with a sign, a decimal point or a unit at the end of a name: ``tilt_-12.5.tif``."""


@dataclass(frozen=True)
class ImageList:
    """Single images in the order of recording.

    Attributes
    ----------
    files
        One file for each image.
    angles_deg
        [image]; None if no list and no name gives them.
    source
        Where the angles stand.
    """

    files: tuple[Path, ...]
    angles_deg: NDArray[np.float64] | None
    source: str


def is_image_list(path: Path) -> bool:
    """Recognise a folder of images or a list of their names; a zspy file is a folder, too."""
    if path.is_dir():
        return path.suffix.lower() not in READERS
    return path.suffix.lower() in LIST_SUFFIXES and path.is_file()


def find_images(path: Path) -> ImageList:
    """Find the images of a folder in the order of their names, or those of a list in its order.

    Raises
    ------
    InputFileError
        There are none, or the list names a file that does not exist.
    """
    return _of_folder(path) if path.is_dir() else _of_list(path)


def _of_folder(path: Path) -> ImageList:
    files = sorted((file for file in path.iterdir() if is_image_file(file)), key=_natural)
    if not files:
        raise InputFileError(f"{path}: is a folder without images; give a tilt series")
    for file in sorted(path.iterdir()):
        angles = _angles_of(file, files) if file.suffix.lower() in ANGLE_SUFFIXES else None
        if angles is not None:
            return ImageList(tuple(files), angles, file.name)
    return ImageList(tuple(files), _angles_in_names(files), "the names of the images")


def _angles_of(table_file: Path, files: list[Path]) -> NDArray[np.float64] | None:
    """Return the angles of a file that has one for each image; None for any other text."""
    try:
        table = read_angle_table(table_file)
    except InputFileError:
        return None
    return angles_in_order(table, [file.name for file in files])


def angles_in_order(table: AngleTable, names: Sequence[str]) -> NDArray[np.float64] | None:
    """Return the angles of the named images; None if the table lacks one or has another number."""
    if len(table.angles_deg) != len(names):
        return None
    if not table.names:
        return table.angles_deg
    by_name = dict(zip(table.names, table.angles_deg.tolist(), strict=True))
    if any(name not in by_name for name in names):
        return None
    return np.array([by_name[name] for name in names])


def _of_list(path: Path) -> ImageList:
    lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    files = tuple(path.parent / re.split(r"[\s;,]+", line)[0] for line in lines)
    missing = next((file for file in files if not file.is_file()), None)
    if missing is not None:
        raise InputFileError(f"{path}: names {missing.name}, which is not there; correct the list")
    behind = [re.split(r"[\s;,]+", line, maxsplit=1)[1:] for line in lines]
    if files and all(behind):
        return ImageList(files, read_angle_table(path).angles_deg, path.name)
    return ImageList(files, _angles_in_names(list(files)), "the names of the images")


def _angles_in_names(files: list[Path]) -> NDArray[np.float64] | None:
    found = [ANGLE_IN_NAME.search(plain_name(file).stem) for file in files]
    if not all(found):
        return None
    angles = np.array([to_number(match[1]) for match in found if match])
    return angles if np.ptp(angles) > 0 and np.abs(angles).max() <= 180 else None


def is_image_file(file: Path) -> bool:
    """Recognise a file of images by its suffix, compressed or not."""
    suffix = plain_name(file).suffix.lower()
    return suffix in READERS or suffix in MRC_SUFFIXES


def _natural(file: Path) -> list[tuple[int, str]]:
    """Return a key that sorts image 2 before image 10."""
    parts = re.split(r"(\d+)", file.name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
