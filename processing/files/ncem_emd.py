"""Volumes in the EMD format of Berkeley (HDF5), which tomviz, HyperSpy and NCEM's tools read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.files.atomic import replace_file
from processing.files.volume_grid import Facts, VolumeGrid, equal_chunks, slabs
from processing.progress import Progress, silent

LARGEST_CHUNK = (64, 64, 16)
"""Largest HDF5 chunk along x, y and z; as many planes are in memory at once."""


def write_ncem_emd(
    path: Path,
    volume: NDArray[Any],
    grid: VolumeGrid,
    facts: Facts,
    *,
    progress: Progress = silent,
) -> None:
    """Write a volume [z, y, x] slab by slab; the file holds it as [x, y, z], as HyperSpy does.

    The dimensions are in nm from the volume's centre.
    """
    import h5py

    planes = len(volume)
    chunks = equal_chunks(grid.shape[::-1], LARGEST_CHUNK)
    with replace_file(path) as partial, h5py.File(partial, "w") as file:
        file.attrs.update(version_major=0, version_minor=2)
        for name in ("microscope", "sample", "user"):
            file.create_group(name)
        file.create_group("comments").attrs.update(facts)
        group = file.create_group(f"signals/{facts['volume']}")
        group.attrs["emd_group_type"] = 1
        data = group.create_dataset("data", grid.shape[::-1], volume.dtype, chunks=chunks)
        for along, name in enumerate("xyz"):
            places = grid.first_nm[along] + grid.pixel_nm * np.arange(data.shape[along])
            dimension = group.create_dataset(f"dim{along + 1}", data=places)
            dimension.attrs.update(name=name, units="[n_m]")
        for slab in slabs(planes, chunks[2]):
            data[:, :, slab] = volume[slab].T
            progress(path.name, slab.stop / planes)
