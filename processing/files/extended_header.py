"""Tilt angles, pixel size and tilt axis from the extended headers of MRC files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from mrcfile.dtypes import get_ext_header_dtype
from numpy.typing import NDArray

from processing.files.mrc_header import MrcHeader

FEI_RECORD_BYTES = 128
"""Record of one image in FEI's first extended header: 32 floats, lengths in metres."""
FEI_ALPHA, FEI_AXIS, FEI_PIXEL = 0, 10, 11
"""Columns of that record: stage tilt, tilt axis (degrees), pixel size (m)."""
PLAUSIBLE_PIXEL_M = (1e-12, 1e-5)


@dataclass(frozen=True)
class ExtendedHeader:
    """Facts of an extended header.

    Attributes
    ----------
    kind
        Name of the layout, for messages.
    angles_deg
        [section]; None if the header holds none.
    pixel_nm, tilt_axis_deg
        None if the header does not say.
    """

    kind: str = ""
    angles_deg: NDArray[np.float64] | None = None
    pixel_nm: float | None = None
    tilt_axis_deg: float | None = None


def parse_extended_header(raw: bytes, header: MrcHeader, sections: int) -> ExtendedHeader:
    """Return what the extended header says about the first `sections` images."""
    kind = header.extended_kind
    if not raw or sections == 0:
        return ExtendedHeader()
    if kind in ("FEI1", "FEI2"):
        return _fei_2014(raw, header, sections)
    if kind == "SERI" or (kind == "" and is_serialem(header.nint, header.nreal)):
        return ExtendedHeader("SerialEM", _serialem_angles(raw, header, sections))
    if kind == "" and header.nint == 0 and header.nreal == FEI_RECORD_BYTES // 4:
        return _fei_classic(raw, header, sections)
    if kind in ("AGAR", "") and header.nreal > 0 and header.nint >= 0:
        return ExtendedHeader("Agard", _agard_angles(raw, header, sections))
    return ExtendedHeader()


def is_serialem(nint: int, nreal: int) -> bool:
    """Recognise SerialEM's layout: nint is bytes per section, nreal a bit mask of the values."""
    sizes = (2, 6, 4, 2, 2, 4)
    return nint > 0 and nint == sum(s for bit, s in enumerate(sizes) if nreal >> bit & 1)


def _fei_2014(raw: bytes, header: MrcHeader, sections: int) -> ExtendedHeader:
    """Read FEI1 or FEI2, whose records begin with their own size in bytes."""
    dtype = get_ext_header_dtype(header.extended_kind.encode(), header.byte_order)
    step = int(np.frombuffer(raw, header.byte_order + "i4", 1)[0]) if len(raw) >= 4 else 0
    if not dtype.itemsize <= step:
        step = dtype.itemsize
    if len(raw) < step * sections:
        return ExtendedHeader(header.extended_kind)
    table = np.ndarray((sections,), dtype, raw, strides=(step,))
    return ExtendedHeader(
        header.extended_kind,
        _finite(table["Alpha tilt"]),
        _metres_to_nm(table["Pixel size X"]),
        _nonzero(table["Tilt axis angle"]),
    )


def _fei_classic(raw: bytes, header: MrcHeader, sections: int) -> ExtendedHeader:
    if len(raw) < FEI_RECORD_BYTES * sections:
        return ExtendedHeader("FEI")
    table = np.frombuffer(raw[: FEI_RECORD_BYTES * sections], header.byte_order + "f4")
    table = table.reshape(sections, -1)
    return ExtendedHeader(
        "FEI",
        _finite(table[:, FEI_ALPHA]),
        _metres_to_nm(table[:, FEI_PIXEL]),
        _nonzero(table[:, FEI_AXIS]),
    )


def _serialem_angles(raw: bytes, header: MrcHeader, sections: int) -> NDArray[np.float64] | None:
    """Return the tilt angles, which SerialEM stores as hundredths of a degree."""
    holds_tilt = bool(header.nreal & 1)
    if not holds_tilt or header.nint < 2 or len(raw) < header.nint * sections:
        return None
    table = np.frombuffer(raw[: header.nint * sections], "u1").reshape(sections, header.nint)
    return np.ascontiguousarray(table[:, :2]).view(header.byte_order + "i2")[:, 0] / 100.0


def _agard_angles(raw: bytes, header: MrcHeader, sections: int) -> NDArray[np.float64] | None:
    size = 4 * (header.nint + header.nreal)
    if len(raw) < size * sections:
        return None
    table = np.frombuffer(raw[: size * sections], header.byte_order + "f4")
    return _finite(table.reshape(sections, -1)[:, header.nint])


def _finite(values: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return angles, or None where a value cannot be one."""
    with np.errstate(invalid="ignore"):  # a signalling NaN warns when it is converted
        angles = np.asarray(values, np.float64)
    return angles if np.all(np.abs(angles) <= 360) else None


def _metres_to_nm(values: NDArray[Any]) -> float | None:
    first = float(values[0])
    low, high = PLAUSIBLE_PIXEL_M
    return 1e9 * first if low <= first <= high else None


def _nonzero(values: NDArray[Any]) -> float | None:
    """Return the axis; zero is what programs write that do not know it."""
    first = float(values[0])
    return first if np.isfinite(first) and first != 0 and abs(first) <= 360 else None
