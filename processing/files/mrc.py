"""Read MRC stacks; write volumes and image stacks.

Row 0 of a section is the bottom row, as in IMOD: rows run along +y, and sections along +z or over
the tilts. Arrays [z or tilt, y, x] are therefore written without reordering. Lengths in the header
are in angstrom.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import mrcfile
import numpy as np
from numpy.typing import NDArray

from processing.errors import InputFileError
from processing.files.atomic import replace_file
from processing.files.compressed import is_compressed, open_plain, read_up_to
from processing.files.extended_header import ExtendedHeader, parse_extended_header
from processing.files.held_folder import open_to_read
from processing.files.mrc_header import PACKED_4_BITS, SAMPLE_TYPES, MrcHeader, read_header

LARGEST_READ_BYTES = 64 << 20
"""Size of the images in a plain file above which they are mapped, and read where they are used."""
STORED_AS = {"int8": 0, "int16": 1, "float32": 2, "uint16": 6}
"""Sample types that can be written, and their MRC modes."""
SIGN_IMAGES = 5
"""Number of images that are looked at to tell signed from unsigned samples."""
UNSIGNED_ROUGHNESS = 0.9
"""Largest roughness of unsigned samples, as a fraction of that of signed ones: MRC is signed."""


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


@dataclass(frozen=True)
class MrcFacts:
    """Facts of an MRC file that are known before its images are read.

    Attributes
    ----------
    complete
        Number of whole images in the file; for a compressed file, the header's number.
    """

    header: MrcHeader
    extended: ExtendedHeader
    complete: int


def read_stack(path: str | Path) -> MrcStack:
    """Read a stack or volume, plain or compressed.

    Raises
    ------
    InputFileError
        The file does not exist, is not an MRC file, or is shorter than its header says.
    """
    path = Path(path)
    facts = read_facts(path)
    data, _ = read_images(path, facts.header, facts.header.sections)
    if len(data) < facts.header.sections:
        raise InputFileError(f"{path}: {cut_off(len(data), facts.header.sections)}")
    pixel_nm = facts.header.pixel_nm or facts.extended.pixel_nm
    return MrcStack(data, pixel_nm, facts.extended.angles_deg)


def cut_off(complete: int, expected: int) -> str:
    """Describe a file that holds fewer images than its header says."""
    return (
        f"cut off: it holds {complete} whole images of the {expected} in its header; copy it again"
    )


def read_facts(path: Path) -> MrcFacts:
    """Read the header and the extended header, and count the whole images.

    Raises
    ------
    InputFileError
        The file does not exist, is a folder, or is not an MRC file.
    """
    if path.is_dir():
        raise InputFileError(f"{path}: is a folder; give an MRC file")
    with open_plain(path) as file:
        header = read_header(file, path)
        raw = bytes(read_up_to(file, header.extended_bytes))
    complete = header.sections
    if not is_compressed(path):
        complete = max(0, _size_bytes(path) - header.offset_bytes) // header.section_bytes
    extended = parse_extended_header(raw, header, header.sections)
    return MrcFacts(header, extended, complete)


def read_images(
    path: Path, header: MrcHeader, sections: int
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Read at most `sections` whole images [section, y, x], and say how bytes were understood.

    Raises
    ------
    InputFileError
        The images need more memory than the machine has, or a compressed file is damaged.
    """
    _require_memory(path, header, sections)
    stored = _stored_bytes(path, header, sections)
    whole = len(stored) // header.section_bytes
    if header.mode == PACKED_4_BITS:
        return _unpacked(stored, whole, header), ("4-bit images; read as 0 to 15",)
    dtype = np.dtype(header.byte_order + SAMPLE_TYPES[header.mode])
    images = stored.view(dtype).reshape(whole, header.rows, header.columns)
    if not isinstance(stored, np.memmap):  # which would be read as a whole
        images = images.astype(dtype.newbyteorder("="), copy=False)
    if images.dtype.kind == "i":
        return _signed_or_not(images, header)
    return images, ()


