"""Does an image show the flipped object, or the same side up? Over every in-plane angle.

At 0 degrees a flipped grid shows the mirror image of before, turned by the unknown angle at which
it was put back; a grid only turned shows the image itself, turned. Outlines tell nothing of round
assemblies, so images are compared at the particles' scale, 0.9 to 3.6 nm: there the two
hypotheses differ even for ordered assemblies, while coarser bands confuse them. The holder seats
the grid a degree or two off, which at that scale is another view: hence several images of A.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from processing.errors import ProcessingError
from processing.series import Float32, Float64

FINE_NM, COARSE_NM = 0.9, 3.6
"""Standard deviations of the Gaussians that bound the band."""
COARSE_STEP_DEG, FINE_STEP_DEG = 2.0, 0.5
REACH = 0.25
"""How far from the middle the object may be, as a share of the field of view."""


@dataclass(frozen=True)
class FlipMatch:
    """How well an image fits either hypothesis.

    Attributes
    ----------
    flipped_score, same_score
        Best normalised correlation over all in-plane angles, -1..1.
    in_plane_deg
        phi of the better hypothesis: p_B = Rz(phi) . F . p_A, or Rz(phi) . p_A where the same
        side is up; -180..180.
    shift_px
        (y, x) of B's object against A's, at that angle, in pixels of the images given.
    """

    flipped_score: float
    same_score: float
    in_plane_deg: float
    shift_px: tuple[float, float]


class _Fit(NamedTuple):
    score: float
    angle_deg: float
    shift_px: tuple[float, float]


def match_flip(images_a: Float32, image_b: Float32, pixel_nm: float) -> FlipMatch:
    """Compare images of one object at and around 0 degrees, before and after a flip.

    Parameters
    ----------
    images_a
        [tilt, y, x], within some degrees of 0; the one that fits best counts.
    image_b
        [y, x] at 0 degrees, same pixel size; the size may differ. All finite.
    pixel_nm
        Width of a pixel.

    Raises
    ------
    ProcessingError
        An image is too small, or holds nothing but one value.
    """
    binning = max(1, int(FINE_NM / pixel_nm))
    b = _prepared(image_b, binning, pixel_nm * binning)
    all_a = [_prepared(image, binning, pixel_nm * binning) for image in images_a]
    field_px = max(*all_a[0].shape, *b.shape)
    against = _Against(b, fft.next_fast_len(field_px * 3 // 2, real=True), field_px)
    with ThreadPoolExecutor() as pool:
        flipped_fits = pool.map(against.best, [a[::-1] for a in all_a])
        same_fits = pool.map(against.best, all_a)
        flipped, same = max(flipped_fits), max(same_fits)
    better = max(flipped, same)
    return FlipMatch(
        flipped_score=flipped.score,
        same_score=same.score,
        in_plane_deg=better.angle_deg,
        shift_px=(better.shift_px[0] * binning, better.shift_px[1] * binning),
    )


class _Against:
    """Image B, ready to be compared with many turned images."""

    def __init__(self, image: Float32, size: int, field_px: int) -> None:
        self._size = size
        self._spectrum = np.conj(_spectrum(image, size))
        self._energy = float(np.sum(np.square(image, dtype=np.float64)))
        lags = np.abs(np.fft.fftfreq(size, 1 / size))
        self._near = np.ix_(lags <= REACH * field_px, lags <= REACH * field_px)
        self._lags = np.fft.fftfreq(size, 1 / size)[lags <= REACH * field_px]

    def best(self, image: Float32) -> _Fit:
        """Fit `image` at every in-plane angle, then more finely around the best."""
        coarse = self._best_of(image, np.arange(-180.0, 180.0, COARSE_STEP_DEG))
        around = np.arange(-COARSE_STEP_DEG, COARSE_STEP_DEG + 0.01, FINE_STEP_DEG)
        return self._best_of(image, coarse.angle_deg + around)

    def _best_of(self, image: Float32, angles_deg: Iterable[float]) -> _Fit:
        return max(self._fit(image, float(angle)) for angle in angles_deg)

    def _fit(self, image: Float32, angle_deg: float) -> _Fit:
        turned = _turned(image, angle_deg)
        cross = np.conj(_spectrum(turned, self._size) * self._spectrum)
        correlation = fft.irfft2(cross, (self._size, self._size))[self._near]
        row, column = np.unravel_index(correlation.argmax(), correlation.shape)
        energy = self._energy * float(np.sum(np.square(turned, dtype=np.float64)))
        angle = (angle_deg + 180.0) % 360.0 - 180.0
        shift = (float(self._lags[row]), float(self._lags[column]))
        return _Fit(float(correlation[row, column]) / max(energy, 1e-30) ** 0.5, angle, shift)


def _prepared(image: Float32, binning: int, pixel_nm: float) -> Float32:
    """Bin, keep the band of the particles, fade out towards the border."""
    rows, columns = (n // binning for n in image.shape)
    if min(rows, columns) < 16:
        raise ProcessingError(f"an image of {image.shape} pixels is too small to tell a flip from")
    binned = image[: rows * binning, : columns * binning].astype(np.float32)
    binned = binned.reshape(rows, binning, columns, binning).mean(axis=(1, 3))
    band = ndimage.gaussian_filter(binned, FINE_NM / pixel_nm) - ndimage.gaussian_filter(
        binned, COARSE_NM / pixel_nm
    )
    if not band.any():
        raise ProcessingError("an image holds one value only: no flip can be told from it")
    disc = _disc(rows, columns)
    return np.asarray(_flattened(band * disc) * disc, np.float32)


def _flattened(image: Float64) -> Float64:
    """Divide the spectrum by about the root of its modulus.

    An ordered assembly is a few strong peaks, and those look the same from behind; what tells the
    sides apart is what is left of the spectrum. Of two fcc assemblies, seated 2 and 3 degrees off,
    flipped against same side: 0.64 against 0.64 and 0.63 against 0.62 before, 0.53 against 0.41
    and 0.49 against 0.38 so.
    """
    spectrum = fft.rfft2(image)
    modulus = np.abs(spectrum)
    return np.asarray(fft.irfft2(spectrum / np.sqrt(modulus + np.median(modulus)), image.shape))


def _disc(rows: int, columns: int) -> Float64:
    """1 in the middle, 0 beyond the circle that fits: the same at every in-plane angle."""
    y = np.linspace(-1, 1, rows)[:, None]
    x = np.linspace(-1, 1, columns)[None, :]
    return np.asarray(np.clip((1 - np.hypot(y, x)) / 0.1, 0, 1), np.float64)


def _turned(image: Float32, angle_deg: float) -> Float32:
    """Turn an image by `angle_deg` from +x (columns) towards +y (rows) about its middle."""
    c, s = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    matrix = np.array([[c, -s], [s, c]])  # output (y, x) -> input (y, x): the turn undone
    middle = (np.array(image.shape) - 1) / 2
    turned: Float32 = ndimage.affine_transform(image, matrix, middle - matrix @ middle, order=1)
    return turned


def _spectrum(image: Float32, size: int) -> NDArray[np.complex64]:
    return np.asarray(fft.rfft2(image, (size, size)), np.complex64)
