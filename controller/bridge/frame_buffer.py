"""Recent frames, kept at the bridge so that a transfer can be repeated without a new dose."""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.hardware.interface import AcquisitionError, Frame
from controller.model.scan import FrameInfo

PIXEL_TYPES = ("uint16", "int16", "float32")
BUFFER_BYTES = 256 << 20
"""Frames beyond this are dropped, the oldest first; the newest always stays."""


@dataclass(frozen=True)
class StoredFrame:
    """A frame as bytes: C order, little endian."""

    info: FrameInfo
    data: memoryview


def pixel_type(dtype: str) -> np.dtype[np.generic]:
    """Return the little-endian numpy type of a frame.

    Raises
    ------
    AcquisitionError
        If frames may not have it.
    """
    if dtype not in PIXEL_TYPES:
        raise AcquisitionError(f"frame of {dtype} pixels: one of {', '.join(PIXEL_TYPES)} expected")
    return np.dtype(dtype).newbyteorder("<")


def as_bytes(pixels: NDArray[np.generic]) -> memoryview:
    """Return the bytes of C-contiguous pixels in place, without a copy."""
    return pixels.reshape(-1).view(np.uint8).data


def store(frame: Frame) -> StoredFrame:
    """Turn a frame into bytes.

    Raises
    ------
    AcquisitionError
        If its pixels are not what its record says.
    """
    info = frame.info
    shape = (info.scan.height_px, info.scan.width_px)
    if frame.pixels.shape != shape or frame.pixels.dtype.name != info.dtype:
        raise AcquisitionError(
            f"detector gave {frame.pixels.shape} {frame.pixels.dtype.name}, "
            f"{shape} {info.dtype} expected"
        )
    pixels = np.ascontiguousarray(frame.pixels, dtype=pixel_type(info.dtype))
    return StoredFrame(info, as_bytes(pixels))


def empty_pixels(info: FrameInfo) -> NDArray[np.generic]:
    """Return room for the pixels of a frame, [y, x], little endian."""
    return np.empty((info.scan.height_px, info.scan.width_px), dtype=pixel_type(info.dtype))


def intact(info: FrameInfo, pixels: NDArray[np.generic]) -> bool:
    """Tell whether `pixels` are the bytes the detector gave."""
    return zlib.crc32(as_bytes(pixels)) == info.crc32


class FrameBuffer:
    """The last frames by id; safe to use from several threads."""

    def __init__(self, capacity_bytes: int = BUFFER_BYTES) -> None:
        self._capacity_bytes = capacity_bytes
        self._lock = threading.Lock()
        self._frames: OrderedDict[str, StoredFrame] = OrderedDict()

    def put(self, frame: StoredFrame) -> None:
        """Keep `frame`, dropping the oldest ones where room is needed."""
        with self._lock:
            self._frames[frame.info.request_id] = frame
            while len(self._frames) > 1 and self._held_bytes() > self._capacity_bytes:
                self._frames.popitem(last=False)

    def get(self, request_id: str) -> StoredFrame | None:
        """Return the frame if it is still here."""
        with self._lock:
            return self._frames.get(request_id)

    def _held_bytes(self) -> int:
        return sum(len(frame.data) for frame in self._frames.values())
