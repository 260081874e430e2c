"""Tilt series in files as people have them: MRC files with odd headers, mdocs, angle lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

TILTS = np.array([-20.0, -10.0, 0.0, 10.0, 20.0])
SHAPE = (18, 21)
"""Odd number of columns: a row of 4-bit samples ends within a byte."""
LITTLE_STAMP = b"\x44\x44\0\0"
LIST = "\n".join(f"{angle:.2f}" for angle in TILTS)


def smooth(largest: int, dtype: str) -> np.ndarray:
    """Images without steps between neighbouring pixels, as of a blurred specimen."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    waves = [np.sin(x / 4 + n) * np.cos(y / 5) for n in range(len(TILTS))]
    return np.rint((np.array(waves) + 1) / 2 * largest).astype(dtype)


def mrc(
    images: np.ndarray,
    *,
    mode: int = 6,
    order: str = "<",
    pixel_nm: float | None = 0.9,
    extended: bytes = b"",
    stored: bytes | None = None,
    sections: int | None = None,
    layout: tuple[int, int] = (0, 0),
    flags: int | None = None,
    **fields: Any,
) -> bytes:
    """Return an MRC file; `fields` replace those of its header."""
    header = np.zeros((), HEADER_DTYPE.newbyteorder(order))
    count, rows, columns = images.shape
    header["nx"], header["ny"], header["nz"] = columns, rows, sections or count
    header["mx"], header["my"], header["mz"], header["mode"] = columns, rows, 1, mode
    header["cella"] = tuple(10 * (pixel_nm or 0) * side for side in (columns, rows, 1))
    header["map"] = b"MAP "
    header["machst"] = np.frombuffer(LITTLE_STAMP, "u1")
    header["nsymbt"] = len(extended)
    for name, value in fields.items():
        header[name] = value
    data = bytearray(header.tobytes())
    data[128:132] = np.array(layout, order + "i2").tobytes()
    if flags is not None:
        data[152:160] = np.array([1146047817, flags], order + "i4").tobytes()
    pixels = images.astype(images.dtype.newbyteorder(order)).tobytes()
    return bytes(data) + extended + (pixels if stored is None else stored)


GREY = smooth(1000, "uint16")


def mdoc(
    *,
    head: str = "PixelSpacing = 9\nImageSize = 21 18\n",
    name: str = "ZValue",
    angles: np.ndarray = TILTS,
    more: str = "",
) -> str:
    sections = "".join(
        f"\n[{name} = {n}]\nStagePosition = 1 2\nTiltAngle = {angle}\n{more}"
        for n, angle in enumerate(angles)
    )
    return f"{head}\n{sections}"


def write(folder: Path, data: bytes, files: dict[str, str], name: str = "A.mrc") -> Path:
    (folder / name).write_bytes(data)
    for other, text in files.items():
        (folder / other).write_text(text, encoding="utf-8")
    return folder / name
