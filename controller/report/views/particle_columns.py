"""Particle tables of the views, and the columns that colour the particles."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import TextIOWrapper
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from controller.common.open_inside import open_inside
from controller.report.field_of_view import LARGEST_NM
from controller.report.volumes import Floats

MATCH_DIAMETERS = 0.5
"""Largest distance of one particle in two tables, in diameters."""
NO_CATEGORY = "none"
COUNTED = "the object"
NEUTRAL = ("A and B", NO_CATEGORY, "surface", COUNTED)
"""Categories without a colour of their own: first in the legend, and grey."""
STRUCTURE = "structure.csv"
"""File of `dualtilt analyse`: more columns, for the particles of one table."""
SAME_PLACE_NM = 1e-3


@dataclass(frozen=True)
class Column:
    """Column of the particle tables that can colour the particles."""

    name: str
    title: str
    scale: Literal["number", "category"]
    unit: str = ""
    words: Mapping[str, str] = field(default_factory=dict)
    """Words for cells that do not say what they mean."""


COLUMNS = (
    Column("confidence", "confidence", "number"),
    Column("diameter_nm", "diameter", "number", "nm"),
    Column("diameter_se_nm", "error of the diameter", "number", "nm"),
    Column("z_se_nm", "error along the beam", "number", "nm"),
    Column("kind", "kind", "category"),
    Column("structure", "structure", "category"),
    Column("grain", "grain", "category", words={"0": NO_CATEGORY}),
    Column("depth_nm", "depth", "number", "nm"),
    Column("layer", "layer from the surface", "category"),
    Column("coordination", "neighbours", "category"),
    Column("beside", "object", "category", words={"false": COUNTED, "true": "beside it"}),
)
"""Columns in the order of the menu. A table without one of them, or with the same value in each
line, is not coloured by it."""
HEIGHT = Column("z_nm", "height", "number", "nm")
SEEN_BY = Column("seen_by", "series that show it", "category")
SEEN_BY_NAMES = ("A and B", "A only", "B only", "only A and B together")


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

    @property
    def counted(self) -> NDArray[np.bool_]:
        """[n]: False for particles beside the object, which are listed only."""
        beside = self.cells.get("beside", [])
        return np.array([cell != "true" for cell in beside] or [True] * len(self), bool)

    @property
    def filled_nm3(self) -> float:
        """Volume of all counted particles."""
        return float(np.sum(np.pi / 6 * self.diameters_nm[self.counted].astype(float) ** 3))


def read_bodies(folder: Path, inside: str) -> Bodies | None:
    """Read a particle table; None if it is missing, empty or damaged."""
    try:
        columns = _columns(folder, inside)
        with np.errstate(over="ignore"):  # too large is not finite
            places, diameters = _places(columns), np.array(columns["diameter_nm"], np.float32)
    except (OSError, KeyError, StopIteration, ValueError, csv.Error):
        return None
    if not (_plausible(places) and _plausible(diameters)):
        return None
    return Bodies(places, diameters, _known(columns))


def _plausible(values_nm: Floats) -> bool:
    return bool((np.abs(values_nm) <= LARGEST_NM).all())


def with_structure(bodies: Bodies, folder: Path, results: str) -> Bodies:
    """Return particles with the columns of `STRUCTURE`, if it is of the same particles."""
    try:
        columns = _columns(folder, f"{results}/{STRUCTURE}")
        places = _places(columns)
    except (OSError, KeyError, StopIteration, ValueError, csv.Error):
        return bodies
    if places.shape != bodies.centres_nm.shape:
        return bodies
    if np.abs(places - bodies.centres_nm).max(initial=0) > SAME_PLACE_NM:
        return bodies
    return replace(bodies, cells=bodies.cells | _known(columns))


def _columns(folder: Path, inside: str) -> dict[str, tuple[str, ...]]:
    with open_inside(folder, inside) as file:
        rows = csv.reader(TextIOWrapper(file, "utf-8", newline=""))
        head = next(rows)
        return dict(zip(head, zip(*rows, strict=True), strict=True))


def _places(columns: Mapping[str, Sequence[str]]) -> Floats:
    axes = [np.array(columns[name], np.float32) for name in ("x_nm", "y_nm", "z_nm")]
    return np.stack(axes, axis=-1)


def _known(columns: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    names = {column.name for column in COLUMNS}
    known = {name: list(cells) for name, cells in columns.items() if name in names}
    if "beside" in known:  # a spreadsheet writes TRUE where the table had true
        known["beside"] = [cell.lower() for cell in known["beside"]]
    return known


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
    names = sorted(set(cells), key=lambda cell: _order(column, cell))
    if len(names) > np.iinfo(np.uint16).max:
        return None
    places = {name: place for place, name in enumerate(names)}
    values = np.array([places[cell] for cell in cells], np.uint16)
    return Colouring(column, values, tuple(_category(column, name) for name in names))


def _category(column: Column, cell: str) -> str:
    return column.words.get(cell, cell) or NO_CATEGORY


def _order(column: Column, cell: str) -> tuple[bool, bool, float, str]:
    """Return the key of the legend's order: neutral, then numbers, then words."""
    number = float(cell) if cell.isdecimal() else 0.0
    return _category(column, cell) not in NEUTRAL, not cell.isdecimal(), number, cell


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
    return Colouring(SEEN_BY, values, SEEN_BY_NAMES)


def _is_near(places: Floats, others: Floats, within_nm: float) -> NDArray[np.bool_]:
    distance, _ = cKDTree(others).query(places, distance_upper_bound=within_nm)
    return np.asarray(np.isfinite(distance))
