"""Particle tables of the views, and the columns that colour the particles."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from controller.common.open_inside import open_inside
from controller.report.volumes import Floats

MATCH_DIAMETERS = 0.5
"""Largest distance of one particle in two tables, in diameters."""
NOT_NAMED = "not named"
"""Category of a particle whose cell is empty."""


@dataclass(frozen=True)
class Column:
    """Column of the particle tables that can colour the particles."""

    name: str
    title: str
    scale: Literal["number", "category"]
    unit: str = ""


COLUMNS = (
    Column("confidence", "confidence", "number"),
    Column("diameter_nm", "diameter", "number", "nm"),
    Column("kind", "kind", "category"),
    Column("structure", "structure", "category"),
    Column("grain", "grain", "category"),
    Column("beside", "beside the object", "category"),
)
"""Columns in the order of the menu. A table without one of them, or with the same value in each
line, is not coloured by it."""
HEIGHT = Column("z_nm", "height", "number", "nm")
SEEN_BY = Column("seen_by", "series that show it", "category")


@dataclass(frozen=True)
class Colouring:
    """Value of one column for each particle of a table."""

    column: Column
    values: NDArray[np.float32] | NDArray[np.uint16]
    """[n]; of a category the index into `names`."""
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bodies:
    """Particles of one table as bodies."""

    centres_nm: Floats
    """[n, (x, y, z)], in the coordinates of A."""
    diameters_nm: Floats
    """[n]."""
    cells: dict[str, list[str]]
    """Text of each column that can colour the particles."""

    def __len__(self) -> int:
        return len(self.centres_nm)


def read_bodies(folder: Path, inside: str) -> Bodies | None:
    """Read a particle table; None if it is missing, empty or damaged."""
    try:
        with open_inside(folder, inside) as file:
            rows = csv.reader(TextIOWrapper(file, "utf-8", newline=""))
            head = next(rows)
            columns = dict(zip(head, zip(*rows, strict=True), strict=True))
        centres = [np.array(columns[name], np.float32) for name in ("x_nm", "y_nm", "z_nm")]
        diameters = np.array(columns["diameter_nm"], np.float32)
    except (OSError, KeyError, StopIteration, ValueError, csv.Error):
        return None
    places = np.stack(centres, axis=-1)
    if not (np.isfinite(places).all() and np.isfinite(diameters).all()):
        return None
    known = {column.name for column in COLUMNS}
    cells = {name: list(values) for name, values in columns.items() if name in known}
    return Bodies(places, diameters, cells)


def colourings(bodies: Bodies, seen_by: Colouring | None) -> list[Colouring]:
    """Return the columns that tell the particles apart, in the order of the menu."""
    found = [] if seen_by is None else [seen_by]
    for column in COLUMNS:
        cells = bodies.cells.get(column.name)
        if cells is None or len(set(cells)) < 2:
            continue
        made = _numbers(column, cells) if column.scale == "number" else _categories(column, cells)
        if made is not None:
            found.append(made)
    return [*found, Colouring(HEIGHT, bodies.centres_nm[:, 2])]


def _numbers(column: Column, cells: Sequence[str]) -> Colouring | None:
    try:
        values = np.array(cells, np.float32)
    except ValueError:
        return None
    return Colouring(column, values) if np.isfinite(values).all() else None


def _categories(column: Column, cells: Sequence[str]) -> Colouring | None:
    names = sorted(set(cells), key=_natural_order)
    if len(names) > np.iinfo(np.uint16).max:
        return None
    places = {name: place for place, name in enumerate(names)}
    values = np.array([places[cell] for cell in cells], np.uint16)
    return Colouring(column, values, tuple(name or NOT_NAMED for name in names))


def _natural_order(name: str) -> tuple[int, float, str]:
    return (0, float(name), "") if name.isdecimal() else (1, 0.0, name)


def series_that_show(bodies: Bodies, tables: Mapping[str, Bodies]) -> Colouring | None:
    """Return for each particle the series in which it was found; None for a single series.

    A particle was found in a series if a particle of the series' own table is within
    `MATCH_DIAMETERS`.
    """
    if "A" not in tables or "B" not in tables:
        return None
    within_nm = MATCH_DIAMETERS * float(np.median(bodies.diameters_nm))
    a, b = (_is_near(bodies.centres_nm, tables[name].centres_nm, within_nm) for name in "AB")
    values = np.where(a & b, 0, np.where(a, 1, np.where(b, 2, 3))).astype(np.uint16)
    return Colouring(SEEN_BY, values, ("A and B", "A only", "B only", "only A and B together"))


def _is_near(places: Floats, others: Floats, within_nm: float) -> NDArray[np.bool_]:
    distance, _ = cKDTree(others).query(places, distance_upper_bound=within_nm)
    return np.asarray(np.isfinite(distance))
