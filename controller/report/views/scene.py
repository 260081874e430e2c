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

from controller.model.base import SeriesName
from controller.report.open_volumes import NAMES, SIRT_FILES, open_volumes
from controller.report.report_data import PROCESSED, ReportData
from controller.report.slices import EXITS, HEADINGS
from controller.report.views.isosurfaces import (
    FINEST_DIAMETERS,
    CoarseVolume,
    as_bytes,
    coarse_volume,
    exit_surface,
    level_of_particles,
)
from controller.report.views.particle_columns import (
    Bodies,
    Colouring,
    colourings,
    read_bodies,
    series_that_show,
)
from controller.report.volumes import IDENTITY

SERIES: tuple[SeriesName, ...] = ("A", "B")
POSITION_STEP_NM = 0.01
"""Step of the stored positions: finer than any centre is known."""
COMPRESSION = 1
SCALE_STEPS = 32


def scene(data: ReportData) -> dict[str, Any] | None:
    """Return the data of the views; None if there are no particles."""
    tables: dict[str, Bodies] = {
        name: found
        for name in NAMES
        if (found := read_bodies(data.folder, f"{PROCESSED}/particles_{name}.csv")) is not None
        and len(found)
    }
    if not tables:
        return None
    places = np.concatenate([bodies.centres_nm for bodies in tables.values()])
    middle = (places.min(axis=0) + places.max(axis=0)) / 2
    diameter_nm = float(np.median(np.concatenate([b.diameters_nm for b in tables.values()])))
    reach_nm = float(np.linalg.norm(places - middle, axis=1).max()) + diameter_nm
    with open_volumes(data, SIRT_FILES) as volumes:
        coarse = {
            str(name): coarse_volume(volume, middle, reach_nm, FINEST_DIAMETERS * diameter_nm)
            for name, volume in volumes.items()
        }
    return {
        "particles": {name: _particles(bodies, tables) for name, bodies in tables.items()},
        "isosurfaces": {
            name: _isosurface(volume, tables.get(name, next(iter(tables.values()))))
            for name, volume in coarse.items()
        },
        "exits": _exits(coarse, diameter_nm),
        "names": {str(name): HEADINGS[name] for name in NAMES},
        "centre_nm": middle.tolist(),
        "reach_nm": reach_nm,
        "scale": _scale_colours(),
    }


def _isosurface(coarse: CoarseVolume, bodies: Bodies) -> dict[str, Any]:
    values = as_bytes(coarse.values)
    filled_nm3 = float(np.sum(np.pi / 6 * bodies.diameters_nm.astype(float) ** 3))
    return {
        "field": packed(values),
        "level": level_of_particles(values, coarse.step_nm, filled_nm3),
        "matrix": coarse.matrix.ravel().tolist(),
        "step_nm": coarse.step_nm,
    }


def _exits(coarse: Mapping[str, CoarseVolume], diameter_nm: float) -> dict[str, Any]:
    """Return for A and B the surface where the beam leaves, and the beam's direction."""
    found: dict[str, Any] = {}
    for name in SERIES:
        if name not in coarse:
            continue
        pose = coarse[name].pose
        side = EXITS[name] if pose is IDENTITY else -1
        surface = exit_surface(coarse[name], diameter_nm, side)
        if surface is not None:
            found[name] = {
                "corners": packed(surface.corners_nm),
                "triangles": packed(surface.triangles),
                "beam_z": EXITS[name],
            }
    return found


def as_json(content: dict[str, Any]) -> str:
    """Return JSON that can stand in a script element: it holds no `<`."""
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")


def _particles(bodies: Bodies, tables: Mapping[str, Bodies]) -> dict[str, Any]:
    steps = np.rint(bodies.centres_nm / POSITION_STEP_NM).astype(np.int32)
    return {
        "n": len(bodies),
        "step_nm": POSITION_STEP_NM,
        "positions": packed(steps),
        "diameters_nm": packed(bodies.diameters_nm),
        "colourings": [
            _colouring(found) for found in colourings(bodies, series_that_show(bodies, tables))
        ],
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
