"""Angle files: IMOD's rawtlt and tlt, and tables with an index or the name of each image."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from processing.errors import InputFileError
from processing.files.atomic import replace_text
from processing.files.text import read_text, to_number

COMMENT = re.compile(r"(#|//|%).*")
LARGEST_DEG = 360.0
"""Largest angle that can be one of a stage."""
COMMA_DECIMAL = re.compile(r"^[^\d]*\d+,\d+[^\d]*$")
"""One number with a decimal comma, and nothing else that is a number."""


@dataclass(frozen=True)
class AngleTable:
    """Content of an angle file.

    Attributes
    ----------
    angles_deg
        [tilt].
    names
        Name of each image, if the lines begin with one; else empty.
    notes
        One line for each oddity.
    """

    angles_deg: NDArray[np.float64]
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def write_rawtlt(path: Path, angles_deg: ArrayLike) -> None:
    """Write the tilt angles with two decimals, in one step."""
    angles = np.atleast_1d(np.asarray(angles_deg, float))
    replace_text(path, "".join(f"{angle:.2f}\n" for angle in angles))


def read_rawtlt(path: Path) -> NDArray[np.float64]:
    """Read the tilt angles [tilt], degrees.

    Raises
    ------
    InputFileError
        The file does not exist, or a line is not a tilt angle.
    """
    return read_angle_table(path).angles_deg


def read_angle_table(path: Path) -> AngleTable:
    """Read one tilt angle a line, alone or behind an index or the name of an image.

    Columns are separated by blanks, tabs, semicolons or commas; a lone comma is a decimal comma.
    A first line in words and comments after ``#`` are left out.

    Raises
    ------
    InputFileError
        The file does not exist, or a line is not a tilt angle.
    """
    lines = [
        (number, content)
        for number, line in enumerate(read_text(path).splitlines(), start=1)
        if (content := COMMENT.sub("", line).strip())
    ]
    rows = [_columns(content) for _, content in lines]
    if len(rows) > 1 and not _numbers(rows[0]) and _numbers(rows[1]):
        lines, rows = lines[1:], rows[1:]  # a headline
    names = _names(rows)
    if names:
        rows = [row[1:] for row in rows]
    column, notes = _angle_column(rows)
    angles = []
    for (number, content), row in zip(lines, rows, strict=True):
        angle = _number(row[column]) if len(row) > column else None
        if angle is None or not abs(angle) <= LARGEST_DEG:
            raise InputFileError(
                f"{path}, line {number}: '{content[:40]}' is not a tilt angle; correct it"
            )
        angles.append(angle)
    return AngleTable(np.array(angles, np.float64), names, tuple(notes))


def _columns(line: str) -> list[str]:
    parts = re.split(r"[\s;]+", line)
    if len(parts) > 1 or COMMA_DECIMAL.match(line):
        return [part.rstrip(",") for part in parts if part.rstrip(",")]
    return [part for part in line.split(",") if part]


def _numbers(row: list[str]) -> bool:
    return any(_number(value) is not None for value in row)


def _number(text: str) -> float | None:
    try:
        value = to_number(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _names(rows: list[list[str]]) -> tuple[str, ...]:
    """Return the first column if it holds names in every line, with a number behind each."""
    named = all(len(row) > 1 and _number(row[0]) is None and _numbers(row[1:]) for row in rows)
    return tuple(row[0] for row in rows) if rows and named else ()


def _angle_column(rows: list[list[str]]) -> tuple[int, list[str]]:
    """Return the column of the angles: the one behind an index, else the first."""
    if len(rows) < 3 or any(len(row) < 2 for row in rows):
        return 0, []
    first = [_number(row[0]) for row in rows]
    start = first[0]
    counting = start in (0.0, 1.0) and first == [start + n for n in range(len(rows))]
    if counting and all(_number(row[1]) is not None for row in rows):
        return 1, ["its first column counts the images; the angles are in the second"]
    return 0, []
