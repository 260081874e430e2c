"""Particles as a model of IMOD: scattered points, drawn as spheres.

Layout of the file: https://bio3d.colorado.edu/imod/doc/binspec.html, all numbers big-endian.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from processing.files.atomic import replace_file
from processing.files.particles import ParticleTable
from processing.files.volume_grid import VolumeGrid

MODEL_HEADER = struct.Struct(">128s4iI4i6f5if2i3f")
OBJECT_HEADER = struct.Struct(">64s64xiI2i3fi8B2i")
CONTOUR_HEADER = struct.Struct(">iI2i")
Z_FROM_MINUS_HALF, NOT_YET_IN_3DMOD = 1 << 10, 1 << 11
SCATTERED = 1 << 9
NANOMETRE = -9
"""Unit of the pixel size, as a power of ten of a metre."""
GOLD = (1.0, 0.8, 0.2)
CENTRE_OF_FIRST = np.array([0.5, 0.5, 0.0])
"""Centre (x, y, z) of the first voxel: x and y count from its corner, z from its centre."""


def write_imod_model(path: Path, table: ParticleTable, grid: VolumeGrid) -> None:
    """Write the particles of a volume as one object, each point with its radius."""
    points = grid.index(table.centres_nm) + CENTRE_OF_FIRST
    radii = table.diameter_nm / 2 / grid.pixel_nm
    typical = max(1, round(float(np.median(radii)))) if len(table) else 1
    with replace_file(path) as partial:
        partial.write_bytes(
            b"IMODV1.2"
            + _model_header(grid)
            + b"OBJT"
            + _object_header(typical)
            + b"CONT"
            + CONTOUR_HEADER.pack(len(table), 0, 0, 0)
            + points.astype(">f4").tobytes()
            + b"SIZE"
            + struct.pack(">i", 4 * len(table))
            + radii.astype(">f4").tobytes()
            + b"IEOF"
        )


def _model_header(grid: VolumeGrid) -> bytes:
    draw, mouse, black, white = 1, 1, 0, 255
    resolution, threshold, checksum = 3, 128, 0
    return MODEL_HEADER.pack(
        b"dualtilt particles",
        *(int(voxels) for voxels in grid.size_xyz),
        1,
        Z_FROM_MINUS_HALF | NOT_YET_IN_3DMOD,
        *(draw, mouse, black, white),
        *(0.0, 0.0, 0.0),  # offset, not used any more
        *(1.0, 1.0, 1.0),  # scale
        *(0, 0, 0),  # current object, contour and point
        *(resolution, threshold),
        grid.pixel_nm,
        *(NANOMETRE, checksum),
        *(0.0, 0.0, 0.0),  # angles
    )


def _object_header(radius_px: int) -> bytes:
    contours, axis, drawmode = 1, 0, 1
    no_symbol, symbol_size, line_width, meshes, surfaces = 1, 3, 1, 0, 0
    return OBJECT_HEADER.pack(
        b"particles",
        *(contours, SCATTERED, axis, drawmode),
        *GOLD,
        radius_px,
        *(no_symbol, symbol_size, line_width, line_width, 0, 0, 0, 0),
        *(meshes, surfaces),
    )
