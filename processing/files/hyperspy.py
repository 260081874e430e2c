"""Volumes as signals of HyperSpy, written by rosettasciio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from processing.files.atomic import replace_file
from processing.files.volume_grid import Facts, VolumeGrid


def write_hspy(path: Path, volume: NDArray[Any], grid: VolumeGrid, facts: Facts) -> None:
    """Write a volume [z, y, x] as a stack of images over z; axes in nm from the volume's centre.

    A mapped volume stays on the disk while it is copied.
    """
    from rsciio.hspy import file_writer

    signal = {
        "data": volume,
        "axes": _axes(grid),
        "metadata": {
            "General": {"title": str(facts["volume"])},
            "Signal": {"signal_type": ""},
            "Acquisition_instrument": {"TEM": {"acquisition_mode": "STEM"}},
        },
        "original_metadata": {"dualtilt": dict(facts)},
        "learning_results": {},
        "models": {},
        "tmp_parameters": {},
        "attributes": {"_lazy": False},
        "package_info": {"package": "dualtilt", "package_version": str(facts["software"])},
    }
    with replace_file(path) as partial:
        file_writer(str(partial), signal, compression=None, show_progressbar=False)


def _axes(grid: VolumeGrid) -> list[dict[str, Any]]:
    first = dict(zip("xyz", grid.first_nm, strict=True))
    return [
        {
            "_type": "UniformDataAxis",
            "name": name,
            "units": "nm",
            "size": size,
            "scale": grid.pixel_nm,
            "offset": float(first[name]),
            "navigate": name == "z",
            "is_binned": False,
        }
        for name, size in zip("zyx", grid.shape, strict=True)
    ]
