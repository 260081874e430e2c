"""Particles of A, B and both series in one frame, as the views show them."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from controller.report.open_volumes import NAMES
from controller.report.report_data import PROCESSED, ReportData
from controller.report.views.particle_columns import (
    Bodies,
    Colouring,
    read_bodies,
    series_that_show,
    with_structure,
)
from controller.report.volumes import Floats


@dataclass(frozen=True)
class Assembly:
    """Particle tables that exist, in the coordinates of A."""

    tables: dict[str, Bodies]
    seen_by: dict[str, Colouring | None]
    """For each table, the series that show each particle."""
    middle_nm: Floats
    """Middle (x, y, z) of the counted particles."""
    diameter_nm: float
    """Median diameter of all particles."""
    reach_nm: float
    """Radius about the middle that holds the counted particles."""


def unreadable_tables(data: ReportData) -> list[str]:
    """Return the names of the particle tables that are there but cannot be read, such as edited
    ones with a cell that is no number."""
    return [
        name
        for name in (f"particles_{volume}.csv" for volume in NAMES)
        if os.path.lexists(data.processed / name)
        and read_bodies(data.folder, f"{PROCESSED}/{name}") is None
    ]


def read_assembly(data: ReportData) -> Assembly | None:
    """Read the particles of a session; None if there are none."""
    tables: dict[str, Bodies] = {
        name: with_structure(found, data.folder, PROCESSED)
        for name in NAMES
        if (found := read_bodies(data.folder, f"{PROCESSED}/particles_{name}.csv")) is not None
        and found.counted.any()
    }
    if not tables:
        return None
    places = np.concatenate([bodies.centres_nm[bodies.counted] for bodies in tables.values()])
    middle = (places.min(axis=0) + places.max(axis=0)) / 2
    diameter_nm = float(np.median(np.concatenate([b.diameters_nm for b in tables.values()])))
    return Assembly(
        tables=tables,
        seen_by={name: series_that_show(bodies, tables) for name, bodies in tables.items()},
        middle_nm=middle,
        diameter_nm=diameter_nm,
        reach_nm=float(np.linalg.norm(places - middle, axis=1).max()) + diameter_nm,
    )
