"""Volumes as OME-Zarr 0.5: a pyramid of Zarr arrays of format 3, in a folder.

Written here and not by zarr-python: its version 3 cannot be installed beside version 2, which
rosettasciio needs. The layout is small: a JSON file for each array, and a file for each chunk.

https://ngff.openmicroscopy.org/0.5/, https://zarr-specs.readthedocs.io/en/latest/v3/core/
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.files.atomic import replace_folder
from processing.files.volume_grid import Facts, VolumeGrid, equal_chunks, slabs
from processing.progress import Progress, silent, within
from processing.scratch import on_disk

VERSION = "0.5"
LARGEST_CHUNK = (32, 128, 128)
"""Most voxels of a chunk along z, y and x; as many planes are in memory at once."""
SMALLEST_SIDE = 64
"""Side of a volume, in voxels, below which no smaller level follows."""


def write_ome_zarr(
    path: Path,
    volume: NDArray[Any],
    grid: VolumeGrid,
    facts: Facts,
    *,
    progress: Progress = silent,
) -> None:
    """Write a volume [z, y, x] and levels of half, a quarter, ... of its size.

    Places are in nm from the centre of the volume. A level is the mean over cubes of 2 x 2 x 2
    voxels of the one before; a last cube may be smaller.
    """
    levels = _levels(grid.shape)
    done = 0.0
    with replace_folder(path) as partial:
        _write_json(partial, _group(grid, facts, levels))
        for level in range(levels):
            share = 7 / 8 / 8**level  # of the voxels of all levels
            part = within(progress, done, done + share)
            smaller = _allocate_half(volume) if level + 1 < levels else None
            for fraction in _write_level(partial / str(level), volume, smaller):
                part(path.name, fraction)
            done += share
            volume = volume if smaller is None else smaller


def _levels(shape: tuple[int, ...]) -> int:
    """Return the number of levels of a volume."""
    levels = 1
    while max(shape) > SMALLEST_SIDE:
        shape = tuple((side + 1) // 2 for side in shape)
        levels += 1
    return levels


def _group(grid: VolumeGrid, facts: Facts, levels: int) -> dict[str, Any]:
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    multiscale = {
        "name": facts["volume"],
        "axes": axes,
        "datasets": [_dataset(grid, level) for level in range(levels)],
        "type": "mean",
        "metadata": {"description": "mean over cubes of 2 x 2 x 2 voxels"},
    }
    ome = {"version": VERSION, "multiscales": [multiscale]}
    attributes = {"ome": ome, "dualtilt": dict(facts)}
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes}


def _dataset(grid: VolumeGrid, level: int) -> dict[str, Any]:
    """Describe where the centres of a level's voxels are."""
    voxel_nm = grid.pixel_nm * 2**level
    first_nm = grid.first_nm[::-1] + (voxel_nm - grid.pixel_nm) / 2
    return {
        "path": str(level),
        "coordinateTransformations": [
            {"type": "scale", "scale": [voxel_nm] * 3},
            {"type": "translation", "translation": first_nm.tolist()},
        ],
    }


def _allocate_half(volume: NDArray[Any]) -> NDArray[Any]:
    return on_disk(tuple((side + 1) // 2 for side in volume.shape), volume.dtype)


def _write_level(
    folder: Path, volume: NDArray[Any], smaller: NDArray[Any] | None
) -> Iterator[float]:
    """Write one level slab by slab, fill the next one, and yield the fraction done."""
    chunk = _chunk(volume.shape)
    folder.mkdir()
    _write_json(folder, _array(volume, chunk))
    for number, slab in enumerate(slabs(len(volume), chunk[0])):
        planes = np.asarray(volume[slab])
        _write_chunks(folder / "c" / str(number), planes, chunk)
        if smaller is not None:
            smaller[slab.start // 2 : (slab.stop + 1) // 2] = _halved(planes)
        yield slab.stop / len(volume)


def _chunk(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a chunk: an even number of planes, so that slabs can be halved."""
    planes, rows, columns = equal_chunks(shape, LARGEST_CHUNK)
    return planes + planes % 2, rows, columns


def _array(volume: NDArray[Any], chunk: tuple[int, ...]) -> dict[str, Any]:
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(volume.shape),
        "data_type": volume.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "dimension_names": ["z", "y", "x"],
        "attributes": {},
    }


def _write_chunks(folder: Path, planes: NDArray[Any], chunk: tuple[int, ...]) -> None:
    """Write the chunks of one slab; a chunk of zeros has no file."""
    _, rows, columns = planes.shape
    _, height, width = chunk
    for row, column in itertools.product(range(0, rows, height), range(0, columns, width)):
        part = planes[:, row : row + height, column : column + width]
        if not part.any():
            continue
        whole = np.zeros(chunk, planes.dtype.newbyteorder("<"))
        whole[tuple(slice(side) for side in part.shape)] = part
        file = folder / str(row // height) / str(column // width)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(whole.tobytes())


def _halved(planes: NDArray[Any]) -> NDArray[Any]:
    """Return the mean over cubes of 2 x 2 x 2 voxels; the last one repeats its outer voxels."""
    even = np.pad(planes, [(0, side % 2) for side in planes.shape], "edge")
    z, y, x = (side // 2 for side in even.shape)
    cubes = even.reshape(z, 2, y, 2, x, 2)
    return np.asarray(cubes.mean(axis=(1, 3, 5), dtype=np.float32))


def _write_json(folder: Path, content: dict[str, Any]) -> None:
    (folder / "zarr.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
