"""Move the frames of a stack back to their places after bytes were inserted or removed.

The journal knows place and checksum of every frame. Where the file is longer or shorter than the
journal says, the frames behind the change are found by their checksums at the shifted place. A
frame that was torn apart by inserted bytes is joined again where its checksum confirms it.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from controller.session.entries import FrameWritten
from controller.session.folder import SessionFolder
from controller.session.quarantine import CHUNK_BYTES, quarantine_tail
from processing.files.atomic import replace_file
from processing.files.held_folder import open_to_read
from processing.files.mrc_writer import HEADER_BYTES

LARGEST_JOIN_BYTES = 1 << 20
"""Most inserted bytes within a frame that is joined again: by chance, one of its many possible
joins has the right checksum once in hundreds of large frames."""
_MASK = 0xFFFFFFFF
Spans = tuple[tuple[int, int], ...]
"""Bytes of one frame in the changed file: one (start, stop), or two to be joined."""


@dataclass(frozen=True)
class Place:
    """Where one frame is in the changed file."""

    frame: FrameWritten
    spans: Spans


def realign(
    folder: SessionFolder, path: Path, frames: Sequence[FrameWritten], size_bytes: int
) -> list[str]:
    """Write a stack again with its frames in their places; the changed file goes into quarantine.

    Parameters
    ----------
    frames
        All acknowledged frames of the stack, of which some differ from what was recorded.
    size_bytes
        Size of one frame.

    Returns
    -------
    list of str
        One line about the repair; empty if no frame was found at another place.
    """
    end = frames[-1].offset + size_bytes
    excess = path.stat().st_size - end
    with open_to_read(path) as stack:
        for shift in _shifts(excess, size_bytes):
            places = _places(stack, frames, size_bytes, shift)
            moved = sum(place.spans != _own(place.frame, size_bytes) for place in places)
            if moved:
                break
        else:
            return []
        kept = quarantine_tail(folder, f"{path.stem}-stack", path, 0)
        with replace_file(path) as partial, partial.open("wb") as restored:
            _copy(stack, (0, HEADER_BYTES), restored)
            for place in places:
                for span in place.spans:
                    _copy(stack, span, restored)
    change = "inserted" if shift > 0 else "removed"
    return [
        f"{path.name}: {abs(shift)} bytes had been {change}; {moved} of {len(frames)} frames were "
        f"moved back to their places (the changed file is kept in {kept})"
    ]


def _shifts(excess: int, size_bytes: int) -> Iterator[int]:
    """Yield the shifts that the length of the file allows, the likelier first."""
    if excess != 0:
        yield excess
    if excess > 0 and excess != size_bytes:  # a whole frame that was not acknowledged follows
        yield excess - size_bytes


def _places(
    stack: BinaryIO, frames: Sequence[FrameWritten], size_bytes: int, shift: int
) -> list[Place]:
    """Find each frame at its own place, shifted, or torn apart; else leave it where it was."""
    places: list[Place] = []
    behind_is_shifted = 0 < shift <= LARGEST_JOIN_BYTES
    for frame in reversed(frames):
        own, shifted = _own(frame, size_bytes), _own(frame, size_bytes, shift)
        spans = own
        if _crc32(stack, own) != frame.crc32:
            if _crc32(stack, shifted) == frame.crc32:
                spans = shifted
            elif behind_is_shifted and (joined := _joined(stack, frame, size_bytes, shift)):
                spans = joined
        places.append(Place(frame, spans))
        behind_is_shifted = spans == shifted and 0 < shift <= LARGEST_JOIN_BYTES
    return places[::-1]


def _own(frame: FrameWritten, size_bytes: int, shift: int = 0) -> Spans:
    start = max(0, frame.offset + shift)
    return ((start, start + size_bytes),)


def _crc32(stack: BinaryIO, spans: Spans) -> int:
    crc32 = 0
    for start, stop in spans:
        stack.seek(start)
        crc32 = zlib.crc32(stack.read(stop - start), crc32)
    return crc32


def _joined(stack: BinaryIO, frame: FrameWritten, size_bytes: int, shift: int) -> Spans | None:
    """Return both parts of a frame into which bytes were inserted."""
    stack.seek(frame.offset)
    content = stack.read(size_bytes + shift)
    if len(content) < size_bytes + shift:
        return None
    length = join_after(content[:size_bytes], content[shift:], frame.crc32)
    if length is None:
        return None
    first = (frame.offset, frame.offset + length)
    return first, (first[1] + shift, frame.offset + size_bytes + shift)


def join_after(before: bytes, after: bytes, crc32: int) -> int | None:
    """Return the length n for which ``before[:n] + after[n:]`` has a checksum, None without one.

    The checksum is run forward through `before` and backward through `after`. The bytes join where
    both meet.
    """
    table = [zlib.crc32(bytes([index]), _MASK) ^ _MASK for index in range(256)]
    by_top = {entry >> 24: (index, entry) for index, entry in enumerate(table)}
    needed = array("I", bytes(4 * (len(after) + 1)))
    register = crc32 ^ _MASK
    needed[len(after)] = register
    for place in range(len(after) - 1, -1, -1):
        index, entry = by_top[register >> 24]
        register = ((register ^ entry) << 8 & _MASK) | (index ^ after[place])
        needed[place] = register
    reached = 0
    for place in range(len(before) + 1):
        if needed[place] == reached ^ _MASK:
            return place
        reached = zlib.crc32(before[place : place + 1], reached)
    return None


def _copy(stack: BinaryIO, span: tuple[int, int], restored: IO[bytes]) -> None:
    """Copy a span; bytes beyond the end of the file are zeros."""
    start, stop = span
    stack.seek(start)
    while start < stop:
        chunk = stack.read(min(CHUNK_BYTES, stop - start))
        if not chunk:
            chunk = bytes(min(CHUNK_BYTES, stop - start))
        restored.write(chunk)
        start += len(chunk)
