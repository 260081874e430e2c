"""Judge whether a frame is good enough to keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.hardware.interface import AcquisitionError, Frame
from controller.model.events import Level
from controller.model.frames import FrameVerdict
from controller.model.scan import ScanSettings
from controller.model.sections.recording import Quality


@dataclass(frozen=True)
class FrameJudgement:
    """Verdict on a frame, its reason in a phrase for the operator, and the level of the alert."""

    verdict: FrameVerdict
    reason: str = ""
    level: Level = Level.WARNING


PIXEL_TOLERANCE = 0.05
"""Largest relative difference between the pixel size of a frame and the requested one."""
GOOD = FrameJudgement(FrameVerdict.OK)


def judge_frame(
    pixels: NDArray[Any],
    previous: NDArray[Any] | None,
    quality: Quality,
    distance_px: float | None,
    limit_px: float,
) -> FrameJudgement:
    """Judge a frame [y, x] against the one kept before it.

    Parameters
    ----------
    pixels, previous
        The frame, and the last one kept in the series; None for the first.
    quality
        Thresholds.
    distance_px, limit_px
        Distance of the object from the image centre (None: not measured; infinite: lost), and the
        largest allowed.
    """
    if not np.isfinite(pixels).all():
        return FrameJudgement(FrameVerdict.INVALID, "has pixels that are not finite numbers")
    if pixels.min() == pixels.max():
        return FrameJudgement(FrameVerdict.INVALID, "is blank")
    if previous is not None and np.array_equal(pixels, previous):
        reason = "repeats the frame before: is the detector stuck?"
        return FrameJudgement(FrameVerdict.INVALID, reason, Level.ALARM)
    if _saturated_fraction(pixels) > quality.saturated_fraction:
        return FrameJudgement(
            FrameVerdict.SATURATED, f"{_saturated_fraction(pixels):.1%} of pixels at full scale"
        )
    if previous is not None:
        share = float(pixels.mean()) / max(float(previous.mean()), 1e-9)
        if share < quality.dim_fraction:
            return FrameJudgement(
                FrameVerdict.DIM, f"has {share:.0%} of the signal of the frame before"
            )
    if distance_px is not None and distance_px > limit_px:
        if np.isinf(distance_px):
            return FrameJudgement(FrameVerdict.SHIFTED, "does not show the object")
        reason = f"is off the centre by {distance_px:.1f} px, limit {limit_px:.1f}"
        return FrameJudgement(FrameVerdict.SHIFTED, reason)
    return GOOD


def check_delivery(
    frame: Frame, request_id: str, scan: ScanSettings, pixel_type: str | None
) -> None:
    """Refuse a frame of another request, or one that does not fit into the session's stacks.

    Parameters
    ----------
    frame
        Frame as delivered by the microscope.
    request_id, scan
        Request that the frame must belong to.
    pixel_type
        Pixel type of the frames before, as numpy names it; None for the first.

    Raises
    ------
    AcquisitionError
        The frame does not belong to the request, or has another size, pixel size or pixel type.
    """
    if frame.info.request_id != request_id:
        raise AcquisitionError(
            f"requested frame {request_id}, received {frame.info.request_id}: dropped"
        )
    given = frame.pixels.shape, frame.pixels.dtype.name
    wanted = (scan.height_px, scan.width_px), pixel_type or frame.info.dtype
    if given != wanted:
        raise AcquisitionError(
            f"a frame of {given[0]} {given[1]} instead of {wanted[0]} {wanted[1]}: dropped"
        )
    pixel_nm = frame.info.scan.pixel_nm
    if abs(pixel_nm - scan.pixel_nm) > PIXEL_TOLERANCE * scan.pixel_nm:
        raise AcquisitionError(
            f"a frame with pixels of {pixel_nm:.4g} nm instead of {scan.pixel_nm:.4g}: dropped"
        )


def _saturated_fraction(pixels: NDArray[Any]) -> float:
    if not np.issubdtype(pixels.dtype, np.integer):
        return 0.0  # a float detector has no full scale
    return float(np.mean(pixels >= np.iinfo(pixels.dtype).max))
