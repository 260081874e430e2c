"""One image of a stack that is still being written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from numpy.typing import NDArray

from processing.errors import InputFileError
from processing.files.mrc import STORED_AS


def read_section(path: Path, index: int) -> NDArray[Any]:
    """Image `index`, [y, x], whether or not the header counts it yet.

    Raises
    ------
    InputFileError
        No such file, or the image is not wholly there.
    """
    header_dtype = HEADER_DTYPE.newbyteorder("<")
    try:
        with path.open("rb") as file:
            header = np.frombuffer(file.read(header_dtype.itemsize), header_dtype, 1)[0]
            shape = int(header["ny"]), int(header["nx"])
            dtype = _dtype(int(header["mode"]))
            size = shape[0] * shape[1] * dtype.itemsize
            file.seek(header_dtype.itemsize + int(header["nsymbt"]) + index * size)
            data = file.read(size)
    except FileNotFoundError:
        raise InputFileError(f"{path}: no such file") from None
    except (ValueError, KeyError):
        raise InputFileError(f"{path}: no MRC stack written here") from None
    if len(data) < size:
        raise InputFileError(f"{path}: image {index} is not wholly on the disk")
    return np.frombuffer(data, dtype).reshape(shape)


def _dtype(mode: int) -> np.dtype[Any]:
    return np.dtype({number: name for name, number in STORED_AS.items()}[mode]).newbyteorder("<")
