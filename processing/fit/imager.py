"""Images of spheres, computed from their centres and blurred by the broadening beam.

Centres are spread onto the pixel grid with cubic B-splines, one grid for each kind of sphere and
layer of depth: the slots. The spectrum of each slot is multiplied by the form factor of the ball,
the blur of the layer and the frequency band in which single particles show, and divided by the
spectrum of the spline. This is a non-uniform FFT with the sphere as its kernel. Gradients are those
of the splines, so they are exact for the computed images.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import fft, sparse

from processing.reconstruct.convolution import ball_form_factor
from processing.series import Bools, Float32, Float64
from processing.splines import TAPS, cubic_spline_values

Spectrum = NDArray[np.complex64]
Ints = NDArray[np.int64]

LAYERS = 6
"""Number of depth layers: particles are sorted by how many the beam has crossed before them."""
BLUR_POWER = 1.5
"""Exponent of the beam width over the material crossed (Goldstein 1979)."""
FINE_PX = 0.8
"""Sigma of the band's fine end (px): finer detail is noise."""
COARSE_DIAMETERS = 1.0
"""Sigma of the band's coarse end, in sphere diameters: coarser structure is background."""


@dataclass(frozen=True)
class SphereKind:
    """Spheres of one diameter.

    Attributes
    ----------
    size
        Diameter, in diameters of the first kind.
    signal
        Integrated signal of a sphere, relative to the first kind.
    """

    size: float = 1.0
    signal: float = 1.0


ONE_KIND = (SphereKind(),)


