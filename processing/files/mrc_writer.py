"""Write a tilt series during recording; each image is on the disk before it is acknowledged."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from numpy.typing import NDArray

from processing.errors import InputFileError
from processing.files.atomic import sync_data, sync_folder
from processing.files.mrc import STORED_AS

HEADER_BYTES = 1024


@dataclass(frozen=True)
class StoredSection:
    """Location and checksum of one image in the file, for the session's journal."""

    section: int
    """Place of the image in the stack, from 0."""
    offset_bytes: int
    """Position of the image's first byte in the file."""
    size_bytes: int
    crc32: int


class MrcStackWriter:
    """Appends images [y, x] to an MRC stack.

    Each image is written to the end of the file and flushed to the disk before the header counts
    it. A crash in between leaves a whole or partial image after the last one that the header
    counts. `reopen` cuts it off; the journal has not acknowledged it, so the caller records it
    again. (mrcfile cannot append, and its ``r+`` mode damages a stack that was cut short.)
    """

    def __init__(self, path: Path, header: NDArray[np.void], sections: int) -> None:
        self._header = header
        self._dtype = np.dtype(_dtype_of_mode(int(header["mode"]), path)).newbyteorder("<")
        self._shape = (int(header["ny"]), int(header["nx"]))
        self._file = path.open("r+b", buffering=0)
        self._sum = 0.0
        self.path = path
        self.sections = sections

    @classmethod
    def create(cls, path: Path, shape: tuple[int, int], dtype: Any, pixel_nm: float) -> Self:
        """Create an empty stack for images of `shape` (rows, columns).

        Raises
        ------
        FileExistsError
            The file exists; raw data are never overwritten.
        TypeError
            MRC cannot store `dtype`; nothing has been written.
        """
        name = np.dtype(dtype).name
        if name not in STORED_AS:
            raise TypeError(f"MRC cannot store {name}: convert to one of {', '.join(STORED_AS)}")
        header = _new_header(shape, STORED_AS[name], pixel_nm)
        with path.open("xb") as file:
            file.write(header.tobytes())
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
        return cls(path, header, 0)

    @classmethod
    def reopen(cls, path: Path, sections: int) -> Self:
        """Continue a stack after its `sections` acknowledged images; cut off what follows them.

        Raises
        ------
        InputFileError
            The file is missing, was not written by this class, or holds fewer images than
            `sections`.
        """
        header = _read_header(path)
        writer = cls(path, header, 0)
        whole = (path.stat().st_size - HEADER_BYTES) // writer._section_bytes
        if whole < sections:
            writer.close()
            raise InputFileError(
                f"{path}: holds {max(whole, 0)} whole images, but the journal acknowledged "
                f"{sections}; restore the file from a copy"
            )
        writer._file.truncate(writer._offset(sections))
        for section in range(sections):
            writer._count(writer.read(section))
        writer._write_header()
        return writer

    def append(self, image: NDArray[Any]) -> StoredSection:
        """Write one image to the disk; return what the journal needs to acknowledge it.

        Raises
        ------
        ValueError
            The image's shape or sample type differs from the stack's; nothing has been written.
        """
        if image.shape != self._shape or image.dtype.newbyteorder("<") != self._dtype:
            raise ValueError(
                f"{self.path}: image is {image.dtype} {image.shape}, "
                f"the stack holds {self._dtype} {self._shape}; start a new series"
            )
        data = np.ascontiguousarray(image, self._dtype).tobytes()
        stored = StoredSection(
            self.sections, self._offset(self.sections), len(data), zlib.crc32(data)
        )
        self._write(stored.offset_bytes, data)
        self._count(image)
        self._write_header()
        return stored

    def read(self, section: int) -> NDArray[Any]:
        """Return an image that has been written, [y, x]."""
        self._file.seek(self._offset(section))
        data = self._file.read(self._section_bytes)
        return np.frombuffer(data, self._dtype).reshape(self._shape)

    def close(self) -> None:
        """Close the file. Every appended image is already on the disk."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def _section_bytes(self) -> int:
        return self._shape[0] * self._shape[1] * self._dtype.itemsize

    def _offset(self, section: int) -> int:
        return HEADER_BYTES + section * self._section_bytes

    def _count(self, image: NDArray[Any]) -> None:
        """Add an image to the number of sections and the statistics in the header."""
        header = self._header
        finite = image[np.isfinite(image)]
        if finite.size:
            first = self.sections == 0
            low, high = float(finite.min()), float(finite.max())
            header["dmin"] = low if first else min(low, float(header["dmin"]))
            header["dmax"] = high if first else max(high, float(header["dmax"]))
            self._sum += float(finite.mean(dtype=np.float64))
        self.sections += 1
        header["nz"] = self.sections
        header["dmean"] = self._sum / self.sections

    def _write_header(self) -> None:
        self._write(0, self._header.tobytes())

    def _write(self, offset: int, data: bytes) -> None:
        self._file.seek(offset)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        sync_data(self._file.fileno())


def _new_header(shape: tuple[int, int], mode: int, pixel_nm: float) -> NDArray[np.void]:
    rows, columns = shape
    header = np.zeros((), HEADER_DTYPE.newbyteorder("<"))
    header["nx"], header["ny"], header["mode"] = columns, rows, mode
    header["mx"], header["my"], header["mz"] = columns, rows, 1
    header["cella"] = (10 * pixel_nm * columns, 10 * pixel_nm * rows, 10 * pixel_nm)
    header["cellb"] = (90, 90, 90)
    header["mapc"], header["mapr"], header["maps"] = 1, 2, 3
    header["map"], header["machst"] = b"MAP ", (0x44, 0x44, 0, 0)
    header["nversion"], header["rms"] = 20140, -1  # rms not determined
    header["nlabl"] = 1
    header["label"][0] = b"dualtilt"
    return header


def _read_header(path: Path) -> NDArray[np.void]:
    try:
        with path.open("rb") as file:
            data = file.read(HEADER_BYTES)
    except FileNotFoundError:
        raise InputFileError(f"{path}: no such file; there is no stack to continue") from None
    header: NDArray[np.void] = np.zeros((), HEADER_DTYPE.newbyteorder("<"))
    if len(data) == HEADER_BYTES:
        header = np.frombuffer(data, header.dtype, 1).reshape(()).copy()
    ours = header["map"] == b"MAP " and header["machst"][0] == 0x44 and header["nsymbt"] == 0
    if not ours:
        raise InputFileError(f"{path}: not written by dualtilt; it cannot be continued")
    header["nz"] = 0
    return header


def _dtype_of_mode(mode: int, path: Path) -> str:
    for name, known in STORED_AS.items():
        if known == mode:
            return name
    raise InputFileError(f"{path}: MRC mode {mode} cannot be continued")
