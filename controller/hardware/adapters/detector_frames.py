"""Detector counts to frames, and a buffer of recent frames."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.hardware.interface import AcquisitionError, Frame
from controller.model.scan import FrameInfo, ScanSettings
from controller.model.stage import StagePosition

FRAMES_KEPT = 16
"""Number of recent frames kept for a repeated request."""


def as_pixels(counts: NDArray[Any], scan: ScanSettings, pixel_type: str) -> NDArray[Any]:
    """Check the counts [y, x] against the scan and convert them, without loss, to `pixel_type`.

    Raises
    ------
    AcquisitionError
        If the size differs from the requested one, or a count does not fit the type.
    """
    wanted = (scan.height_px, scan.width_px)
    if counts.shape != wanted:
        raise AcquisitionError(f"the detector returned {counts.shape} pixels instead of {wanted}")
    limits = np.iinfo(pixel_type)
    low, high = counts.min(), counts.max()
    if not (limits.min <= low and high <= limits.max):
        raise AcquisitionError(
            f"counts from {low} to {high} do not fit {pixel_type}: set the detector's brightness "
            "and contrast, or pixel_type in the bridge's settings"
        )
    pixels = np.ascontiguousarray(counts, np.dtype(pixel_type).newbyteorder("<"))
    pixels.flags.writeable = False
    return pixels


def make_frame(
    request_id: str,
    pixels: NDArray[Any],
    scan: ScanSettings,
    stage: StagePosition,
    current_pA: float,
    started_s: float,
) -> Frame:
    """Return a frame of these pixels with its record."""
    info = FrameInfo(
        request_id=request_id,
        scan=scan,
        stage=stage,
        current_pA=current_pA,
        started_s=started_s,
        dose_e_per_A2=scan.dose_e_per_A2(current_pA),
        dtype=pixels.dtype.name,
        crc32=zlib.crc32(pixels.tobytes()),
    )
    return Frame(info, pixels)


class RecentFrames:
    """Recent frames, to be fetched again without a new exposure."""

    def __init__(self) -> None:
        self._frames: OrderedDict[str, Frame] = OrderedDict()

    def keep(self, frame: Frame) -> None:
        """Keep a frame and drop the oldest if there are too many."""
        self._frames[frame.info.request_id] = frame
        if len(self._frames) > FRAMES_KEPT:
            self._frames.popitem(last=False)

    def find(self, request_id: str) -> Frame:
        """Return a recent frame.

        Raises
        ------
        AcquisitionError
            If it was never recorded or is no longer kept.
        """
        frame = self._frames.get(request_id)
        if frame is None:
            raise AcquisitionError(
                f"frame {request_id!r} is not among the last {FRAMES_KEPT}: record it again"
            )
        return frame
