"""Images of a session's stack, compared with what its journal recorded."""

from __future__ import annotations

import shlex
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import BaseModel, Field, ValidationError

from processing.errors import InputFileError
from processing.files.held_folder import open_to_read
from processing.series import Bools

JOURNAL = "journal.jsonl"
LONGEST_JOURNAL_BYTES = 1 << 28
STACKS = ("A.mrc", "B.mrc")
"""Names of the stacks that a session records."""
BYTES_OF = {"uint16": 2, "int16": 2, "float32": 4}
"""Size of a pixel by its type."""


class _Scan(BaseModel):
    width_px: int
    height_px: int


class _Info(BaseModel):
    scan: _Scan
    dtype: Literal["uint16", "int16", "float32"]


class JournaledFrame(BaseModel):
    """The part of a frame's entry that is needed here."""

    series: str
    section: int
    """Place in the stack, from 0."""
    tilt_number: int
    """Number of the tilt in the plan, from 1."""
    nominal_deg: float
    offset: int = Field(ge=0)
    crc32: int
    info: _Info

    @property
    def name(self) -> str:
        """Name of the tilt for people: ``A#12``."""
        return f"{self.series}#{self.tilt_number}"

    @property
    def end_bytes(self) -> int:
        """Place in the file behind the image."""
        scan = self.info.scan
        return self.offset + scan.width_px * scan.height_px * BYTES_OF[self.info.dtype]


class _Line(BaseModel):
    entry: JournaledFrame


def journaled_frames(stack: Path) -> dict[int, JournaledFrame]:
    """Return the frames of a session's stack by section.

    There are none for a stack without a journal beside it, or one that was compressed or renamed.

    Raises
    ------
    OSError
        The journal cannot be read.
    """
    if not _is_recorded(stack):
        return {}
    frames = _frames(stack.with_name(JOURNAL))
    return {frame.section: frame for frame in frames if frame.series == stack.stem}


def _is_recorded(stack: Path) -> bool:
    """Tell whether a stack stands in the folder of its session."""
    return stack.name in STACKS and stack.with_name(JOURNAL).is_file()


def require_recorded_images(stack: Path, excluded: Bools) -> None:
    """Check that the images of a session's stack are those that were recorded.

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
    frames = journaled_frames(stack)
    if not frames:
        return
    with open_to_read(stack) as file:
        changed = [
            frame
            for section, frame in sorted(frames.items())
            if section < len(excluded) and not excluded[section]
            if _crc32(file, frame) != frame.crc32
        ]
    if changed:
        raise InputFileError(
            f"{stack}: {len(changed)} of {len(frames)} images differ from what was recorded, the "
            f"first is {changed[0].name}; {_resume(stack)} restores what it can and marks the rest"
        )


def unchecked_images(stack: Path, frames: Mapping[int, JournaledFrame], images: int) -> list[str]:
    """Say how many of the images of a session its journal does not know, if any."""
    unknown = sum(section not in frames for section in range(images))
    if not unknown or not _is_recorded(stack):
        return []
    return [
        f"{unknown} of {images} images have no good line in {JOURNAL}, and are not compared with "
        f"what was recorded; {_resume(stack)} says how to restore the journal"
    ]


def require_whole_image(stack: Path, frames: Mapping[int, JournaledFrame]) -> None:
    """Check that a session's stack holds a whole image at least.

    Raises
    ------
    InputFileError
        It holds none: it was cut off within the first.
    """
    if frames and stack.stat().st_size < min(frame.end_bytes for frame in frames.values()):
        raise InputFileError(
            f"{stack}: cut off: none of its {len(frames)} images is left; "
            f"{_resume(stack)} --retake-damaged records them again"
        )


def missing_images(
    stack: Path, frames: Mapping[int, JournaledFrame], images: int, excluded: Bools
) -> list[str]:
    """Say which recorded images are missing behind the first ones of a stack, if any.

    Parameters
    ----------
    images
        Number of images that are read.
    excluded
        [image], true for images that would be left out anyway.
    """
    behind = [
        frame
        for section, frame in sorted(frames.items())
        if section >= images and not (section < len(excluded) and excluded[section])
    ]
    size = stack.stat().st_size
    lost = [frame for frame in behind if frame.end_bytes > size]
    unlisted = [frame for frame in behind if frame.end_bytes <= size]
    notes = []
    if lost:
        notes.append(
            f"{stack.name} was cut off: {_listed(lost)} missing; {_resume(stack)} "
            "--retake-damaged records again what can be recorded"
        )
    if unlisted:
        notes.append(
            f"{stack.name}: {_listed(unlisted)} not in its mdoc yet, and left out; "
            f"{_resume(stack)} completes the mdoc"
        )
    return notes


def _listed(frames: Sequence[JournaledFrame]) -> str:
    """Return the names and angles of one tilt, or of the first and the last of several."""
    first, last = frames[0], frames[-1]
    if len(frames) == 1:
        return f"{first.name} ({first.nominal_deg:+g} degrees) is"
    return (
        f"{len(frames)} images, {first.name} ({first.nominal_deg:+g} degrees) to "
        f"{last.name} ({last.nominal_deg:+g} degrees), are"
    )


def _resume(stack: Path) -> str:
    return f"dualtilt resume {shlex.quote(str(stack.parent))}"


def _frames(journal: Path) -> Iterator[JournaledFrame]:
    with open_to_read(journal) as file:
        lines = file.read(LONGEST_JOURNAL_BYTES).splitlines()
    for line in lines:
        if b'"frame-written"' in line:
            try:
                yield _Line.model_validate_json(line).entry
            except ValidationError:
                continue  # damaged: a resume says so


def _crc32(stack: BinaryIO, frame: JournaledFrame) -> int:
    stack.seek(frame.offset)
    return zlib.crc32(stack.read(frame.end_bytes - frame.offset))
