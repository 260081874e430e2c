"""Particle tables: CSV in nanometres, extended XYZ in angstrom."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.errors import InputFileError
from processing.files.atomic import replace_text
from processing.files.held_folder import open_to_read
from processing.files.text import read_small

NUMBERS = ("x_nm", "y_nm", "z_nm", "diameter_nm", "confidence")
LARGEST_NM = 1e9
"""Largest coordinate or diameter that is read."""
COLUMNS = ("id", *NUMBERS, "beside")
XYZ_PROPERTIES = "species:S:1:pos:R:3:radius:R:1:confidence:R:1:beside:L:1"


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
    beside
        [n], true for particles that lie beside the object: they are listed, but not counted.
    """

    centres_nm: NDArray[np.float64]
    diameter_nm: NDArray[np.float64]
    confidence: NDArray[np.float64]
    beside: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))

    def __post_init__(self) -> None:
        if len(self.beside) != len(self.centres_nm):
            object.__setattr__(self, "beside", np.zeros(len(self.centres_nm), bool))

    def __len__(self) -> int:
        return len(self.centres_nm)

    @property
    def counted(self) -> ParticleTable:
        """Particles of the object, without those beside it."""
        return self.select(~self.beside)

    def select(self, chosen: NDArray[np.bool_]) -> ParticleTable:
        """Return some of the particles."""
        return ParticleTable(
            self.centres_nm[chosen],
            self.diameter_nm[chosen],
            self.confidence[chosen],
            self.beside[chosen],
        )

    def followed_by(self, other: ParticleTable) -> ParticleTable:
        """Return the particles of both tables."""
        return ParticleTable(
            np.concatenate([self.centres_nm, other.centres_nm]),
            np.concatenate([self.diameter_nm, other.diameter_nm]),
            np.concatenate([self.confidence, other.confidence]),
            np.concatenate([self.beside, other.beside]),
        )


NO_PARTICLES = ParticleTable(np.zeros((0, 3)), np.zeros(0), np.zeros(0))


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
            reader = csv.DictReader(StringIO(read_small(file).decode("utf-8-sig"), newline=""))
            missing = {"id", *NUMBERS} - set(reader.fieldnames or ())
            if missing:
                raise InputFileError(
                    f"{path}: no column {', '.join(sorted(missing))}; write the table again"
                )
            lines = list(reader)
            rows = [[float(row[name]) for name in NUMBERS] for row in lines]
            # tables of earlier versions have no such column
            beside = [row.get("beside") == "true" for row in lines]
    except FileNotFoundError:
        raise InputFileError(f"{path}: no such file") from None
    except (ValueError, TypeError, csv.Error):
        raise InputFileError(f"{path}: a value is not a number; write the table again") from None
    values = np.array(rows, np.float64).reshape(-1, 5)
    if not (np.abs(values) <= LARGEST_NM).all():
        raise InputFileError(
            f"{path}: a value is not finite or over {LARGEST_NM:g}; write the table again"
        )
    return ParticleTable(values[:, :3], values[:, 3], values[:, 4], np.array(beside, bool))


def write_xyz(path: str | Path, table: ParticleTable, species: str = "Au") -> None:
    """Write a table as extended XYZ in angstrom, which OVITO and ASE open."""
    path = Path(path)
    x, y, z, diameter, confidence = _columns(table)
    lines = [str(len(table)), f'Properties={XYZ_PROPERTIES} pbc="F F F"']
    lines += [
        f"{species} {10 * a:.3f} {10 * b:.3f} {10 * c:.3f} {5 * d:.3f} {e:.4f} {'T' if f else 'F'}"
        for a, b, c, d, e, f in zip(x, y, z, diameter, confidence, table.beside, strict=True)
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
        words = [line.split() for line in lines[2 : 2 + count]]
        rows = [[float(value) for value in row[1:6]] for row in words]
        values = np.array(rows, np.float64).reshape(count, 5)
    except (ValueError, IndexError):
        raise InputFileError(
            f"{path}: not extended XYZ with {XYZ_PROPERTIES}; write the table again"
        ) from None
    beside = np.array([row[6:7] == ["T"] for row in words], bool)
    return ParticleTable(values[:, :3] / 10, values[:, 3] / 5, values[:, 4], beside)


def _columns(table: ParticleTable) -> list[NDArray[np.float64]]:
    return [*table.centres_nm.reshape(-1, 3).T, table.diameter_nm, table.confidence]


def _rounded_columns(table: ParticleTable) -> list[list[str]]:
    numbers = [[f"{value:.4f}" for value in column] for column in _columns(table)]
    return [*numbers, ["true" if beside else "false" for beside in table.beside]]
