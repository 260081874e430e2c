"""Images of a session's stack, compared with the checksums that its journal recorded."""

from __future__ import annotations

import shlex
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import BaseModel, Field, ValidationError

from processing.errors import InputFileError
from processing.files.held_folder import open_to_read
from processing.results import SeriesName
from processing.series import Bools

JOURNAL = "journal.jsonl"
LONGEST_JOURNAL_BYTES = 1 << 28
BYTES_OF = {"uint16": 2, "int16": 2, "float32": 4}
"""Size of a pixel by its type."""


class _Scan(BaseModel):
    width_px: int
    height_px: int


class _Info(BaseModel):
    scan: _Scan
    dtype: Literal["uint16", "int16", "float32"]


class _Frame(BaseModel):
    """The part of a frame's entry that is needed here."""

    series: str
    section: int
    offset: int = Field(ge=0)
    crc32: int
    info: _Info


class _Line(BaseModel):
    entry: _Frame


def require_recorded_images(stack: Path, series: SeriesName, excluded: Bools) -> None:
    """Check that the images of a session's stack are those that were recorded.

    A stack without a journal beside it is not checked, nor is one that was compressed or renamed.

    Parameters
    ----------
    excluded
        [image], true for images that are left out anyway.

    Raises
    ------
    InputFileError
        An image differs: bytes of the file were changed, inserted or removed.
    OSError
        A file cannot be read.
    """
    journal = stack.with_name(JOURNAL)
    if stack.name != f"{series}.mrc" or not journal.is_file():
        return
    frames = {frame.section: frame for frame in _frames(journal) if frame.series == series}
    with open_to_read(stack) as file:
        changed = [
            section
            for section, frame in sorted(frames.items())
            if section < len(excluded) and not excluded[section]
            if _crc32(file, frame) != frame.crc32
        ]
    if changed:
        raise InputFileError(
            f"{stack}: {len(changed)} of {len(frames)} images differ from what was recorded, the "
            f"first is section {changed[0]}; dualtilt resume {shlex.quote(str(stack.parent))} "
            "restores what it can and marks the rest"
        )


def _frames(journal: Path) -> Iterator[_Frame]:
    with open_to_read(journal) as file:
        lines = file.read(LONGEST_JOURNAL_BYTES).splitlines()
    for line in lines:
        if b'"frame-written"' in line:
            try:
                yield _Line.model_validate_json(line).entry
            except ValidationError:
                continue  # damaged: a resume says so


def _crc32(stack: BinaryIO, frame: _Frame) -> int:
    scan = frame.info.scan
    stack.seek(frame.offset)
    return zlib.crc32(stack.read(scan.width_px * scan.height_px * BYTES_OF[frame.info.dtype]))
