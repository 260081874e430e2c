"""Images of equal spheres from their centres, blurred by what the beam has crossed before them.

Centres are spread onto the pixel grid with cubic B-splines, layer by layer of depth; each layer's
spectrum is multiplied by the ball's form factor, the layer's blur and the band in which single
particles show. The splines' own spectrum is divided out: a non-uniform FFT whose kernel is the
sphere. Slopes are those of the splines, so that they are exact for what is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, sparse

from processing.reconstruct.convolution import ball_form_factor
from processing.series import Float32, Float64

Spectrum = NDArray[np.complex64]
Ints = NDArray[np.int64]

LAYERS = 6
"""Of particles by what the beam has crossed before it meets them."""
BLUR_POWER = 1.5
"""The beam's width grows with this power of the material crossed (Goldstein 1979)."""
FINE_PX = 0.8
COARSE_DIAMETERS = 1.0
"""The band's bounds: the noise below, whatever is smooth above."""
TAPS = 4
"""Pixels along each axis that a cubic B-spline covers."""


class Camera:
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
        self.diameter_px = diameter_px
        self._margin = int(np.ceil(diameter_px / 2)) + TAPS
        rows, columns = (fft.next_fast_len(n + 2 * self._margin, real=True) for n in shape)
        self._padded = (rows, columns)
        ky = 2 * np.pi * np.fft.fftfreq(rows)[:, None]
        kx = 2 * np.pi * np.fft.rfftfreq(columns)[None, :]
        k = np.hypot(ky, kx)
        coarse = COARSE_DIAMETERS * diameter_px
        self._half_square = (k**2 / 2).astype(np.float32)
        self._band = np.exp(-((k * FINE_PX) ** 2) / 2) - np.exp(-((k * coarse) ** 2) / 2)
        self._splines = np.sinc(ky / (2 * np.pi)) ** 4 * np.sinc(kx / (2 * np.pi)) ** 4
        ball = ball_form_factor(k, diameter_px) / ball_form_factor(np.zeros(1), diameter_px)
        self._sphere = ball * self._band
        self._k_squares = ky**2, kx**2
        self.slope_y = (-1j * ky).astype(np.complex64)
        self.slope_u = (-1j * kx).astype(np.complex64)
        twice = np.full(kx.shape, 2.0)
        twice[0, 0] = 1
        if columns % 2 == 0:
            twice[0, -1] = 1
        self._parseval = twice / (rows * columns)
        self._root_parseval = np.sqrt(self._parseval).astype(np.float32)

    def spectrum(self, image: Float32) -> Spectrum:
        """Spectrum of an image [y, u] in the band."""
        canvas = np.zeros(self._padded, np.float32)
        rows, columns = self.shape
        inner = (
            slice(self._margin, self._margin + rows),
            slice(self._margin, self._margin + columns),
        )
        canvas[inner] = image
        return np.asarray(fft.rfft2(canvas) * self._band, np.complex64)

    def kernels(self, blur_px: float) -> Float32:
        """Spectra [layer, ky, kx] by which a layer's splines become spheres.

        `blur_px` is the standard deviation behind all the material there is.
        """
        widths = blur_px * ((np.arange(LAYERS) + 0.5) / LAYERS) ** BLUR_POWER
        blurs = np.exp(-self._half_square * np.square(widths)[:, None, None])
        return np.asarray(self._sphere / self._splines * blurs, np.float32)

    def stiffness(self, kernels: Float32) -> Float64:
        """[layer, 3]: squared norm of one sphere's image, of its slope along y and along u."""
        power = (kernels * self._splines) ** 2 * self._parseval
        along_y, along_u = (power * square for square in self._k_squares)
        return np.stack([part.sum(axis=(1, 2)) for part in (power, along_y, along_u)], axis=1)

    def vector(self, spectrum: Spectrum) -> Float32:
        """Real vector whose inner products are those of the images."""
        weighted = np.ascontiguousarray(spectrum * self._root_parseval, np.complex64)
        return weighted.view(np.float32).ravel()

    def energy(self, spectrum: Spectrum) -> float:
        """Sum of the squares of an image's pixels."""
        vector = self.vector(spectrum)
        return float(vector @ vector)

    def layer_spectra(self, flat: Float32) -> Spectrum:
        """Spectra [layer, ky, kx] of what splines were spread to."""
        return np.asarray(fft.rfft2(flat.reshape(LAYERS, *self._padded)), np.complex64)

    def layer_images(self, spectra: Spectrum) -> Float32:
        """The way back: flat images, for splines to read."""
        return np.asarray(fft.irfft2(spectra, self._padded), np.float32).ravel()

    def place(self, points: Float64, layers: Ints) -> Placed:
        """Splines at `points` [n, (y, u)] from the image's centre, in their layers [n]."""
        position = points + (np.array(self.shape) - 1) / 2 + self._margin
        first = np.floor(position).astype(np.int32) - 1
        last = np.array(self._padded) - TAPS
        inside = np.all((first >= 0) & (first <= last), axis=1)
        first = np.clip(first, 0, last)
        taps = first[:, :, None] + np.arange(TAPS, dtype=np.int32)
        offset = (position[:, :, None] - taps).astype(np.float32)
        away = np.abs(offset)
        near = away < 1
        # what lies outside the image is not drawn
        value = inside[:, None, None] * np.where(
            near, 2 / 3 - away**2 + away**3 / 2, np.maximum(2 - away, 0) ** 3 / 6
        )
        slope = inside[:, None, None] * np.where(
            near, 1.5 * away**2 - 2 * away, -(np.maximum(2 - away, 0) ** 2) / 2
        )
        slope *= np.sign(offset)
        rows = taps[:, 0, :] + layers[:, None].astype(np.int32) * np.int32(self._padded[0])
        indices = (rows[:, :, None] * np.int32(self._padded[1]) + taps[:, 1, None, :]).ravel()
        pointers = np.arange(0, indices.size + 1, TAPS**2, dtype=np.int32)
        shape = (len(points), LAYERS * int(np.prod(self._padded)))

        def matrix(along_y: Float32, along_u: Float32) -> sparse.csr_matrix:
            data = along_y[:, 0, :, None] * along_u[:, 1, None, :]
            return sparse.csr_matrix((data.ravel(), indices, pointers), shape=shape)

        return Placed(matrix(value, value), matrix(slope, value), matrix(value, slope))


@dataclass(frozen=True, eq=False)
class Placed:
    """Splines where the spheres show: matrices [sphere, layer and pixel].

    Attributes
    ----------
    value
        The splines.
    slope_y, slope_u
        Their change as the sphere moves.
    """

    value: sparse.csr_matrix
    slope_y: sparse.csr_matrix
    slope_u: sparse.csr_matrix
