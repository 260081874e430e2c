"""Images of equal spheres from their centres, in the Fourier domain, and the adjoint.

Centres are spread onto the pixel grid with cubic B-splines and the spectrum is multiplied by the
ball's form factor over the spline's own: a non-uniform FFT whose kernel is the sphere.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from processing.reconstruct.ssr import ball_form_factor
from processing.series import Float32, Float64

Spectrum = NDArray[np.complex64]
Bool2 = NDArray[np.bool_]

TAPS = 4
"""Pixels along each axis that a cubic B-spline covers."""


class SphereImages:
    """Draws and reads out spheres of one diameter on images of one shape.

    Parameters
    ----------
    shape
        Rows, columns.
    diameter_px
        Of every sphere.
    """

    def __init__(self, shape: tuple[int, int], diameter_px: float) -> None:
        self.shape = shape
        self.margin = int(np.ceil(diameter_px / 2)) + TAPS
        rows, columns = (fft.next_fast_len(n + 2 * self.margin, real=True) for n in shape)
        self.padded = (rows, columns)
        self.diameter_px = diameter_px
        self.ky = (2 * np.pi * np.fft.fftfreq(rows)[:, None]).astype(np.float32)
        self.kx = (2 * np.pi * np.fft.rfftfreq(columns)[None, :]).astype(np.float32)

    @cached_property
    def kernel(self) -> Float32:
        """Form factor over the spline's spectrum, [ky, kx]."""
        spline = np.sinc(self.ky / (2 * np.pi)) ** 4 * np.sinc(self.kx / (2 * np.pi)) ** 4
        return np.asarray(ball_form_factor(self.k, self.diameter_px) / spline, np.float32)

    @cached_property
    def k(self) -> Float32:
        """|k|, radians a pixel."""
        return np.asarray(np.hypot(self.ky, self.kx), np.float32)

    @cached_property
    def parseval(self) -> Float32:
        """Multiplicity of each entry of the half spectrum in the full one, over its size."""
        twice = np.full(self.kx.shape, 2.0, np.float32)
        twice[0, 0] = 1
        if self.padded[1] % 2 == 0:
            twice[0, -1] = 1
        return twice / np.float32(np.prod(self.padded))

    def spread(self, points: Float64, weights: Float64) -> Spectrum:
        """Spectrum of spheres at `points` [n, (y, u)] from the centre, times `weights` [n]."""
        place, share, inside = self._splines(points)
        values = (share * weights[inside, None]).ravel()
        grid = np.bincount(place.ravel(), values, minlength=self.padded[0] * self.padded[1])
        grid32 = grid.astype(np.float32).reshape(self.padded)
        return np.asarray(fft.rfft2(grid32) * self.kernel, np.complex64)

    def gather(self, spectrum: Spectrum, points: Float64) -> Float64:
        """Inner product [n] of an image, given as its spectrum, with the sphere at each point."""
        image = fft.irfft2(spectrum * self.kernel, self.padded).ravel()
        place, share, inside = self._splines(points)
        values = np.zeros(len(points))
        values[inside] = (image[place] * share).sum(axis=1)
        return values

    def spectrum(self, image: Float32) -> Spectrum:
        """Spectrum of an image [y, u], in the frame in which `spread` draws."""
        canvas = np.zeros(self.padded, np.float32)
        rows, columns = self.shape
        canvas[self.margin : self.margin + rows, self.margin : self.margin + columns] = image
        return np.asarray(fft.rfft2(canvas), np.complex64)

    def image(self, spectrum: Spectrum) -> Float32:
        """The image [y, u] of a spectrum."""
        canvas: Float32 = fft.irfft2(spectrum, self.padded)
        rows, columns = self.shape
        return canvas[self.margin : self.margin + rows, self.margin : self.margin + columns]

    def _splines(self, points: Float64) -> tuple[NDArray[np.int64], Float64, Bool2]:
        """Flat grid places [m, 16] and spline values of the m points whose splines fit in."""
        position = points + (np.array(self.shape) - 1) / 2 + self.margin
        first = np.floor(position).astype(np.int64) - 1
        inside = np.all((first >= 0) & (first + TAPS <= np.array(self.padded)), axis=1)
        first, position = first[inside], position[inside]
        taps = first[:, :, None] + np.arange(TAPS)
        distance = np.abs(position[:, :, None] - taps)
        value = np.where(
            distance < 1,
            2 / 3 - distance**2 + distance**3 / 2,
            np.maximum(2 - distance, 0) ** 3 / 6,
        )
        place = taps[:, 0, :, None] * self.padded[1] + taps[:, 1, None, :]
        share = value[:, 0, :, None] * value[:, 1, None, :]
        return place.reshape(len(place), TAPS**2), share.reshape(len(share), TAPS**2), inside
