"""Images in the EMD files of Velox (HDF5), with the stage tilt of every frame.

rosettasciio knows the tilt of the first frame alone, and reads no image of a file with spectra.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from processing.files.tilt_angles import tilted

if TYPE_CHECKING:
    import h5py


def is_velox(path: Path) -> bool:
    """Tell files of Velox from other EMD files.

    Raises
    ------
    OSError
        The file is damaged or no HDF5 file.
    """
    import h5py

    with h5py.File(path) as file:
        return "Version" in file and "Data" in file


def read_velox(path: Path) -> list[Mapping[str, Any]]:
    """Read the largest images of a file, those of each detector as one signal of rosettasciio.

    `data` is [frame, y, x], with pixel sizes on the axes y and x. `tilt_alpha` holds one angle
    (degrees) for each frame, and none for frames at one angle, which are a movie.

    Raises
    ------
    OSError, KeyError, ValueError
        The file is damaged.
    """
    import h5py

    with h5py.File(path) as file:
        groups = list(file["Data"].get("Image", {}).values())
        images = [group for group in groups if group["Data"].dtype.kind in "iuf"]
        largest = max((group["Data"].size for group in images), default=0)
        return [_signal(group) for group in images if group["Data"].size == largest]


def _signal(group: h5py.Group) -> Mapping[str, Any]:
    data = np.moveaxis(group["Data"][:], -1, 0)  # stored as [y, x, frame]
    frames = [_facts(column) for column in group["Metadata"][:].T]
    picture = frames[0].get("BinaryResult", {})
    rows, columns = data.shape[1:]
    angles_deg = [angle for frame in frames if (angle := _tilt_deg(frame)) is not None]
    if not tilted(angles_deg):
        angles_deg = []
    return {
        "data": data,
        "axes": [
            {"name": "Stack", "size": len(data)},
            _axis("y", rows, picture, "height"),
            _axis("x", columns, picture, "width"),
        ],
        "metadata": {
            "General": {"title": picture.get("Detector", "")},
            "Acquisition_instrument": {"TEM": {"Stage": {"tilt_alpha": angles_deg}}},
        },
    }


def _facts(column: NDArray[Any]) -> dict[str, Any]:
    """Return the facts of one frame: JSON in a column of bytes that ends in zeros."""
    facts: dict[str, Any] = json.loads(column.tobytes().rstrip(b"\0"))
    return facts


def _tilt_deg(frame: Mapping[str, Any]) -> float | None:
    alpha_rad = frame.get("Stage", {}).get("AlphaTilt")
    return None if alpha_rad is None else float(np.degrees(float(alpha_rad)))


def _axis(name: str, size: int, picture: Mapping[str, Any], side: str) -> dict[str, Any]:
    scale = float(picture.get("PixelSize", {}).get(side, 0))
    return {"name": name, "size": size, "scale": scale, "units": picture.get("PixelUnitX")}
