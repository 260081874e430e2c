"""Result of tilt alignment, and its application to the images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from processing.images.intensity import background_levels
from processing.parallel import each_in_threads
from processing.series import Bools, Float32, Float64, TiltSeries


@dataclass(frozen=True)
class Alignment:
    """Shifts and tilt axis that map the aligned images onto the raw ones.

    The point (u, y) of the aligned image is at column u cos a - y sin a + dx and row
    u sin a + y cos a + dy of the raw image. Both positions are measured from the image's centre;
    a is the angle of the tilt axis and (dy, dx) the image's shift.

    Attributes
    ----------
    shifts_px
        [tilt, (y, x)].
    tilt_axis_deg
        In-plane angle of the tilt axis from +y towards -x.
    angles_deg
        [tilt].
    rejected
        bool [tilt]: images that do not fit the object of the others.
    residuals_px
        [tilt]: remaining shift between the aligned image and its re-projection.
    """

    shifts_px: Float64
    tilt_axis_deg: float
    angles_deg: Float64
    rejected: Bools
    residuals_px: Float64

    @property
    def rms_px(self) -> float:
        """Root mean square residual of the images in use."""
        kept = self.residuals_px[~self.rejected]
        return float(np.sqrt(np.mean(kept**2))) if kept.size else 0.0


def unaligned(series: TiltSeries) -> Alignment:
    """Return an alignment without shifts, at the series' own tilt axis."""
    return Alignment(
        shifts_px=np.zeros((series.tilts, 2)),
        tilt_axis_deg=series.tilt_axis_deg,
        angles_deg=np.asarray(series.angles_deg, np.float64),
        rejected=series.excluded.copy(),
        residuals_px=np.zeros(series.tilts),
    )


def in_raw_frame(shifts_px: Float64, tilt_axis_deg: float) -> Float64:
    """Rotate shifts [tilt, (y, x)] from the frame of the aligned images to that of the raw ones."""
    cos, sin = np.cos(np.deg2rad(tilt_axis_deg)), np.sin(np.deg2rad(tilt_axis_deg))
    dy, dx = shifts_px.T
    return np.stack([dx * sin + dy * cos, dx * cos - dy * sin], axis=1)


def apply_alignment(series: TiltSeries, alignment: Alignment) -> TiltSeries:
    """Shift and rotate every raw image in one cubic interpolation.

    Rejected images are kept and marked excluded. Pixels from outside the raw image get its
    background level. Afterwards the tilt axis is along y.
    """
    images = fill_non_finite(series.images)
    levels = background_levels(images)
    moved = np.empty_like(images)

    def move(tilt: int) -> None:
        moved[tilt] = _move_image(
            images[tilt], alignment.shifts_px[tilt], alignment.tilt_axis_deg, levels[tilt]
        )

    each_in_threads(move, range(series.tilts))
    known = series.known
    if known is not None:
        axis_deg = alignment.tilt_axis_deg
        pairs = zip(known, alignment.shifts_px, strict=True)
        known = np.stack([_move_image(*pair, axis_deg, 1.0, order=1) for pair in pairs])
    return replace(
        series,
        images=moved,
        known=known,
        angles_deg=alignment.angles_deg,
        excluded=series.excluded | alignment.rejected,
        tilt_axis_deg=0.0,
    )


def fill_non_finite(images: Float32) -> Float32:
    """Replace non-finite pixels of images [tilt, y, x] by the median of their image."""
    finite = np.isfinite(images)
    if finite.all():
        return images
    filled = images.copy()
    for image, good in zip(filled, finite, strict=True):
        image[~good] = np.median(image[good]) if good.any() else 0.0
    return filled


def _move_image(
    image: Float32, shift_px: Float64, axis_deg: float, level: float, *, order: int = 3
) -> Float32:
    cos, sin = np.cos(np.deg2rad(axis_deg)), np.sin(np.deg2rad(axis_deg))
    rotation = np.array([[cos, sin], [-sin, cos]])
    centre = (np.array(image.shape) - 1) / 2
    offset = centre + shift_px - rotation @ centre
    result: Float32 = ndimage.affine_transform(
        image, rotation, offset, order=order, mode="constant", cval=level
    )
    return result
