"""Particle tables: CSV in nanometres, extended XYZ in angstrom."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from io import StringIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.errors import InputFileError
from processing.files.atomic import replace_text
from processing.files.held_folder import open_to_read
from processing.files.text import read_small, to_bool

NUMBERS = ("x_nm", "y_nm", "z_nm", "diameter_nm", "confidence")
LARGEST_NM = 1e9
"""Largest coordinate or diameter that is read."""
SIZE_COLUMNS = ("diameter_se_nm", "brightness_share", "kind", "kind_probability")
"""Columns on the size. Tables of earlier versions do not have them; cells of what was not measured
are empty."""
PLACE_COLUMNS = ("x_se_nm", "y_se_nm", "z_se_nm")
"""Columns on the errors of the coordinates; empty as `SIZE_COLUMNS` are."""
COLUMNS = ("id", *NUMBERS, "beside", *SIZE_COLUMNS, *PLACE_COLUMNS)
XYZ_PROPERTIES = (
    "species:S:1:pos:R:3:radius:R:1:confidence:R:1:beside:L:1:radius_se:R:1:kind:I:1:pos_se:R:3"
)
XYZ_WORDS = 12
XYZ_WORDS_WITH_SIZES = 9
"""Words of a line of such a file, and of an earlier version's; still earlier ones have fewer."""
TURN_COLUMNS = ("quat_x", "quat_y", "quat_z", "quat_w")
"""Columns of the orientation; only tables of particles that are no spheres have them."""
XYZ_SHAPE_PROPERTIES = "orientation:R:4:aspherical_shape:R:3"
"""Further properties of particles that are no spheres, as OVITO names them."""


RESTORE = "restore the file from a copy, or process the series again"
"""Remedy for a damaged table, or one that another program has saved in its own form."""


