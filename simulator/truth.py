"""True particles of a simulated session; particle tables as files."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np

from controller.common.atomic import replace_text
from simulator.deformation import deformed
from simulator.grid import seed_index
from simulator.specimen import Particles, make_assembly
from simulator.world import World, load_world

COLUMNS = ("id", "x_nm", "y_nm", "z_nm", "diameter_nm", "confidence")
TURN_COLUMNS = ("quat_x", "quat_y", "quat_z", "quat_w")
"""Columns of the orientation, for particles that are no spheres."""


def true_particles(world: World, assembly: int = 0) -> Particles:
    """Return one assembly, by its index, in the frame of A, at its mean places during series A."""
    settings = world.settings
    index = seed_index(settings.specimen, assembly)
    particles = make_assembly(settings.specimen, settings.seed, index)
    share = world.mean_deformation_as_loaded[assembly]
    centres_nm = deformed(particles.centres_nm, share, settings.specimen)
    return replace(particles, centres_nm=centres_nm)


def write_truth_at(
    state_path: Path, stage_position_nm: tuple[float, float], truth_path: Path
) -> None:
    """Write the particles of the assembly that a stage position (x, y) centres before the flip.

    Raises ValueError with a one-line message if the state is not valid.
    """
    world = load_world(state_path)
    positions = np.array([(0.0, 0.0), *world.settings.specimen.other_assemblies_nm])
    # a stage position brings what lies at its opposite into the image centre
    nearest = int(np.argmin(np.linalg.norm(positions + stage_position_nm, axis=1)))
    write_particles(true_particles(world, nearest), truth_path)


def write_particles(particles: Particles, path: Path) -> None:
    """Write a particle table in which every confidence is 1."""
    turned = particles.quaternions
    lines = [",".join(COLUMNS if turned is None else COLUMNS + TURN_COLUMNS)]
    rows = np.column_stack([particles.centres_nm, particles.diameters_nm])
    for number, row in enumerate(rows, start=1):
        values = [f"{value:.4f}" for value in row]
        turn = [] if turned is None else [f"{value:.6f}" for value in turned[number - 1]]
        lines.append(",".join([str(number), *values, "1", *turn]))
    replace_text(path, "\n".join(lines) + "\n")


def read_particles(path: Path) -> Particles:
    """Read the counted particles of a table, without those beside the object.

    Raises ValueError with a one-line message if the file is not such a table.
    """
    with path.open(encoding="utf-8", newline="") as file:
        try:
            counted = [row for row in csv.DictReader(file) if row.get("beside") != "true"]
            rows = [[float(row[name]) for name in COLUMNS[1:5]] for row in counted]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path}: not a particle table with the columns {', '.join(COLUMNS)}"
            ) from error
    table = np.array(rows, np.float64).reshape(-1, 4)
    return Particles(table[:, :3], table[:, 3])
