"""Write a tilt series during recording; each image is on the disk before it is acknowledged."""

from __future__ import annotations

import os
import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from numpy.typing import NDArray

from processing.errors import InputFileError
from processing.files.atomic import open_plain, sync_data, sync_folder
from processing.files.held_folder import open_to_read
from processing.files.mrc import STORED_AS

HEADER_BYTES = 1024
COUNTED_FIELDS = ("nz", "dmin", "dmax", "dmean")
"""Fields of the header that follow from the images; a crash can leave them out of date."""


@dataclass(frozen=True)
class StackLayout:
    """Images of a stack, as the caller knows them; a header on disk is never believed.

    Raises
    ------
    TypeError
        MRC cannot store `dtype`.
    """

    shape: tuple[int, int]
    """(rows, columns) of every image."""
    dtype: str
    """numpy name of the sample type."""
    pixel_nm: float

    def __post_init__(self) -> None:
        if self.dtype not in STORED_AS:
            raise TypeError(
                f"MRC cannot store {self.dtype}: convert to one of {', '.join(STORED_AS)}"
            )

    @property
    def section_bytes(self) -> int:
        """Size of one image in the file."""
        return self.shape[0] * self.shape[1] * np.dtype(self.dtype).itemsize

    def offset_bytes(self, section: int) -> int:
        """Return the position in the file of the first byte of an image."""
        return HEADER_BYTES + section * self.section_bytes


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

    def __init__(self, path: Path, layout: StackLayout) -> None:
        self._layout = layout
        self._header = _new_header(layout)
        self._dtype = np.dtype(layout.dtype).newbyteorder("<")
        self._file = open_plain(path, "r+b")
        self._sum = 0.0
        self.path = path
        self.sections = 0

    @classmethod
    def create(cls, path: Path, layout: StackLayout) -> Self:
        """Create an empty stack.

        Raises
        ------
        FileExistsError
            The file exists; raw data are never overwritten.
        """
        open_plain(path, "xb").close()
        sync_folder(path.parent)
        writer = cls(path, layout)
        try:
            writer._write_header()
        except BaseException:
            writer.close()
            raise
        return writer

    @classmethod
    def reopen(cls, path: Path, layout: StackLayout, sections: int) -> Self:
        """Continue a stack after its `sections` acknowledged images; cut off what follows them.

        The header is written again from `layout` and the images: nothing in it is believed, so
        that a damaged header cannot shorten the stack.

        Raises
        ------
        InputFileError
            The file is missing or holds fewer images than `sections`; it is not changed.
        """
        try:
            writer = cls(path, layout)
        except FileNotFoundError:
            raise InputFileError(f"{path}: no such file; there is no stack to continue") from None
        try:
            writer._continue_after(sections)
        except BaseException:
            writer.close()
            raise
        return writer

    def _continue_after(self, sections: int) -> None:
        whole = (os.fstat(self._file.fileno()).st_size - HEADER_BYTES) // self._layout.section_bytes
        if whole < sections:
            raise InputFileError(
                f"{self.path}: holds {max(whole, 0)} whole images, but the journal acknowledged "
                f"{sections}; restore the file from a copy"
            )
        self._file.truncate(self._layout.offset_bytes(sections))
        for section in range(sections):
            self._count(self.read(section))
        self._write_header()

    def append(self, image: NDArray[Any]) -> StoredSection:
        """Write one image to the disk; return what the journal needs to acknowledge it.

        Raises
        ------
        ValueError
            The image's shape or sample type differs from the stack's; nothing has been written.
        """
        layout = self._layout
        if image.shape != layout.shape or image.dtype.newbyteorder("<") != self._dtype:
            raise ValueError(
                f"{self.path}: image is {image.dtype} {image.shape}, "
                f"the stack holds {self._dtype} {layout.shape}; start a new series"
            )
        data = np.ascontiguousarray(image, self._dtype).tobytes()
        stored = StoredSection(
            self.sections, layout.offset_bytes(self.sections), len(data), zlib.crc32(data)
        )
        self._write(stored.offset_bytes, data)
        self._count(image)
        self._write_header()
        return stored

    def read(self, section: int) -> NDArray[Any]:
        """Return an image that has been written, [y, x]."""
        self._file.seek(self._layout.offset_bytes(section))
        data = self._file.read(self._layout.section_bytes)
        return np.frombuffer(data, self._dtype).reshape(self._layout.shape)

    @property
    def is_in_place(self) -> bool:
        """False if the file was removed or replaced: what is written would be lost with it."""
        try:
            found = self.path.stat()  # by its path: that is where others look for it
        except FileNotFoundError:
            return False
        return os.path.samestat(os.fstat(self._file.fileno()), found)

    def copy_to(self, target: IO[bytes]) -> None:
        """Copy the whole file, also after its removal."""
        self._file.seek(0)
        shutil.copyfileobj(self._file, target)

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


def wrong_header(path: Path, layout: StackLayout) -> bytes | None:
    """Return the header of a stack if it contradicts `layout`, else None.

    `COUNTED_FIELDS` are not compared.
    """
    with open_to_read(path) as file:
        found = file.read(HEADER_BYTES)
    expected = _new_header(layout)
    if len(found) < HEADER_BYTES:
        return found
    header = np.frombuffer(found, expected.dtype, 1).reshape(()).copy()
    for name in COUNTED_FIELDS:
        header[name] = expected[name]
    return None if header.tobytes() == expected.tobytes() else found


def _new_header(layout: StackLayout) -> NDArray[np.void]:
    (rows, columns), pixel_nm = layout.shape, layout.pixel_nm
    header = np.zeros((), HEADER_DTYPE.newbyteorder("<"))
    header["nx"], header["ny"], header["mode"] = columns, rows, STORED_AS[layout.dtype]
    header["mx"], header["my"], header["mz"] = columns, rows, 1
    header["cella"] = (10 * pixel_nm * columns, 10 * pixel_nm * rows, 10 * pixel_nm)
    header["cellb"] = (90, 90, 90)
    header["mapc"], header["mapr"], header["maps"] = 1, 2, 3
    header["map"], header["machst"] = b"MAP ", (0x44, 0x44, 0, 0)
    header["nversion"], header["rms"] = 20140, -1  # rms not determined
    header["nlabl"] = 1
    header["label"][0] = b"dualtilt"
    return header