class SphereImager:
    """Forward model for images of spheres of one or several diameters, with its adjoint.

    Parameters
    ----------
    shape
        Rows and columns of the images.
    diameter_px
        Diameter of the first kind, the largest.
    kinds
        Kinds of spheres.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        diameter_px: float,
        kinds: tuple[SphereKind, ...] = ONE_KIND,
    ) -> None:
        self.shape = shape
        self.diameter_px = diameter_px
        self.kinds = kinds
        self.slots = LAYERS * len(kinds)
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
        self._k = k
        self._spheres = self._spectra_of(kinds)
        self._k_squares = ky**2, kx**2
        self.gradient_y = (-1j * ky).astype(np.complex64)
        self.gradient_u = (-1j * kx).astype(np.complex64)
        twice = np.full(kx.shape, 2.0)
        twice[0, 0] = 1
        if columns % 2 == 0:
            twice[0, -1] = 1
        self._parseval = twice / (rows * columns)
        self._root_parseval = np.sqrt(self._parseval).astype(np.float32)

    def spectrum(self, image: Float32) -> Spectrum:
        """Return the spectrum of an image [y, u], limited to the band."""
        canvas = np.zeros(self._padded, np.float32)
        rows, columns = self.shape
        inner = (
            slice(self._margin, self._margin + rows),
            slice(self._margin, self._margin + columns),
        )
        canvas[inner] = image
        return np.asarray(fft.rfft2(canvas) * self._band, np.complex64)

    def image(self, spectrum: Spectrum) -> Float32:
        """Return the image [y, u] of a spectrum: the inverse of `spectrum`, within the band."""
        rows, columns = self.shape
        canvas = fft.irfft2(spectrum, self._padded)[self._margin :, self._margin :]
        return np.asarray(canvas[:rows, :columns], np.float32)

    def ring(self, ring: tuple[float, float], smoothing_px: float) -> tuple[Bools, float]:
        """Return a ring of the spectrum [ky, kx], and the noise of the band over that in the ring.

        The factor holds for variances of noise that was white before a Gaussian filter with a
        standard deviation of `smoothing_px`. `ring` holds two frequencies, in Nyquist frequencies.
        """
        k = np.sqrt(2 * self._half_square) / np.pi
        chosen = (k > ring[0]) & (k < ring[1])
        passed = self._band * np.exp(-self._half_square * smoothing_px**2)
        power = self._parseval * passed**2
        return chosen, float(power.sum() / power[chosen].sum())

    def kernels(self, blur_px: float) -> Float32:
        """Return the spectra [slot, ky, kx] that turn splines into blurred spheres.

        `blur_px` is the standard deviation of the beam after all of the material.
        """
        return self._blurred(self._spheres, blur_px)

    def kernels_of(self, kinds: tuple[SphereKind, ...], blur_px: float) -> Float32:
        """Return the same for other kinds of spheres, as many as the imager has."""
        return self._blurred(self._spectra_of(kinds), blur_px)

    def _spectra_of(self, kinds: tuple[SphereKind, ...]) -> list[Float64]:
        """Return the spectrum [ky, kx] of a sphere of each kind, within the band."""
        spectra = []
        for kind in kinds:
            diameter_px = kind.size * self.diameter_px
            whole = ball_form_factor(np.zeros(1), diameter_px)
            ball = ball_form_factor(self._k, diameter_px) / whole
            spectra.append(ball * self._band * kind.signal)
        return spectra

    def _blurred(self, spheres: list[Float64], blur_px: float) -> Float32:
        widths = blur_px * ((np.arange(LAYERS) + 0.5) / LAYERS) ** BLUR_POWER
        blurs = np.exp(-self._half_square * np.square(widths)[:, None, None])
        each = [np.asarray(sphere / self._splines * blurs, np.float32) for sphere in spheres]
        return each[0] if len(each) == 1 else np.concatenate(each)

    def stiffness(self, kernels: Float32) -> Float64:
        """Return the squared norms of a sphere's image and of its gradients along y and u.

        The result is [slot, 3].
        """
        power = (kernels * self._splines) ** 2 * self._parseval
        along_y, along_u = (power * square for square in self._k_squares)
        return np.stack([part.sum(axis=(1, 2)) for part in (power, along_y, along_u)], axis=1)

    def vector(self, spectrum: Spectrum) -> Float32:
        """Return the real vector whose inner products equal those of the images."""
        weighted = np.ascontiguousarray(spectrum * self._root_parseval, np.complex64)
        return weighted.view(np.float32).ravel()

    def energy(self, spectrum: Spectrum) -> float:
        """Return the sum of the squared pixels of an image."""
        vector = self.vector(spectrum)
        return float(vector @ vector)

    def layer_spectra(self, layer_images: Float32) -> Spectrum:
        """Return the spectra [slot, ky, kx] of layer images [slot and pixel]."""
        return np.asarray(fft.rfft2(layer_images.reshape(self.slots, *self._padded)), np.complex64)

    def layer_images(self, spectra: Spectrum) -> Float32:
        """Return the layer images [slot and pixel] of spectra: the inverse of `layer_spectra`."""
        return np.asarray(fft.irfft2(spectra, self._padded), np.float32).ravel()

    def spread(self, points: Float64, slots: Ints) -> SplineMatrices:
        """Place one spline at each of `points` [n, (y, u)], in its slot [n].

        Points count from the centre of the image. A spline beyond the edge has value 0.
        """
        position = points + (np.array(self.shape) - 1) / 2 + self._margin
        whole = np.floor(position)
        last = np.array(self._padded) - TAPS
        inside = np.all((whole >= 1) & (whole <= last + 1), axis=1)
        first = np.clip(whole.astype(np.int32) - 1, 0, last).astype(np.int32)
        taps = first[:, :, None] + np.arange(TAPS, dtype=np.int32)
        after = (position - whole).astype(np.float32)
        before = 1 - after
        value, slope = cubic_spline_values(after), np.empty(taps.shape, np.float32)
        for tap, distance, side in ((1, after, 1), (2, before, -1)):
            square = distance * distance
            slope[:, :, tap] = side * (1.5 * square - 2 * distance)
        for tap, distance, side in ((0, before, -1), (3, after, 1)):
            square = distance * distance
            slope[:, :, tap] = side * square / 2
        value[~inside], slope[~inside] = 0, 0
        rows = taps[:, 0, :] + slots[:, None].astype(np.int32) * np.int32(self._padded[0])
        indices = (rows[:, :, None] * np.int32(self._padded[1]) + taps[:, 1, None, :]).ravel()
        pointers = np.arange(0, indices.size + 1, TAPS**2, dtype=np.int32)
        shape = (len(points), self.slots * int(np.prod(self._padded)))
        return SplineMatrices(shape, np.asarray(indices, np.int32), pointers, value, slope)


@dataclass(frozen=True, eq=False)
class SplineMatrices:
    """Sparse matrices [sphere, slot and pixel] of the splines, one row for each sphere.

    Each matrix and each transpose is made once, when it is first used: many views need the values
    alone.

    Attributes
    ----------
    shape, indices, pointers
        Shape and CSR structure that all matrices share.
    values, slopes
        Splines and their derivatives along each axis, [sphere, (y, u), tap].
    """

    shape: tuple[int, int]
    indices: NDArray[np.int32]
    pointers: NDArray[np.int32]
    values: Float32
    slopes: Float32

    @cached_property
    def value(self) -> sparse.csr_matrix:
        """Values of the splines."""
        return self._matrix(self.values, self.values)

    @cached_property
    def slope_y(self) -> sparse.csr_matrix:
        """Derivatives of the splines with respect to the position of the sphere along y."""
        return self._matrix(self.slopes, self.values)

    @cached_property
    def slope_u(self) -> sparse.csr_matrix:
        """The same along u."""
        return self._matrix(self.values, self.slopes)

    @cached_property
    def value_transposed(self) -> sparse.csc_matrix:
        """`value` as a matrix [slot and pixel, sphere]."""
        return self.value.T

    @cached_property
    def slope_y_transposed(self) -> sparse.csc_matrix:
        """`slope_y` as a matrix [slot and pixel, sphere]."""
        return self.slope_y.T

    @cached_property
    def slope_u_transposed(self) -> sparse.csc_matrix:
        """`slope_u` as a matrix [slot and pixel, sphere]."""
        return self.slope_u.T

    def _matrix(self, along_y: Float32, along_u: Float32) -> sparse.csr_matrix:
        data = along_y[:, 0, :, None] * along_u[:, 1, None, :]
        return sparse.csr_matrix((data.ravel(), self.indices, self.pointers), shape=self.shape)