def write_volume(
    path: str | Path,
    volume: NDArray[Any],
    pixel_nm: float,
    origin_nm: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> None:
    """Write a volume [z, y, x] with cubic voxels. Types that MRC cannot store become float32.

    `origin_nm` is the place (x, y, z) of the first voxel.
    """
    path = Path(path)
    with (
        replace_file(path) as partial,
        _new_file(partial, volume) as file,
    ):
        file.set_volume()
        file.voxel_size = 10 * pixel_nm
        file.header.origin = tuple(10 * along for along in origin_nm)


def write_images(path: str | Path, images: NDArray[Any], pixel_nm: float) -> None:
    """Write an image stack [tilt, y, x]. Sample types that MRC cannot store become float32."""
    path = Path(path)
    with (
        replace_file(path) as partial,
        _new_file(partial, images) as file,
    ):
        file.set_image_stack()
        file.voxel_size = 10 * pixel_nm


@contextmanager
def _new_file(path: Path, data: NDArray[Any]) -> Iterator[Any]:
    """Yield a file of mrcfile that holds `data`; it is written when the block succeeds."""
    file = mrcfile.new(path, _storable(data), overwrite=True)
    try:
        yield file
        file.close()
    finally:
        # mrcfile leaves the file open where it cannot be written; Windows removes no open file
        with suppress(OSError):
            file._iostream.close()


def _storable(data: NDArray[Any]) -> NDArray[Any]:
    # mrcfile creates the file before it refuses a type that it cannot store
    return data if data.dtype.name in STORED_AS else data.astype(np.float32)


def _stored_bytes(path: Path, header: MrcHeader, sections: int) -> NDArray[np.uint8]:
    """Return the bytes of at most `sections` whole images; a large plain file stays on the disk."""
    wanted = sections * header.section_bytes
    if wanted > LARGEST_READ_BYTES and not is_compressed(path):
        present = _size_bytes(path) - header.offset_bytes
        whole = min(wanted, present) // header.section_bytes
        if whole > 0:
            size = whole * header.section_bytes
            with open_to_read(path) as file:
                return np.memmap(file, np.uint8, "r", header.offset_bytes, (size,))
    with open_plain(path) as file:
        _skip(file, header.offset_bytes)
        data = read_up_to(file, wanted)
        file.read(1)  # a compressed file checks its sum at its end
    whole = len(data) // header.section_bytes
    return np.frombuffer(data, np.uint8, whole * header.section_bytes)


def _size_bytes(path: Path) -> int:
    with open_to_read(path) as file:
        return file.seek(0, os.SEEK_END)


def _skip(file: IO[bytes], size: int) -> None:
    if file.seekable():
        file.seek(size)
    else:
        read_up_to(file, size)


def _require_memory(path: Path, header: MrcHeader, sections: int) -> None:
    """Refuse images that do not fit the machine's memory as float32."""
    if not hasattr(os, "sysconf"):
        return
    needed = 4 * sections * header.rows * header.columns
    present = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > present:
        raise InputFileError(
            f"{path}: {sections} images of {header.columns} x {header.rows} pixels need "
            f"{needed / 1e9:.0f} GB, the machine has {present / 1e9:.0f} GB; bin the images"
        )


def _unpacked(stored: NDArray[np.uint8], whole: int, header: MrcHeader) -> NDArray[np.uint8]:
    """Return 4-bit samples, the first of each byte in its low half; rows begin with a byte."""
    packed = (header.columns + 1) // 2
    rows = stored.reshape(whole, header.rows, packed)
    samples = np.stack([rows & 15, rows >> 4], axis=-1)
    return samples.reshape(whole, header.rows, 2 * packed)[:, :, : header.columns]


def _signed_or_not(images: NDArray[Any], header: MrcHeader) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Decide by IMOD's flag whether samples are signed, else by which reading is smoother.

    Read with the wrong sign, neighbouring pixels differ by the whole range wherever the grey values
    pass its middle. The flag is only about bytes.
    """
    unsigned = images.view(images.dtype.str.replace("i", "u"))
    if header.mode == 0 and header.bytes_signed is not None:
        if header.bytes_signed:
            return images, ()
        return unsigned, ("unsigned bytes, as IMOD's flag says",)
    sample = slice(None, None, max(1, len(images) // SIGN_IMAGES))
    if _roughness(unsigned[sample]) < UNSIGNED_ROUGHNESS * _roughness(images[sample]):
        what = "bytes" if images.itemsize == 1 else "16-bit samples"
        return unsigned, (f"unsigned {what}: read as signed ones, grey values would jump",)
    return images, ()


def _roughness(images: NDArray[Any]) -> float:
    """Return the sum of the steps between neighbouring pixels of a row."""
    return float(np.abs(np.diff(images.astype(np.int32), axis=2)).sum(dtype=np.float64))
