"""What alignment finds, and how it is taken out of the images."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from processing.images.intensity import background_levels
from processing.parallel import worker_threads
from processing.series import Bools, Float32, Float64, TiltSeries


@dataclass(frozen=True)
class Alignment:
    """Where each image really lies.

    A point at (u, y) of the aligned image, from its centre, shows in the raw image at
    column u cos a - y sin a + dx and row u sin a + y cos a + dy, from that image's centre;
    a is the tilt axis's angle and (dy, dx) the image's shift.

    Attributes
    ----------
    shifts_px
        [tilt, (y, x)].
    tilt_axis_deg
        In-plane angle of the tilt axis from +y towards -x.
    angles_deg
        [tilt], refined where the data allowed it.
    rejected
        bool [tilt]: images that fit no common object.
    residuals_px
        [tilt]: shift still left between the aligned image and its re-projection.
    """

    shifts_px: Float64
    tilt_axis_deg: float
    angles_deg: Float64
    rejected: Bools
    residuals_px: Float64

    @property
    def rms_px(self) -> float:
        """Root mean square of the residuals of the images in use."""
        kept = self.residuals_px[~self.rejected]
        return float(np.sqrt(np.mean(kept**2))) if kept.size else 0.0


def unaligned(series: TiltSeries) -> Alignment:
    """The series as it is."""
    return Alignment(
        shifts_px=np.zeros((series.tilts, 2)),
        tilt_axis_deg=series.tilt_axis_deg,
        angles_deg=np.asarray(series.angles_deg, np.float64),
        rejected=series.excluded.copy(),
        residuals_px=np.zeros(series.tilts),
    )


def in_raw_frame(shifts_px: Float64, tilt_axis_deg: float) -> Float64:
    """Turn shifts [tilt, (y, x)] seen in aligned images into those of the raw ones."""
    cos, sin = np.cos(np.deg2rad(tilt_axis_deg)), np.sin(np.deg2rad(tilt_axis_deg))
    dy, dx = shifts_px.T
    return np.stack([dx * sin + dy * cos, dx * cos - dy * sin], axis=1)


def apply_alignment(series: TiltSeries, alignment: Alignment) -> TiltSeries:
    """Move every raw image to where it belongs, in one cubic interpolation.

    Rejected images stay in place and are marked excluded; what comes in from outside has the
    background's level.
    """
    images = filled(series.images)
    levels = background_levels(images)
    moved = np.empty_like(images)

    def move(tilt: int) -> None:
        moved[tilt] = _moved(
            images[tilt], alignment.shifts_px[tilt], alignment.tilt_axis_deg, levels[tilt]
        )

    with ThreadPoolExecutor(worker_threads()) as pool:
        for _ in pool.map(move, range(series.tilts)):
            pass
    return replace(
        series,
        images=moved,
        angles_deg=alignment.angles_deg,
        excluded=series.excluded | alignment.rejected,
        tilt_axis_deg=0.0,
    )


def filled(images: Float32) -> Float32:
    """Images [tilt, y, x] with their image's median in place of what is not finite."""
    finite = np.isfinite(images)
    if finite.all():
        return images
    whole = images.copy()
    for image, good in zip(whole, finite, strict=True):
        image[~good] = np.median(image[good]) if good.any() else 0.0
    return whole


def _moved(image: Float32, shift_px: Float64, axis_deg: float, level: float) -> Float32:
    cos, sin = np.cos(np.deg2rad(axis_deg)), np.sin(np.deg2rad(axis_deg))
    turn = np.array([[cos, sin], [-sin, cos]])
    centre = (np.array(image.shape) - 1) / 2
    offset = centre + shift_px - turn @ centre
    result: Float32 = ndimage.affine_transform(
        image, turn, offset, order=3, mode="constant", cval=level
    )
    return result
