"""Read one image of a stack that is still being recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from numpy.typing import NDArray

from processing.errors import InputFileError
from processing.files.held_folder import open_to_read
from processing.files.mrc import STORED_AS


def read_section(path: Path, section: int) -> NDArray[Any]:
    """Read the image [y, x] of a section, even if the header does not count it yet.

    Raises
    ------
    InputFileError
        The file does not exist, is not an MRC stack, or does not yet hold the whole image.
    """
    header_dtype = HEADER_DTYPE.newbyteorder("<")
    try:
        with open_to_read(path) as file:
            header = np.frombuffer(file.read(header_dtype.itemsize), header_dtype, 1)[0]
            shape = int(header["ny"]), int(header["nx"])
            dtype = _dtype(int(header["mode"]))
            size = shape[0] * shape[1] * dtype.itemsize
            file.seek(header_dtype.itemsize + int(header["nsymbt"]) + section * size)
            data = file.read(size)
    except FileNotFoundError:
        raise InputFileError(f"{path}: no such file") from None
    except (ValueError, KeyError):
        raise InputFileError(f"{path}: not an MRC stack written by dualtilt") from None
    if len(data) < size:
        raise InputFileError(f"{path}: the image is not completely on the disk")
    return np.frombuffer(data, dtype).reshape(shape)


def _dtype(mode: int) -> np.dtype[Any]:
    return np.dtype({number: name for name, number in STORED_AS.items()}[mode]).newbyteorder("<")
