"""Data of the views, as JSON with compressed arrays."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from controller.report.open_volumes import NAMES, VolumeName
from controller.report.report_data import ReportData
from controller.report.slices import EXITS, HEADINGS
from controller.report.views.assembly import Assembly
from controller.report.views.isosurfaces import (
    CoarseVolume,
    as_bytes,
    coarse_volumes,
    exit_surfaces,
    level_of_particles,
)
from controller.report.views.particle_columns import NEUTRAL, Bodies, Colouring, colourings

POSITION_STEP_NM = 0.01
"""Step of the stored positions: finer than any centre is known."""
COMPRESSION = 1
SCALE_STEPS = 32


def scene(data: ReportData, assembly: Assembly) -> dict[str, Any]:
    """Return the data of the views."""
    coarse = coarse_volumes(data, assembly)
    tables = assembly.tables
    any_table = next(iter(tables.values()))
    return {
        "particles": {
            name: _particles(bodies, assembly.seen_by[name]) for name, bodies in tables.items()
        },
        "isosurfaces": {
            name: _isosurface(volume, tables.get(name, any_table))
            for name, volume in coarse.items()
        },
        "exits": _exits(coarse, assembly.diameter_nm),
        "names": {str(name): HEADINGS[name] for name in NAMES},
        "centre_nm": assembly.middle_nm.tolist(),
        "reach_nm": assembly.reach_nm,
        "scale": _scale_colours(),
    }


def _isosurface(coarse: CoarseVolume, bodies: Bodies) -> dict[str, Any]:
    values = as_bytes(coarse.values)
    return {
        "field": packed(values),
        "level": level_of_particles(values, coarse.step_nm, bodies.filled_nm3),
        "matrix": coarse.matrix.ravel().tolist(),
        "step_nm": coarse.step_nm,
    }


def _exits(coarse: Mapping[VolumeName, CoarseVolume], diameter_nm: float) -> dict[str, Any]:
    """Return for A and B the surface where the beam leaves, and the beam's direction."""
    return {
        name: {
            "corners": packed(surface.corners_nm),
            "triangles": packed(surface.triangles),
            "beam_z": EXITS[name],
        }
        for name, surface in exit_surfaces(coarse, diameter_nm).items()
    }


def as_json(content: dict[str, Any]) -> str:
    """Return JSON that can stand in a script element: it holds no `<`."""
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")


def _particles(bodies: Bodies, seen_by: Colouring | None) -> dict[str, Any]:
    steps = np.rint(bodies.centres_nm / POSITION_STEP_NM).astype(np.int32)
    return {
        "counted": int(bodies.counted.sum()),
        "beside": int((~bodies.counted).sum()),
        "step_nm": POSITION_STEP_NM,
        "positions": packed(steps),
        "diameters_nm": packed(bodies.diameters_nm),
        "colourings": [_colouring(found) for found in colourings(bodies, seen_by)],
    }


def _colouring(found: Colouring) -> dict[str, Any]:
    content: dict[str, Any] = {
        "name": found.column.name,
        "title": found.column.title,
        "scale": found.column.scale,
        "unit": found.column.unit,
        "values": packed(found.values),
    }
    if found.names:
        content["names"] = list(found.names)
        content["has_neutral"] = found.names[0] in NEUTRAL
        content["counts"] = np.bincount(found.values, minlength=len(found.names)).tolist()
    else:
        content["range"] = [float(found.values.min()), float(found.values.max())]
    return content


def packed(values: NDArray[Any]) -> dict[str, Any]:
    """Return an array as compressed bytes in base64, with its shape and element type."""
    code = zlib.compress(np.ascontiguousarray(values).tobytes(), COMPRESSION)
    return {
        "dtype": values.dtype.name,
        "shape": list(values.shape),
        "zlib": base64.b64encode(code).decode(),
    }


def _scale_colours() -> list[int]:
    """Return the colours of a number scale, lowest first, as 0xRRGGBB."""
    colours = mpl.colormaps["viridis"](np.linspace(0, 1, SCALE_STEPS))[:, :3]
    red, green, blue = np.rint(255 * colours).astype(int).T
    return [int(value) for value in (red << 16) + (green << 8) + blue]
