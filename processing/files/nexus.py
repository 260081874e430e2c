"""Volumes and particles as NeXus files (HDF5) after the application definition NXem.

https://fairmat-nfdi.github.io/nexus_definitions/classes/applications/NXem.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from processing.files.atomic import replace_file
from processing.files.particles import ParticleTable
from processing.files.volume_grid import Facts, VolumeGrid, equal_chunks, slabs
from processing.progress import Progress, silent

if TYPE_CHECKING:
    import h5py

LARGEST_CHUNK = (16, 64, 64)
"""Largest HDF5 chunk along z, y and x; as many planes are in memory at once."""
AXES = ("axis_k", "axis_j", "axis_i")
"""NXimage's names of z, y and x."""


@dataclass(frozen=True)
class NexusSession:
    """Facts that NXem asks for; those that are None are left out of the file."""

    title: str | None
    start_time: str | None
    """ISO 8601, with the time zone."""
    sample: Mapping[str, str | bool | None]
    """Fields of NXsample."""


def write_nexus(
    path: Path,
    volume: NDArray[Any],
    table: ParticleTable,
    grid: VolumeGrid,
    session: NexusSession,
    facts: Facts,
    *,
    progress: Progress = silent,
) -> None:
    """Write a volume [z, y, x] slab by slab, and its particles.

    Axes and particles are in nm from the centre of the volume.
    """
    import h5py

    with replace_file(path) as partial, h5py.File(partial, "w") as file:
        file.attrs.update(NX_class="NXroot", default="entry")
        entry = _group(file, "entry", "NXentry", default="roi1")
        entry["definition"] = "NXem"
        _fields(entry, {"title": session.title, "start_time": session.start_time})
        _fields(_group(entry, "sample", "NXsample"), session.sample)
        _program(entry, str(facts["software"]))
        roi = _group(entry, "roi1", "NXroi_process", default="img")
        images = _group(roi, "img", "NXem_img", default="image1")
        image = _group(images, "image1", "NXimage", default="image_3d")
        image["imaging_mode"] = "annular_dark_field"
        data = _volume(image, volume, grid, str(facts["volume"]))
        _particles(_group(entry, "particles", "NXcollection"), table)
        _fields(_group(entry, "dualtilt", "NXcollection"), facts)
        for slab in slabs(len(volume), data.chunks[0]):
            data[slab] = volume[slab]
            progress(path.name, slab.stop / len(volume))


def _group(parent: h5py.Group, name: str, nexus_class: str, **attributes: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs.update(NX_class=nexus_class, **attributes)
    return group


def _fields(group: h5py.Group, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if value is not None:
            group[name] = value


def _program(entry: h5py.Group, software: str) -> None:
    name, version = software.split(" ", 1)
    profiling = _group(entry, "profiling", "NXcs_profiling")
    program = _group(profiling, "program1", "NXprogram")
    program["program"] = name
    program["program"].attrs["version"] = version


def _volume(image: h5py.Group, volume: NDArray[Any], grid: VolumeGrid, title: str) -> h5py.Dataset:
    """Create the dataset of the volume and its axes; return the dataset, which is still empty."""
    group = _group(image, "image_3d", "NXdata", signal="real")
    group.attrs["axes"] = list(AXES)
    group["title"] = title
    chunk = equal_chunks(grid.shape, LARGEST_CHUNK)
    data = group.create_dataset("real", grid.shape, volume.dtype, chunks=chunk)
    data.attrs["long_name"] = "signal"
    for number, (name, letter) in enumerate(zip(AXES, "zyx", strict=True)):
        group.attrs[f"{name}_indices"] = np.uint32(number)
        first_nm = grid.first_nm[2 - number]
        group[name] = first_nm + grid.pixel_nm * np.arange(grid.shape[number])
        group[name].attrs.update(units="nm", long_name=f"{letter} (nm)")
    return data


def _particles(group: h5py.Group, table: ParticleTable) -> None:
    lengths = dict(zip("xyz", table.centres_nm.reshape(-1, 3).T, strict=True))
    for name, values in {**lengths, "diameter": table.diameter_nm}.items():
        group[name] = values
        group[name].attrs["units"] = "nm"
    group["confidence"] = table.confidence
