"""Is a frame good enough to keep?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.hardware.interface import AcquisitionError, Frame
from controller.model.events import Level
from controller.model.frames import FrameVerdict
from controller.model.protocol import Quality
from controller.model.scan import ScanSettings


@dataclass(frozen=True)
class FrameJudgement:
    """What is thought of a frame, and why, in a phrase for the operator."""

    verdict: FrameVerdict
    reason: str = ""
    level: Level = Level.WARNING


GOOD = FrameJudgement(FrameVerdict.OK)


def judge(
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
        The frame, and the last one of the series, None for the first.
    quality
        Thresholds.
    distance_px, limit_px
        How far the object is from the middle (None: not looked for; infinite: lost), and how far
        it may be.
    """
    if not np.isfinite(pixels).all():
        return FrameJudgement(FrameVerdict.INVALID, "has pixels that are no numbers")
    if pixels.min() == pixels.max():
        return FrameJudgement(FrameVerdict.INVALID, "is blank")
    if previous is not None and np.array_equal(pixels, previous):
        reason = "repeats the frame before: is the detector stuck?"
        return FrameJudgement(FrameVerdict.INVALID, reason, Level.ALARM)
    if _share_at_full_scale(pixels) > quality.saturated_fraction:
        return FrameJudgement(
            FrameVerdict.SATURATED, f"{_share_at_full_scale(pixels):.1%} of pixels at full scale"
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
        return FrameJudgement(FrameVerdict.SHIFTED, f"shift {distance_px:.1f} px > {limit_px:.1f}")
    return GOOD


def check_delivery(
    frame: Frame, request_id: str, scan: ScanSettings, pixel_type: str | None
) -> None:
    """Drop a frame of another request, or one that the session's stacks could not take.

    Parameters
    ----------
    frame
        As the microscope gave it.
    request_id, scan
        What was asked for.
    pixel_type
        Of the frames before, as numpy names it; None for the first.

    Raises
    ------
    AcquisitionError
        It is not what was asked for.
    """
    if frame.info.request_id != request_id:
        raise AcquisitionError(
            f"asked for {request_id}, was given {frame.info.request_id}: dropped"
        )
    given = frame.pixels.shape, frame.pixels.dtype.name
    wanted = (scan.height_px, scan.width_px), pixel_type or frame.info.dtype
    if given != wanted:
        raise AcquisitionError(
            f"a frame of {given[0]} {given[1]} instead of {wanted[0]} {wanted[1]}: dropped"
        )


def _share_at_full_scale(pixels: NDArray[Any]) -> float:
    if not np.issubdtype(pixels.dtype, np.integer):
        return 0.0  # a float detector has no full scale to run into
    return float(np.mean(pixels >= np.iinfo(pixels.dtype).max))
