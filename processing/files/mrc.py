"""Read MRC stacks; write volumes and image stacks.

Row 0 of a section is the bottom row, as in IMOD: rows run along +y, and sections along +z or over
the tilts. Arrays [z or tilt, y, x] are therefore written without reordering. Lengths in the header
are in angstrom.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
from numpy.typing import NDArray

from processing.errors import InputFileError
from processing.files.atomic import replace_file

STORED_AS = {"int8": 0, "int16": 1, "float32": 2, "uint16": 6}
"""Sample types that can be written, and their MRC modes."""


@dataclass(frozen=True)
class MrcStack:
    """Content of an MRC file.

    Attributes
    ----------
    data
        [section, y, x], in the stored sample type.
    pixel_nm
        None if the header gives no pixel size.
    angles_deg
        [section], from the extended header; None if it holds no angles.
    """

    data: NDArray[Any]
    pixel_nm: float | None
    angles_deg: NDArray[np.float64] | None


def read_stack(path: Path) -> MrcStack:
    """Read a stack or volume, plain or gzipped.

    Raises
    ------
    InputFileError
        The file does not exist, is not an MRC file, or is shorter than its header says.
    """
    try:
        with mrcfile.open(path, permissive=False) as file:
            data = np.array(file.data)
            pixel_nm = float(file.voxel_size.x) / 10
            angles_deg = _extended_header_angles(file)
    except FileNotFoundError:
        raise InputFileError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputFileError(f"{path}: is a folder; give an MRC file") from None
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise InputFileError(f"{path}: {_unreadable(error)}") from None
    if data.ndim == 2:
        data = data[None]
    if data.ndim != 3 or data.size == 0:
        raise InputFileError(
            f"{path}: holds an array of shape {data.shape}, expected a stack of images"
        )
    return MrcStack(data, pixel_nm if pixel_nm > 0 else None, angles_deg)


def write_volume(
    path: Path,
    volume: NDArray[Any],
    pixel_nm: float,
    origin_nm: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> None:
    """Write a volume [z, y, x] with cubic voxels. Types that MRC cannot store become float32.

    `origin_nm` is the place (x, y, z) of the first voxel.
    """
    with (
        replace_file(path) as partial,
        mrcfile.new(partial, _storable(volume), overwrite=True) as file,
    ):
        file.set_volume()
        file.voxel_size = 10 * pixel_nm
        file.header.origin = tuple(10 * along for along in origin_nm)


def write_images(path: Path, images: NDArray[Any], pixel_nm: float) -> None:
    """Write an image stack [tilt, y, x]. Sample types that MRC cannot store become float32."""
    with (
        replace_file(path) as partial,
        mrcfile.new(partial, _storable(images), overwrite=True) as file,
    ):
        file.set_image_stack()
        file.voxel_size = 10 * pixel_nm


def _unreadable(error: Exception) -> str:
    """Describe in one line why a file cannot be read and what to do."""
    reason = " ".join(str(error).split())
    # mrcfile raises ValueError for every fault; "Expected ..." appears only when bytes are missing
    if isinstance(error, EOFError) or reason.startswith("Expected "):
        return f"cut off: {reason}; copy it again"
    if isinstance(error, (gzip.BadGzipFile, zlib.error)):
        return f"damaged: {reason}; copy it again"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or reason}"
    return f"no MRC file that can be read ({reason}); give an image stack, .mrc or .mrc.gz"


def _storable(data: NDArray[Any]) -> NDArray[Any]:
    # mrcfile creates the file before it refuses a type that it cannot store
    return data if data.dtype.name in STORED_AS else data.astype(np.float32)


def _extended_header_angles(file: Any) -> NDArray[np.float64] | None:
    """Return the tilt angle of each section from an FEI, SerialEM or Agard extended header."""
    kind = bytes(file.header.exttyp).strip(b"\0 ")
    sections = int(file.header.nz)
    raw = np.asarray(file.extended_header).tobytes()
    if not raw or sections == 0:
        return None
    if kind in (b"FEI1", b"FEI2"):
        return np.asarray(file.indexed_extended_header["Alpha tilt"][:sections], np.float64)
    # bytes 128..132 of the header, which mrcfile returns as part of extra2 (from byte 112)
    nint, nreal = np.frombuffer(bytes(file.header.extra2), "<i2", 2, offset=16)
    if kind == b"SERI" or (kind == b"" and _is_serialem(int(nint), int(nreal))):
        return _serialem_angles(raw, sections, int(nint), int(nreal))
    if kind in (b"AGAR", b"") and nreal > 0:
        per_section = 4 * (int(nint) + int(nreal))
        if len(raw) >= per_section * sections:
            table = np.frombuffer(raw[: per_section * sections], "<f4")
            return table.reshape(sections, -1)[:, int(nint)].astype(np.float64)
    return None


def _is_serialem(nint: int, nreal: int) -> bool:
    """Recognise SerialEM's layout: nint is bytes per section, nreal a bit mask of the values."""
    sizes = (2, 6, 4, 2, 2, 4)
    return nint > 0 and nint == sum(s for bit, s in enumerate(sizes) if nreal >> bit & 1)


def _serialem_angles(
    raw: bytes, sections: int, nint: int, nreal: int
) -> NDArray[np.float64] | None:
    holds_tilt = bool(nreal & 1)
    if not holds_tilt or nint < 2 or len(raw) < nint * sections:
        return None
    table = np.frombuffer(raw[: nint * sections], "u1").reshape(sections, nint)
    return np.ascontiguousarray(table[:, :2]).view("<i2")[:, 0] / 100.0
