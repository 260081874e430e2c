"""The truth of a simulated session, and particle tables as files."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from simulator.specimen import Particles, make_assembly
from simulator.world import World

COLUMNS = ("id", "x_nm", "y_nm", "z_nm", "diameter_nm", "confidence")


def truth_of(world: World) -> Particles:
    """Return the first assembly in A's frame at its mean size while A was recorded."""
    assembly = make_assembly(world.settings.specimen, world.settings.seed)
    return Particles(assembly.centres_nm * world.mean_size_as_loaded, assembly.diameters_nm)


def write_truth(particles: Particles, path: Path) -> None:
    """Write a particle table whose confidence is 1."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        rows = zip(particles.centres_nm, particles.diameters_nm, strict=True)
        for number, (centre, diameter) in enumerate(rows, start=1):
            writer.writerow([number, *(f"{value:.4f}" for value in (*centre, diameter)), 1])


def read_particles(path: Path) -> Particles:
    """Read a particle table; ValueError, in one line, where it is none."""
    with path.open(encoding="utf-8", newline="") as file:
        try:
            rows = [[float(row[name]) for name in COLUMNS[1:5]] for row in csv.DictReader(file)]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: not a particle table ({', '.join(COLUMNS)})") from error
    table = np.array(rows, np.float64).reshape(-1, 4)
    return Particles(table[:, :3], table[:, 3])
