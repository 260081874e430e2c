"""Recent frames, kept by the bridge so that a transfer can be repeated without a new exposure."""

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
"""Size of the buffer. The oldest frames beyond it are dropped; the newest is always kept."""


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
        If it is not one of `PIXEL_TYPES`.
    """
    if dtype not in PIXEL_TYPES:
        raise AcquisitionError(f"frame of {dtype} pixels; the types are {', '.join(PIXEL_TYPES)}")
    return np.dtype(dtype).newbyteorder("<")


def as_bytes(pixels: NDArray[np.generic]) -> memoryview:
    """Return the bytes of C-contiguous pixels, without a copy."""
    return pixels.reshape(-1).view(np.uint8).data


def encode(frame: Frame) -> StoredFrame:
    """Convert a frame to bytes.

    Raises
    ------
    AcquisitionError
        If its pixels do not match its record.
    """
    info = frame.info
    shape = (info.scan.height_px, info.scan.width_px)
    if frame.pixels.shape != shape or frame.pixels.dtype.name != info.dtype:
        raise AcquisitionError(
            f"the detector returned {frame.pixels.shape} {frame.pixels.dtype.name} instead of "
            f"{shape} {info.dtype}"
        )
    pixels = np.ascontiguousarray(frame.pixels, dtype=pixel_type(info.dtype))
    return StoredFrame(info, as_bytes(pixels))


def empty_pixels(info: FrameInfo) -> NDArray[np.generic]:
    """Return an empty array for the pixels of a frame, [y, x], little endian."""
    return np.empty((info.scan.height_px, info.scan.width_px), dtype=pixel_type(info.dtype))


def checksum_matches(info: FrameInfo, pixels: NDArray[np.generic]) -> bool:
    """Tell whether the checksum of `pixels` is the one in the frame's record."""
    return zlib.crc32(as_bytes(pixels)) == info.crc32


class FrameBuffer:
    """Recent frames by request id; may be used from several threads."""

    def __init__(self, capacity_bytes: int = BUFFER_BYTES) -> None:
        self._capacity_bytes = capacity_bytes
        self._lock = threading.Lock()
        self._frames: OrderedDict[str, StoredFrame] = OrderedDict()

    def put(self, frame: StoredFrame) -> None:
        """Keep `frame`; drop the oldest frames if the buffer is full."""
        with self._lock:
            self._frames[frame.info.request_id] = frame
            while len(self._frames) > 1 and self._held_bytes() > self._capacity_bytes:
                self._frames.popitem(last=False)

    def get(self, request_id: str) -> StoredFrame | None:
        """Return the frame, or None if it is no longer kept."""
        with self._lock:
            return self._frames.get(request_id)

    def _held_bytes(self) -> int:
        return sum(len(frame.data) for frame in self._frames.values())
