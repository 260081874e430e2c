"""Working grid of an image, and points drawn on it.

Points are drawn with quintic B-splines, whose spectrum is divided out later; the position error is
far below a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from scipy.interpolate import BSpline, PPoly
from scipy.sparse import csc_array

from controller.model.scan import ScanSettings

Array = NDArray[np.float64]
Single = NDArray[np.float32]

MARGIN_NM = 16.0
"""Margin around the field: particles in it are drawn too, and it prevents wrap-around."""
MAX_SIDE_PX = 1536
"""Largest side of the working grid without margin; a survey map needs no finer pixels."""
SPLINE_DEGREE = 5


@dataclass(frozen=True)
class Raster:
    """Working grid: the pixels of the scan, refined by a whole number and padded on all sides."""

    height: int
    width: int
    pixel_nm: float
    refinement: int
    origin_u_nm: float
    origin_v_nm: float
    """Origin: position of pixel [0, 0]. The centre of the field is (0, 0)."""

    @classmethod
    def for_scan(cls, scan: ScanSettings, max_pixel_nm: float) -> Raster:
        """Refine `scan` to pixels of at most `max_pixel_nm`, within `MAX_SIDE_PX`, and pad it."""
        max_refinement = max(1, MAX_SIDE_PX // max(scan.width_px, scan.height_px))
        refinement = min(max_refinement, int(np.ceil(scan.pixel_nm / max_pixel_nm)))
        pixel_nm = scan.pixel_nm / refinement
        margin = int(np.ceil(MARGIN_NM / pixel_nm))
        return cls(
            height=next_fast_len(scan.height_px * refinement + 2 * margin, real=True),
            width=next_fast_len(scan.width_px * refinement + 2 * margin, real=True),
            pixel_nm=pixel_nm,
            refinement=refinement,
            origin_u_nm=-(scan.width_px - 1) / 2.0 * scan.pixel_nm - margin * pixel_nm,
            origin_v_nm=-(scan.height_px - 1) / 2.0 * scan.pixel_nm - margin * pixel_nm,
        )

    def crop_to_scan(self, image: Single, scan: ScanSettings) -> Single:
        """Return the pixels of the scan from an image on this grid."""
        margin = int(np.ceil(MARGIN_NM / self.pixel_nm))
        step = self.refinement
        return image[
            margin : margin + scan.height_px * step : step,
            margin : margin + scan.width_px * step : step,
        ]


def spline_matrix(centres_nm: Array, raster: Raster) -> csc_array:
    """Return the matrix [pixel, point] that draws points as quintic B-splines."""
    columns, across = _spline_weights((centres_nm[:, 0] - raster.origin_u_nm) / raster.pixel_nm)
    rows, along = _spline_weights((centres_nm[:, 1] - raster.origin_v_nm) / raster.pixel_nm)
    pixels = rows[:, :, None] * raster.width + columns[:, None, :]
    values = along[:, :, None] * across[:, None, :]
    point_starts = np.arange(0, pixels.size + 1, pixels[0].size)
    return csc_array(
        (values.ravel(), pixels.ravel(), point_starts),
        shape=(raster.height * raster.width, len(centres_nm)),
    )


def _spline_weights(position: Array) -> tuple[NDArray[np.int32], Single]:
    """Return the pixels [n, 6] under a quintic B-spline at `position` [n], and its values there."""
    whole = np.floor(position)
    offsets = np.arange(SPLINE_DEGREE + 1, dtype=np.int32)
    pixels: NDArray[np.int32] = whole.astype(np.int32)[:, None] - SPLINE_DEGREE // 2 + offsets
    powers = np.vander(position - whole, SPLINE_DEGREE + 1)
    return pixels, (powers @ _spline_polynomials()).astype(np.float32)


@cache
def _spline_polynomials() -> Array:
    """Return the spline's coefficients [power, pixel] under each pixel, highest power first."""
    spline = BSpline.basis_element(np.arange(SPLINE_DEGREE + 2))
    pieces = PPoly.from_spline(spline).c[:, SPLINE_DEGREE : 2 * SPLINE_DEGREE + 1]
    return np.asarray(pieces[:, ::-1])  # the last piece lies under the first pixel
