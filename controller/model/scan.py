"""HAADF scans: settings, time and dose of a frame, and the record kept with its pixels."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from controller.model.base import Data, NotNegative, Positive, RequestId, Settings
from controller.model.stage import StagePosition

ELEMENTARY_CHARGE_C = 1.602176634e-19
FLYBACK_FRACTION = 0.2
"""Flyback time as a fraction of the exposure time; added to dwell time x pixels."""


def along_stage(position_nm: tuple[float, float], tilt_axis_deg: float) -> tuple[float, float]:
    """Return a distance (x, y) in the image along the stage's axes: across and along the tilt axis.

    Parameters
    ----------
    tilt_axis_deg
        Direction of the tilt axis in the image, from +y towards -x.
    """
    x_nm, y_nm = position_nm
    cos, sin = math.cos(math.radians(tilt_axis_deg)), math.sin(math.radians(tilt_axis_deg))
    return x_nm * cos + y_nm * sin, y_nm * cos - x_nm * sin


class ScanSettings(Settings):
    """Scan of one HAADF frame."""

    width_px: Annotated[int, Field(ge=16, le=8192)]
    """Width of the frame (pixels)."""
    height_px: Annotated[int, Field(ge=16, le=8192)]
    """Height of the frame (pixels)."""
    pixel_nm: Positive
    """Pixel size (nm)."""
    dwell_us: Positive
    """Dwell time per pixel (µs)."""

    @property
    def exposure_s(self) -> float:
        """Time during which the specimen is exposed, without flyback (s)."""
        return self.width_px * self.height_px * self.dwell_us * 1e-6

    @property
    def frame_time_s(self) -> float:
        """Time from the first to the last pixel, with flyback (s)."""
        return self.exposure_s * (1.0 + FLYBACK_FRACTION)

    def dose_e_per_A2(self, current_pA: float) -> float:
        """Return the dose of one frame at `current_pA`, in electrons per square angstrom."""
        electrons = current_pA * 1e-12 * self.dwell_us * 1e-6 / ELEMENTARY_CHARGE_C
        return electrons / (self.pixel_nm * 10.0) ** 2


class FrameInfo(Data):
    """Record of one frame, without its pixels."""

    request_id: RequestId
    """The request id of the exposure that made it."""
    scan: ScanSettings
    stage: StagePosition
    """Stage position reported during the exposure; the mean of before and after where the stage
    tilted meanwhile."""
    current_pA: NotNegative
    started_s: NotNegative
    """Microscope clock at the first pixel."""
    dose_e_per_A2: NotNegative
    dtype: str
    """numpy name of the pixel type: uint16, int16 or float32."""
    crc32: Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
    """zlib.crc32 of the pixels' bytes, C order, little endian."""


def shower_dose_e_per_A2(current_pA: float, duration_s: float, field_nm: float) -> float:
    """Return the dose on a square of side `field_nm` after `duration_s`, in e/A^2."""
    return current_pA * 1e-12 * duration_s / ELEMENTARY_CHARGE_C / (field_nm * 10.0) ** 2