def _empty() -> NDArray[np.float64]:
    return np.zeros(0)


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
    diameter_se_nm
        [n], standard error of each diameter; that of the common scale is not included. NaN where
        the particle's own diameter was not measured.
    brightness_share
        [n], 0..1: weight of the brightness in the diameter, the rest is that of the profile; or
        NaN.
    kind
        [n], number of the particle's kind by size, 1 for the largest.
    kind_probability
        [n], 0..1: probability that the particle is of this kind.
    centre_se_nm
        [n, 3], standard errors of x, y and z among the particles of this table; errors that all
        particles share are not included. NaN where they were not measured.
    quaternion
        [n, 4], orientation as x, y, z, w: turns the shape in its own frame into that of the
        particle; NaN for spheres.
    aspherical_nm
        [n, 3], sizes by which OVITO draws the shape; NaN for spheres. Rods: radius, radius, length
        of the cylinder between the round ends. Polyhedra: half the extent along each axis.
    """

    centres_nm: NDArray[np.float64]
    diameter_nm: NDArray[np.float64]
    confidence: NDArray[np.float64]
    beside: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    diameter_se_nm: NDArray[np.float64] = field(default_factory=_empty)
    brightness_share: NDArray[np.float64] = field(default_factory=_empty)
    kind: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    kind_probability: NDArray[np.float64] = field(default_factory=_empty)
    centre_se_nm: NDArray[np.float64] = field(default_factory=_empty)
    quaternion: NDArray[np.float64] = field(default_factory=_empty)
    aspherical_nm: NDArray[np.float64] = field(default_factory=_empty)

    def __post_init__(self) -> None:
        number = len(self.centres_nm)
        for name, value in (
            ("beside", np.zeros(number, bool)),
            ("diameter_se_nm", np.full(number, np.nan)),
            ("brightness_share", np.full(number, np.nan)),
            ("kind", np.ones(number, np.int64)),
            ("kind_probability", np.ones(number)),
            ("centre_se_nm", np.full((number, 3), np.nan)),
            ("quaternion", np.full((number, 4), np.nan)),
            ("aspherical_nm", np.full((number, 3), np.nan)),
        ):
            if len(getattr(self, name)) != number or getattr(self, name).ndim != value.ndim:
                object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.centres_nm)

    @property
    def turned(self) -> bool:
        """True if particles have an orientation: they are no spheres."""
        return bool(np.isfinite(self.quaternion).any())

    @property
    def counted(self) -> ParticleTable:
        """Particles of the object, without those beside it."""
        return self.select(~self.beside)

    def select(self, chosen: NDArray[np.bool_]) -> ParticleTable:
        """Return some of the particles."""
        return ParticleTable(*(getattr(self, each.name)[chosen] for each in fields(self)))

    def followed_by(self, other: ParticleTable) -> ParticleTable:
        """Return the particles of both tables."""
        pairs = ((getattr(self, each.name), getattr(other, each.name)) for each in fields(self))
        return ParticleTable(*(np.concatenate(pair) for pair in pairs))


NO_PARTICLES = ParticleTable(np.zeros((0, 3)), np.zeros(0), np.zeros(0))


def write_csv(path: str | Path, table: ParticleTable) -> None:
    """Write a table as CSV: first line `COLUMNS`, then one particle a line with ids from 1."""
    path = Path(path)
    rows = zip(*_rounded_columns(table), strict=True)
    lines = [",".join(COLUMNS + TURN_COLUMNS if table.turned else COLUMNS)]
    lines += [",".join([str(number), *row]) for number, row in enumerate(rows, start=1)]
    replace_text(path, "\n".join(lines) + "\n")


def read_csv(path: str | Path) -> ParticleTable:
    """Read a table that `write_csv` wrote.

    Raises
    ------
    InputFileError
        The file does not exist, a column is missing, or a value is not a number, or neither true
        nor false.
    """
    path = Path(path)
    try:
        with open_to_read(path) as file:
            reader = csv.DictReader(StringIO(read_small(file).decode("utf-8-sig"), newline=""))
            missing = {"id", *NUMBERS} - set(reader.fieldnames or ())
            if missing:
                raise InputFileError(
                    f"{path}: no column {', '.join(sorted(missing))} between commas; {RESTORE}"
                )
            lines = list(reader)
            rows = [[float(row[name]) for name in NUMBERS] for row in lines]
            # tables of earlier versions have no such columns
            beside = [to_bool(row.get("beside") or "") for row in lines]
            sizes, errors, turns = (
                [[float(row.get(name) or "nan") for name in names] for row in lines]
                for names in (SIZE_COLUMNS, PLACE_COLUMNS, TURN_COLUMNS)
            )
    except FileNotFoundError:
        raise InputFileError(f"{path}: no such file") from None
    except (ValueError, TypeError, csv.Error) as error:
        raise InputFileError(f"{path}: {error}; {RESTORE}") from None
    values = np.array(rows, np.float64).reshape(-1, 5)
    if not (np.abs(values) <= LARGEST_NM).all():
        raise InputFileError(f"{path}: a value is not finite or over {LARGEST_NM:g}; {RESTORE}")
    table = ParticleTable(values[:, :3], values[:, 3], values[:, 4], np.array(beside, bool))
    table = replace(
        table,
        centre_se_nm=np.array(errors, np.float64).reshape(-1, 3),
        quaternion=np.array(turns, np.float64).reshape(-1, 4),
    )
    return _with_sizes(table, np.array(sizes, np.float64).reshape(-1, 4))


def read_counted(path: Path, number: int) -> ParticleTable:
    """Read the counted particles of a table that `write_csv` wrote.

    Parameters
    ----------
    number
        Number that was counted.

    Raises
    ------
    InputFileError
        The table is missing or damaged, or holds fewer particles than were counted.
    """
    particles = read_csv(path).counted
    if len(particles) < number:
        raise InputFileError(
            f"{path}: cut off: it holds {len(particles)} of the {number} counted particles; "
            f"{RESTORE}"
        )
    return particles


def _with_sizes(table: ParticleTable, sizes: NDArray[np.float64]) -> ParticleTable:
    """Return a table with `SIZE_COLUMNS` [n, 4]; a missing kind is the first, and certain."""
    error, share, kind, probability = sizes.T
    return replace(
        table,
        diameter_se_nm=error,
        brightness_share=share,
        kind=np.nan_to_num(kind, nan=1).astype(np.int64),
        kind_probability=np.nan_to_num(probability, nan=1),
    )


def write_xyz(path: str | Path, table: ParticleTable, names: Sequence[str] = ()) -> None:
    """Write a table as extended XYZ in angstrom, which OVITO and ASE open.

    Parameters
    ----------
    names
        Species of each kind; Au where they are unknown.
    """
    path = Path(path)
    species = [names[kind - 1] if kind <= len(names) else "Au" for kind in table.kind.tolist()]
    x, y, z, diameter, confidence = (_as_in_csv(column) for column in _columns(table))
    properties = f"{XYZ_PROPERTIES}:{XYZ_SHAPE_PROPERTIES}" if table.turned else XYZ_PROPERTIES
    lines = [str(len(table)), f'Properties={properties} pbc="F F F"']
    particles = [
        f"{one} {10 * a:.3f} {10 * b:.3f} {10 * c:.3f} {5 * d:.4f} {e:.4f} {'T' if f else 'F'} "
        f"{5 * g:.4f} {h} " + " ".join(f"{10 * error:.4f}" for error in errors)
        for one, a, b, c, d, e, f, g, h, errors in zip(
            species,
            *(x, y, z, diameter, confidence, table.beside.tolist()),
            *(_as_in_csv(table.diameter_se_nm), table.kind.tolist()),
            zip(*(_as_in_csv(column) for column in table.centre_se_nm.T), strict=True),
            strict=True,
        )
    ]
    if table.turned:
        shapes = np.column_stack([table.quaternion, 10 * table.aspherical_nm])
        turns = [" ".join(f"{value:.5f}" for value in row) for row in shapes]
        particles = [f"{line} {turn}" for line, turn in zip(particles, turns, strict=True)]
    replace_text(path, "\n".join(lines + particles) + "\n")


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
    table = ParticleTable(values[:, :3] / 10, values[:, 3] / 5, values[:, 4], beside)
    known = (XYZ_WORDS_WITH_SIZES, XYZ_WORDS, XYZ_WORDS + 7)
    if not all(len(row) in known for row in words):
        return table  # of an earlier version
    error = np.array([float(row[7]) for row in words]) / 5
    table = replace(table, diameter_se_nm=error, kind=np.array([int(row[8]) for row in words]))
    if not words or len(words[0]) == XYZ_WORDS_WITH_SIZES:
        return table
    further = np.array([[float(value) for value in row[9:]] for row in words])
    table = replace(table, centre_se_nm=further[:, :3] / 10)
    if len(words[0]) == XYZ_WORDS:
        return table
    shapes = further[:, 3:]
    return replace(table, quaternion=shapes[:, :4], aspherical_nm=shapes[:, 4:] / 10)


def _columns(table: ParticleTable) -> list[NDArray[np.float64]]:
    return [*table.centres_nm.reshape(-1, 3).T, table.diameter_nm, table.confidence]


def _rounded_columns(table: ParticleTable) -> list[list[str]]:
    # Python's own numbers are written several times as fast as those of NumPy
    numbers = [[f"{value:.4f}" for value in column.tolist()] for column in _columns(table)]
    sizes = [[_cell(value) for value in getattr(table, name).tolist()] for name in SIZE_COLUMNS]
    beside = ["true" if each else "false" for each in table.beside]
    turns = [[f"{value:.6f}" for value in column] for column in table.quaternion.T.tolist()]
    errors = [[_cell(value) for value in column] for column in table.centre_se_nm.T.tolist()]
    return [*numbers, beside, *sizes, *errors, *(turns if table.turned else [])]


def _as_in_csv(column: NDArray[np.float64]) -> list[float]:
    """Return numbers with the decimals of the CSV file: both files give the same structure."""
    return [round(value, 4) for value in column.tolist()]


def _cell(value: float) -> str:
    """Return a number as the text of a cell, which is empty for NaN."""
    if math.isnan(value):
        return ""
    return str(int(value)) if float(value).is_integer() else f"{value:.4f}"
