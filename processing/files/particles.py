"""Particle tables: CSV in nanometres, extended XYZ in angstrom."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.errors import InputFileError
from processing.files.atomic import replace_text
from processing.files.held_folder import open_to_read

COLUMNS = ("id", "x_nm", "y_nm", "z_nm", "diameter_nm", "confidence")
XYZ_PROPERTIES = "species:S:1:pos:R:3:radius:R:1:confidence:R:1"


@dataclass(frozen=True)
class ParticleTable:
    """Particles found in one volume.

    Attributes
    ----------
    centres_nm
        [n, 3] as (x, y, z) from the volume's centre, which is index (N - 1) / 2 of each axis.
    diameter_nm
        [n].
    confidence
        [n], 0..1: chance that a particle is there, within a quarter of a diameter.
    """

    centres_nm: NDArray[np.float64]
    diameter_nm: NDArray[np.float64]
    confidence: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.centres_nm)


def write_csv(path: str | Path, table: ParticleTable) -> None:
    """Write a table as CSV: first line `COLUMNS`, then one particle a line with ids from 1."""
    path = Path(path)
    rows = zip(*_rounded_columns(table), strict=True)
    lines = [",".join(COLUMNS)]
    lines += [",".join([str(number), *row]) for number, row in enumerate(rows, start=1)]
    replace_text(path, "\n".join(lines) + "\n")


def read_csv(path: str | Path) -> ParticleTable:
    """Read a table that `write_csv` wrote.

    Raises
    ------
    InputFileError
        The file does not exist, a column is missing, or a value is not a number.
    """
    path = Path(path)
    try:
        with open_to_read(path) as file:
            reader = csv.DictReader(TextIOWrapper(file, "utf-8", newline=""))
            missing = set(COLUMNS) - set(reader.fieldnames or ())
            if missing:
                raise InputFileError(
                    f"{path}: no column {', '.join(sorted(missing))}; write the table again"
                )
            rows = [[float(row[name]) for name in COLUMNS[1:]] for row in reader]
    except FileNotFoundError:
        raise InputFileError(f"{path}: no such file") from None
    except (ValueError, TypeError):
        raise InputFileError(f"{path}: a value is not a number; write the table again") from None
    values = np.array(rows, np.float64).reshape(-1, 5)
    return ParticleTable(values[:, :3], values[:, 3], values[:, 4])


def write_xyz(path: str | Path, table: ParticleTable, species: str = "Au") -> None:
    """Write a table as extended XYZ in angstrom, which OVITO and ASE open."""
    path = Path(path)
    x, y, z, diameter, confidence = _columns(table)
    lines = [str(len(table)), f'Properties={XYZ_PROPERTIES} pbc="F F F"']
    lines += [
        f"{species} {10 * a:.3f} {10 * b:.3f} {10 * c:.3f} {5 * d:.3f} {e:.4f}"
        for a, b, c, d, e in zip(x, y, z, diameter, confidence, strict=True)
    ]
    replace_text(path, "\n".join(lines) + "\n")


def read_xyz(path: str | Path) -> ParticleTable:
    """Read a table that `write_xyz` wrote.

    Raises
    ------
    InputFileError
        The file does not exist, or its lines do not hold `XYZ_PROPERTIES`.
    """
    path = Path(path)
    try:
        with open_to_read(path) as file:
            lines = file.read().decode().splitlines()
    except FileNotFoundError:
        raise InputFileError(f"{path}: no such file") from None
    try:
        count = int(lines[0])
        rows = [[float(value) for value in line.split()[1:6]] for line in lines[2 : 2 + count]]
        values = np.array(rows, np.float64).reshape(count, 5)
    except (ValueError, IndexError):
        raise InputFileError(
            f"{path}: not extended XYZ with {XYZ_PROPERTIES}; write the table again"
        ) from None
    return ParticleTable(values[:, :3] / 10, values[:, 3] / 5, values[:, 4])


def _columns(table: ParticleTable) -> list[NDArray[np.float64]]:
    return [*table.centres_nm.reshape(-1, 3).T, table.diameter_nm, table.confidence]


def _rounded_columns(table: ParticleTable) -> list[list[str]]:
    return [[f"{value:.4f}" for value in column] for column in _columns(table)]
