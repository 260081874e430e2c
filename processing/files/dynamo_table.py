"""Particle coordinates as a table of Dynamo."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from processing.files.atomic import replace_text
from processing.files.particles import ParticleTable
from processing.files.volume_grid import VolumeGrid

COLUMNS = 35
TAG, ALIGNED, SCORE, TOMOGRAM, X = 0, 1, 9, 19, 23
"""Columns that are not 0, counted from 0; y and z follow x."""


def write_dynamo_table(path: Path, table: ParticleTable, grid: VolumeGrid) -> None:
    """Write the particles of one volume, which is tomogram 1.

    Coordinates count voxels as MATLAB does: 1 is the centre of the first one.
    """
    rows = np.zeros((len(table), COLUMNS))
    rows[:, TAG] = np.arange(1, len(table) + 1)
    rows[:, ALIGNED] = 1
    rows[:, SCORE] = table.confidence
    rows[:, TOMOGRAM] = 1
    rows[:, X : X + 3] = grid.index(table.centres_nm) + 1
    lines = [" ".join(f"{value:.10g}" for value in row) for row in rows.round(4)]
    replace_text(path, "".join(f"{line}\n" for line in lines))


def write_dynamo_volumes(path: Path, volume: Path) -> None:
    """Write the list that names the file of tomogram 1."""
    replace_text(path, f"1 {volume.resolve()}\n")
