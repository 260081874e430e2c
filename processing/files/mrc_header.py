"""Read the header of an MRC file leniently, and say what is odd in it.

The layout is MRC2014 with the additions of IMOD and SerialEM. Bytes 0 to 1023 are the header; the
extended header follows, then the images.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from numpy.typing import NDArray

from processing.errors import InputFileError

HEADER_BYTES: int = HEADER_DTYPE.itemsize
PACKED_4_BITS = 101
SAMPLE_TYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2", PACKED_4_BITS: "u1"}
"""Sample type of each mode that can be read."""
COMPLEX_MODES = (3, 4)
LARGEST_SIDE = 1_000_000
"""Largest plausible number of columns, rows or sections."""
LARGEST_EXTENDED_BYTES = 1 << 30
IMOD_STAMP = 1146047817
"""Bytes 152 to 155: the file was written by IMOD or SerialEM, and the flags after it count."""
SIGNED_BYTES_FLAG = 1
LITTLE, BIG = "<", ">"
DEFAULT_PIXEL_NM = 0.1
"""1 angstrom: programs write it when they do not know the pixel size."""


MDOC_BEGINNINGS = (b"PixelSpacing", b"[T =", b"[ZValue", b"ImageFile", b"Voltage", b"DataMode")
"""First words of an .mdoc."""
TEXT_BYTES = frozenset(b"\t\n\r") | frozenset(range(0x20, 0x7F)) | frozenset(range(0x80, 0x100))
"""Bytes of text without control characters, also of UTF-8."""


@dataclass(frozen=True)
class MrcHeader:
    """Facts of an MRC header.

    Attributes
    ----------
    byte_order
        ``<`` or ``>``.
    pixel_nm
        None if the header gives no pixel size.
    bytes_signed
        For mode 0: True or False if IMOD's flags say so, else None.
    extended_kind
        Type of the extended header, e.g. ``FEI1``; empty if the header names none.
    nint, nreal
        Sizes or flags of the extended header; their meaning depends on its type.
    titles
        Labels, without the empty ones.
    notes
        One line for each oddity.
    """

    byte_order: str
    columns: int
    rows: int
    sections: int
    mode: int
    pixel_nm: float | None
    bytes_signed: bool | None
    extended_bytes: int
    extended_kind: str
    nint: int
    nreal: int
    titles: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def offset_bytes(self) -> int:
        """Place of the first image in the file."""
        return HEADER_BYTES + self.extended_bytes

    @property
    def section_bytes(self) -> int:
        """Size of one image in the file."""
        if self.mode == PACKED_4_BITS:
            return (self.columns + 1) // 2 * self.rows
        sample: np.dtype[Any] = np.dtype(SAMPLE_TYPES[self.mode])
        return self.columns * self.rows * sample.itemsize


def is_mrc(head: bytes) -> bool:
    """Recognise an MRC header by plausible sizes and mode in either byte order."""
    return len(head) >= HEADER_BYTES and bool(_plausible_orders(head))


def _instead(head: bytes) -> str:
    """Return what a file is that begins with these bytes and no MRC header, and what to do."""
    if any(head.lstrip().startswith(word) for word in MDOC_BEGINNINGS):
        return "it is text, like an .mdoc, which describes a stack); give the stack itself"
    if not set(head) - TEXT_BYTES:
        return "it is text); give an image stack, .mrc or .mrc.gz"
    if len(head) < HEADER_BYTES:
        return f"it has {len(head)} bytes, a header alone has {HEADER_BYTES}); copy it again"
    return (
        "its first 1024 bytes hold no plausible image size and mode); give an image stack, .mrc or "
        ".mrc.gz"
    )


def read_header(file: IO[bytes], path: Path) -> MrcHeader:
    """Read the first 1024 bytes of a file.

    Raises
    ------
    InputFileError
        They are no MRC header, or the images are of a kind that cannot be read.
    """
    head = file.read(HEADER_BYTES)
    orders = _plausible_orders(head) if len(head) == HEADER_BYTES else []
    if not orders:
        raise InputFileError(f"{path}: no MRC file that can be read ({_instead(head)}")
    stamped = _stamped_order(head)
    order = stamped if stamped in orders else orders[0]
    header = _parsed(head, order)
    mode = int(header["mode"])
    if mode not in SAMPLE_TYPES:
        what = "holds complex numbers (a Fourier transform)" if mode in COMPLEX_MODES else "unknown"
        raise InputFileError(f"{path}: MRC mode {mode} {what}; give the images themselves")
    pixel_nm, pixel_notes = _pixel_nm(header)
    extended_bytes = int(header["nsymbt"])
    notes = [*_identity_notes(header, stamped, order), *pixel_notes]
    if not 0 <= extended_bytes <= LARGEST_EXTENDED_BYTES:
        notes.append(f"the size of the extended header, {extended_bytes} bytes, is wrong; ignored")
        extended_bytes = 0
    nint, nreal = np.frombuffer(head, order + "i2", 2, offset=128)
    return MrcHeader(
        byte_order=order,
        columns=int(header["nx"]),
        rows=int(header["ny"]),
        sections=int(header["nz"]),
        mode=mode,
        pixel_nm=pixel_nm,
        bytes_signed=_bytes_signed(head, order),
        extended_bytes=extended_bytes,
        extended_kind=bytes(header["exttyp"]).strip(b"\0 ").decode("ascii", "replace"),
        nint=int(nint),
        nreal=int(nreal),
        titles=_titles(header),
        notes=tuple(notes),
    )


def _parsed(head: bytes, order: str) -> NDArray[np.void]:
    parsed: NDArray[np.void] = np.frombuffer(head, HEADER_DTYPE.newbyteorder(order), 1)[0]
    return parsed


def _plausible_orders(head: bytes) -> list[str]:
    """Return the byte orders in which sizes and mode make sense."""
    orders = []
    for order in (LITTLE, BIG):
        columns, rows, sections, mode = np.frombuffer(head, order + "i4", 4)
        sides = (columns, rows, sections)
        known = mode in SAMPLE_TYPES or mode in COMPLEX_MODES
        if known and all(0 < side <= LARGEST_SIDE for side in sides):
            orders.append(order)
    return orders


def _stamped_order(head: bytes) -> str | None:
    """Return the byte order that the machine stamp says, None for a stamp without meaning."""
    stamp = head[212:214]
    if stamp in (b"\x44\x44", b"\x44\x41"):
        return LITTLE
    return BIG if stamp == b"\x11\x11" else None


def _identity_notes(header: NDArray[np.void], stamped: str | None, order: str) -> list[str]:
    notes = []
    if bytes(header["map"])[:3] != b"MAP":
        notes.append("no MAP in the header, as in files of old or FEI programs; read as MRC")
    elif stamped != order:
        name = "little-endian" if order == LITTLE else "big-endian"
        notes.append(f"the machine stamp is wrong; sizes and mode say {name}")
    return notes


def _pixel_nm(header: NDArray[np.void]) -> tuple[float | None, list[str]]:
    cells = [float(header["cella"][axis]) for axis in "xy"]
    counts = [int(header[f"m{axis}"]) or int(header[f"n{axis}"]) for axis in "xy"]
    with np.errstate(all="ignore"):
        sizes = [cell / count / 10 for cell, count in zip(cells, counts, strict=True)]
    if not all(np.isfinite(size) and size > 0 for size in sizes):
        return None, []
    return sizes[0], unequal_sides(*sizes)


def unequal_sides(width_nm: float, height_nm: float) -> list[str]:
    """Return a note if pixels are not square, else nothing."""
    if abs(width_nm - height_nm) <= 0.01 * width_nm:
        return []
    return [
        f"the pixels are not square, {width_nm:g} x {height_nm:g} nm; the width is used for both"
    ]


def _bytes_signed(head: bytes, order: str) -> bool | None:
    stamp, flags = np.frombuffer(head, order + "i4", 2, offset=152)
    return bool(flags & SIGNED_BYTES_FLAG) if stamp == IMOD_STAMP else None


def _titles(header: NDArray[Any]) -> tuple[str, ...]:
    count = min(max(int(header["nlabl"]), 0), len(header["label"]))
    texts = [bytes(label).decode("latin-1").strip("\0 ") for label in header["label"][:count]]
    return tuple(re.sub(r"[^\x20-\x7e]", " ", text).strip() for text in texts if text)
