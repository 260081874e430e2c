"""Particle coordinates as a STAR file of RELION's tomography."""

from __future__ import annotations

from pathlib import Path

from processing.files.atomic import replace_text
from processing.files.particles import ParticleTable
from processing.files.volume_grid import VolumeGrid

OPTICS = ("rlnOpticsGroup", "rlnOpticsGroupName", "rlnTomoTiltSeriesPixelSize")
PARTICLES = (
    "rlnTomoName",
    "rlnCoordinateX",
    "rlnCoordinateY",
    "rlnCoordinateZ",
    "rlnCenteredCoordinateXAngst",
    "rlnCenteredCoordinateYAngst",
    "rlnCenteredCoordinateZAngst",
    "rlnAutopickFigureOfMerit",
    "rlnOpticsGroup",
    "dualtiltDiameterAngst",
)
"""Columns of the particles. RELION keeps a column that it does not know, with a warning."""


def write_relion_star(path: Path, table: ParticleTable, grid: VolumeGrid, name: str) -> None:
    """Write the particles of a volume for RELION 4 and 5.

    `rlnCoordinate` counts voxels: 0 is the centre of the first one. `rlnCenteredCoordinate` is in
    angstrom from the point with index N / 2, which is RELION's centre of N voxels.

    Parameters
    ----------
    name
        Name of the tomogram, without blanks.
    """
    index = grid.index(table.centres_nm)
    angstrom = 10 * grid.pixel_nm * (index - grid.size_xyz / 2)
    optics = f"1 volume {10 * grid.pixel_nm:.6f}"
    rows = [
        f"{name} {_fixed(*at)} {_fixed(*centred)} {confidence:.4f} 1 {10 * diameter:.3f}"
        for at, centred, confidence, diameter in zip(
            index, angstrom, table.confidence, table.diameter_nm, strict=True
        )
    ]
    replace_text(path, _block("optics", OPTICS, [optics]) + _block("particles", PARTICLES, rows))


def _fixed(*values: float) -> str:
    return " ".join(f"{value:.4f}" for value in values)


def _block(name: str, columns: tuple[str, ...], rows: list[str]) -> str:
    labels = [f"_{column} #{number}" for number, column in enumerate(columns, start=1)]
    return "\n".join(["# version 50001", "", f"data_{name}", "", "loop_", *labels, *rows, "", ""])
