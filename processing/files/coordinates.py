"""Read particle coordinates from CSV and XYZ files of any program."""

from __future__ import annotations

import csv
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from processing.errors import InputFileError
from processing.files.text import read_text, to_bool, to_number
from processing.series import Bools, Float64

UNITS_NM = {"nm": 1.0, "angstrom": 0.1, "um": 1000.0}
"""Units of length by name, in nm."""
UNIT_NAMES = {
    "nm": "nm",
    "nanometer": "nm",
    "a": "angstrom",
    "å": "angstrom",
    "ang": "angstrom",
    "angstrom": "angstrom",
    "um": "um",
    "µm": "um",
    "μm": "um",
}
COLUMN = re.compile(r"(x|y|z|diameter|radius)(?:[\s_\[(.]+([^\W\d_]+)[\])]?)?$")
"""Name of a column with its unit, e.g. ``x_nm`` or ``x [nm]``."""
SEPARATORS = ";\t, "
"""Separators of columns; the first that the heading has is taken."""
LARGEST = 1e9
"""Largest coordinate or size that is read, in the unit of the file."""
DECIMALS = 9
"""Decimals of a length in nm that are kept: one place in nm and in angstrom is one number."""
OTHER_OBJECT = "beside"
"""Column that marks particles of other objects."""
ERRORS_NM = ("x_se_nm", "y_se_nm", "z_se_nm")
ERRORS = "pos_se"
"""Columns of the standard errors in CSV and in XYZ, as `ParticleTable` has them."""


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Particles of a file.

    Attributes
    ----------
    centres_nm
        [n, 3], x, y, z.
    diameter_nm
        [n], None if the file has none.
    other_object
        [n], true for particles that the file assigns to other objects.
    error_nm
        [n, 3], standard errors of x, y and z; None if the file lacks one.
    """

    centres_nm: Float64
    diameter_nm: Float64 | None
    other_object: Bools
    error_nm: Float64 | None = None


def read_coordinates(path: Path, unit: str | None = None) -> Coordinates:
    """Read particles from a CSV file with columns x, y, z, or from an XYZ file.

    Parameters
    ----------
    unit
        Unit of the coordinates, one of `UNITS_NM`; None takes the one that the file names. XYZ
        files are in angstrom.

    Raises
    ------
    InputFileError
        The file cannot be read, lacks coordinates or their unit, or a value is no finite number.
    """
    text = read_text(path)
    if not text.strip():
        raise InputFileError(f"{path}: is empty; give a table of particles")
    if "\0" in text:
        raise InputFileError(
            f"{path}: is no table but binary, maybe an image stack; process it first"
        )
    read = _read_xyz if path.suffix.lower() in (".xyz", ".extxyz") else _read_csv
    return read(path, text, unit)


def _read_csv(path: Path, text: str, unit: str | None) -> Coordinates:
    numbered = [
        (number, line)
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip(SEPARATORS) and not line.lstrip().startswith("#")
    ]
    if not numbered:
        raise InputFileError(f"{path}: holds comments only; give a table of particles")
    heading = numbered[0][1]
    separator = next((one for one in SEPARATORS if one in heading.strip()), ",")
    rows = [(number, _fields(path, number, line, separator)) for number, line in numbered]
    _require_columns(path, rows)
    if not text.endswith(("\n", "\r")):
        _refuse_cut_off(path, rows)
    names = [name.lower() for name in rows[0][1]]
    columns = {found[1]: (at, found[2]) for at, found in _known_columns(names)}
    missing = [name for name in "xyz" if name not in columns]
    if missing:
        shown = ", ".join(rows[0][1][:8])[:80]
        raise InputFileError(f"{path}: no column {', '.join(missing)}; its first line has: {shown}")
    units = {_unit(path, named, unit) for name, (_, named) in columns.items() if name in "xyz"}
    if len(units) > 1:
        raise InputFileError(f"{path}: x, y and z have different units; give one with --unit")
    scale = UNITS_NM[units.pop()]
    places = {name: columns[name][0] for name in "xyz"}
    centres = _numbers(path, rows[1:], places) * scale
    size = next((name for name in ("diameter", "radius") if name in columns), None)
    diameter = None
    if size is not None:
        at, named = columns[size]
        factor = UNITS_NM[UNIT_NAMES[named]] if named in UNIT_NAMES else scale
        diameter = (
            _numbers(path, rows[1:], {size: at})[:, 0] * factor * (2 if size == "radius" else 1)
        )
    error = None
    if set(ERRORS_NM) <= set(names):
        error = _errors(rows[1:], [names.index(name) for name in ERRORS_NM])
    other = np.zeros(len(centres), bool)
    if OTHER_OBJECT in names:
        other = _other_object(path, rows[1:], names.index(OTHER_OBJECT))
    return _coordinates(centres, diameter, other, error)


def _fields(path: Path, number: int, line: str, separator: str) -> list[str]:
    try:
        (row,) = csv.reader([line], delimiter=separator, skipinitialspace=True)
    except csv.Error as error:
        raise InputFileError(f"{path}: line {number}: cannot be read: {error}") from None
    return [field.strip() for field in row]


def _known_columns(names: list[str]) -> list[tuple[int, re.Match[str]]]:
    """Return the columns of coordinates and sizes; the first of each name counts."""
    found = [(at, COLUMN.match(name)) for at, name in enumerate(names)]
    return [(at, match) for at, match in reversed(found) if match is not None]


def _unit(path: Path, named: str | None, unit: str | None) -> str:
    if unit is not None:
        return unit
    if named is None:
        raise InputFileError(
            f"{path}: the unit of x, y, z is not named; give it: --unit {' | '.join(UNITS_NM)}"
        )
    if named not in UNIT_NAMES:
        raise InputFileError(
            f"{path}: the unit {named!r} of x, y, z is not known; give it: "
            f"--unit {' | '.join(UNITS_NM)}"
        )
    return UNIT_NAMES[named]


def _require_columns(path: Path, rows: list[tuple[int, list[str]]]) -> None:
    """Refuse a line with more cells than the heading: its columns are not those of their names."""
    named = len(rows[0][1])
    for number, row in rows[1:]:
        given = max((at for at, cell in enumerate(row, start=1) if cell), default=0)
        if given > named:
            raise InputFileError(
                f"{path}: line {number}: {given} values under {named} names of columns; where "
                "decimals have commas, separate the columns by semicolons or tabs"
            )


def _refuse_cut_off(path: Path, rows: list[tuple[int, list[str]]]) -> None:
    """Refuse a table that ends within a line: programs end the last line as the others."""
    number, last = rows[-1]
    fewest = min((len(row) for _, row in rows[:-1]), default=0)
    if len(last) < fewest:
        raise InputFileError(
            f"{path}: line {number}: cut off: it has {len(last)} cells and every other line "
            f"{fewest} or more; restore the file from a copy, or remove the line"
        )


def _other_object(path: Path, rows: list[tuple[int, list[str]]], column: int) -> Bools:
    """Return the column of true and false that marks other objects; missing cells are false."""
    marks = np.zeros(len(rows), bool)
    for at, (number, row) in enumerate(rows):
        try:
            marks[at] = column < len(row) and to_bool(row[column])
        except ValueError as error:
            raise InputFileError(f"{path}: line {number}: {OTHER_OBJECT}: {error}") from None
    return marks


def _read_xyz(path: Path, text: str, unit: str | None) -> Coordinates:
    lines = text.splitlines()
    try:
        number = int(lines[0])
    except ValueError:
        raise InputFileError(
            f"{path}: the first line of an XYZ file is the number of particles, not "
            f"{lines[0][:40]!r}"
        ) from None
    if number < 1:
        raise InputFileError(f"{path}: names {number} particles; give a file with some")
    rows = [(at, line.split()) for at, line in enumerate(lines[2 : 2 + number], start=3)]
    if len(rows) < number:
        raise InputFileError(f"{path}: names {number} particles, but has {len(rows)} lines of them")
    if any(line.strip() for line in lines[2 + number :]):
        raise InputFileError(f"{path}: holds several frames; give a file with one")
    columns = _xyz_columns(path, lines[1], rows)
    if "pos" not in columns:
        raise InputFileError(f"{path}: no column pos in its Properties")
    scale = UNITS_NM[unit or "angstrom"]
    start = columns["pos"]
    centres = _numbers(path, rows, {name: start + at for at, name in enumerate("xyz")}) * scale
    diameter = None
    if "radius" in columns:
        diameter = _numbers(path, rows, {"radius": columns["radius"]})[:, 0] * 2 * scale
    other = np.zeros(number, bool)
    if OTHER_OBJECT in columns:
        other = _other_object(path, rows, columns[OTHER_OBJECT])
    error = None
    if ERRORS in columns:
        error = _errors(rows, [columns[ERRORS] + axis for axis in range(3)])
    return _coordinates(centres, diameter, other, None if error is None else error * scale)


def _coordinates(
    centres_nm: Float64, diameter_nm: Float64 | None, other: Bools, error_nm: Float64 | None
) -> Coordinates:
    """Return particles without the rounding errors of the change of units.

    A lattice has particles that lie just between two classes: for them the last bit decides.
    """
    diameter, error = (
        None if each is None else np.round(each, DECIMALS) for each in (diameter_nm, error_nm)
    )
    return Coordinates(np.round(centres_nm, DECIMALS), _usable(diameter), other, error)


def _xyz_columns(path: Path, comment: str, rows: list[tuple[int, list[str]]]) -> dict[str, int]:
    """Return the first column of each property.

    A plain XYZ file has species and position; some programs leave the species out.
    """
    try:
        words = shlex.split(comment)
    except ValueError:
        words = comment.split()
    named = next((word[11:] for word in words if word.startswith("Properties=")), None)
    if named is None:
        return {"pos": 0} if all(len(row) == 3 for _, row in rows) else {"species": 0, "pos": 1}
    columns, at = {}, 0
    parts = named.split(":")
    try:
        for name, number in zip(parts[::3], parts[2::3], strict=True):
            columns[name] = at
            at += int(number)
    except ValueError:
        raise InputFileError(
            f"{path}: Properties={named} is not of the form name:type:number"
        ) from None
    return columns


def _numbers(path: Path, rows: list[tuple[int, list[str]]], columns: dict[str, int]) -> Float64:
    """Return columns of numbers, [row, column], by name; refuse the first cell that is none."""
    values = np.empty((len(rows), len(columns)))
    for at, (number, row) in enumerate(rows):
        for place, (name, column) in enumerate(columns.items()):
            cell = row[column] if column < len(row) else ""
            try:
                values[at, place] = to_number(cell)
            except ValueError:
                fault = f"is not a number: {cell[:40]}" if cell else "is missing"
                raise InputFileError(f"{path}: line {number}: {name} {fault}") from None
    wrong = np.flatnonzero(~(np.abs(values) <= LARGEST).all(axis=1))
    if len(wrong):
        number = rows[int(wrong[0])][0]
        raise InputFileError(
            f"{path}: line {number}: a value is not finite or over {LARGEST:g}; remove the line "
            f"({len(wrong)} such)"
        )
    return values


def _errors(rows: list[tuple[int, list[str]]], columns: list[int]) -> Float64 | None:
    """Return columns of standard errors, [row, column]; None if one is missing."""
    try:
        values = np.array([[to_number(row[column]) for column in columns] for _, row in rows])
    except (ValueError, IndexError):
        return None
    return values if len(values) and (values > 0).all() and (values <= LARGEST).all() else None


def _usable(diameter_nm: Float64 | None) -> Float64 | None:
    """Return diameters only if all are larger than 0."""
    return diameter_nm if diameter_nm is not None and (diameter_nm > 0).all() else None
