"""Images of spheres, computed from their centres and blurred by the broadening beam.

Centres are spread onto the pixel grid with cubic B-splines, one grid for each kind of sphere and
layer of depth: the slots. The spectrum of each slot is multiplied by the form factor of the ball,
the blur of the layer and the frequency band in which single particles show, and divided by the
spectrum of the spline. This is a non-uniform FFT with the sphere as its kernel. Gradients are those
of the splines, so they are exact for the computed images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from processing.device import CPU, Array, Device
from processing.fit.compiled_splines import CompiledSplines
from processing.fit.kernel_basis import KernelBasis, kernel_basis
from processing.fit.placed_splines import PlacedSplines
from processing.fit.spline_matrices import SplineMatrices
from processing.reconstruct.convolution import ball_form_factor
from processing.series import Float64
from processing.splines import TAPS, cubic_spline_values

Ints = NDArray[np.int64]

LAYERS = 6
"""Number of depth layers: particles are sorted by how many the beam has crossed before them."""
COPIES = 12
"""Arrays as large as the layers of a view, or its splines, that exist at a time."""
BLUR_POWER = 1.5
"""Exponent of the beam width over the material crossed (Goldstein 1979)."""
_RELATIVE_WIDTHS = ((np.arange(LAYERS) + 0.5) / LAYERS) ** BLUR_POWER
"""Beam width in each layer, over that after all of the material."""
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
    device
        Device of all arrays.
    keeps_matrices
        On a GPU, keep the matrices of the splines once they are made; otherwise each product makes
        them anew, which takes twice as long, and a quarter of the memory.

    Notes
    -----
    All methods work on the images of several views at once; their first axis is the view.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        diameter_px: float,
        kinds: tuple[SphereKind, ...] = ONE_KIND,
        device: Device = CPU,
        *,
        keeps_matrices: bool = True,
    ) -> None:
        self.shape = shape
        self.keeps_matrices = keeps_matrices
        self.kinds = kinds
        self.slots = LAYERS * len(kinds)
        self.device = device
        self.diameter_px = diameter_px
        self._margin = int(np.ceil(diameter_px / 2)) + TAPS
        rows, columns = (fft.next_fast_len(n + 2 * self._margin, real=True) for n in shape)
        self._padded = (rows, columns)
        ky = 2 * np.pi * np.fft.fftfreq(rows)[:, None]
        kx = 2 * np.pi * np.fft.rfftfreq(columns)[None, :]
        k = np.hypot(ky, kx)
        coarse = COARSE_DIAMETERS * diameter_px
        band = np.exp(-((k * FINE_PX) ** 2) / 2) - np.exp(-((k * coarse) ** 2) / 2)
        twice = np.full(kx.shape, 2.0)
        twice[0, 0] = 1
        if columns % 2 == 0:
            twice[0, -1] = 1
        parseval = twice / (rows * columns)
        splines = np.sinc(ky / (2 * np.pi)) ** 4 * np.sinc(kx / (2 * np.pi)) ** 4
        put = device.to_device
        self._half_square = put((k**2 / 2).astype(np.float32))
        self._k, self._band, self._splines = k, put(band), put(splines)
        self._spheres = self._spectra_of(kinds)
        self._k_squares = put(ky**2), put(kx**2)
        self.gradient_y = put((-1j * ky).astype(np.complex64))
        self.gradient_u = put((-1j * kx).astype(np.complex64))
        self._parseval = put(parseval)
        self.band_power = float((band**2 * parseval).sum())
        """Mean square of noise in the band that had 1 before."""
        self._root_parseval = put(np.sqrt(parseval).astype(np.float32))

    def view_bytes(self, spheres: int) -> float:
        """Return the memory that the fit of this many spheres to one view takes."""
        pixels = self.slots * float(np.prod(self._padded))
        return COPIES * 4 * (pixels + TAPS**2 * spheres)

    def spectra(self, images: Array) -> Array:
        """Return the spectra of images [view, y, u], limited to the band."""
        return self.device.xp.asarray(self.whole_spectra(images) * self._band, dtype=np.complex64)

    def whole_spectra(self, images: Array) -> Array:
        """Return the spectra of images [view, y, u] at all frequencies: `images` inverts this."""
        xp = self.device.xp
        canvas = xp.zeros((len(images), *self._padded), dtype=np.float32)
        rows, columns = self.shape
        margin = self._margin
        canvas[:, margin : margin + rows, margin : margin + columns] = images
        return xp.asarray(self.device.fft.rfft2(canvas), dtype=np.complex64)

    def images(self, spectra: Array) -> Array:
        """Return the images [view, y, u] of spectra: the inverse of `spectra`, within the band."""
        rows, columns = self.shape
        canvas = self.device.fft.irfft2(spectra, self._padded)
        inner = canvas[:, self._margin :, self._margin :][:, :rows, :columns]
        return self.device.xp.asarray(inner, dtype=np.float32)

    def ring(self, ring: tuple[float, float], smoothing_px: float) -> tuple[Array, float]:
        """Return a ring of the spectrum [ky, kx], and the noise of the band over that in the ring.

        The factor holds for variances of noise that was white before a Gaussian filter with a
        standard deviation of `smoothing_px`. `ring` holds two frequencies, in Nyquist frequencies.
        """
        xp = self.device.xp
        k = xp.sqrt(2 * self._half_square) / np.pi
        chosen = (k > ring[0]) & (k < ring[1])
        passed = self._band * xp.exp(-self._half_square * smoothing_px**2)
        power = self._parseval * passed**2
        return chosen, float(power.sum() / power[chosen].sum())

    def kernels(self, blur_px: float) -> Array:
        """Return the spectra [slot, ky, kx] that turn splines into blurred spheres.

        `blur_px` is the standard deviation of the beam after all of the material.
        """
        return self._blurred(self._spheres, blur_px)

    def blur_slopes(self, spectra: Array) -> Array:
        """Return the derivatives of images by the squares of both blurs, [view, 2, ky, kx].

        `spectra` are those of the slots, [view, slot, ky, kx]. The first blur is the one that all
        layers share, the second that of the beam after all of the material (px).
        """
        xp, put = self.device.xp, self.device.to_device
        squares = np.tile(_RELATIVE_WIDTHS**2, len(self.kinds)).astype(np.float32)
        in_depth = (spectra * put(squares[:, None, None])).sum(axis=1)
        return -self._half_square * xp.stack([spectra.sum(axis=1), in_depth], axis=1)

    def whole_kernels(self, blur_px: float) -> Array:
        """Return `kernels` of whole images, which are not limited to the band."""
        return self._blurred(self._balls(self.kinds), blur_px)

    def kernels_of(
        self, kinds: tuple[SphereKind, ...], blur_px: float, common_px: float = 0.0
    ) -> Array:
        """Return `kernels` of other kinds of spheres, as many as the imager has.

        `common_px` is the standard deviation of a blur that all layers share.
        """
        return self._blurred(self._spectra_of(kinds), blur_px, common_px)

    def _spectra_of(self, kinds: tuple[SphereKind, ...]) -> list[Array]:
        """Return the spectrum [ky, kx] of a sphere of each kind, within the band."""
        return [ball * self._band for ball in self._balls(kinds)]

    def _balls(self, kinds: tuple[SphereKind, ...]) -> list[Array]:
        """Return the whole spectrum [ky, kx] of a sphere of each kind."""
        spectra = []
        for kind in kinds:
            diameter_px = kind.size * self.diameter_px
            whole = ball_form_factor(np.zeros(1), diameter_px)
            ball = ball_form_factor(self._k, diameter_px) / whole
            spectra.append(self.device.to_device(ball) * kind.signal)
        return spectra

    def _blurred(self, spheres: list[Array], blur_px: float, common_px: float = 0.0) -> Array:
        xp = self.device.xp
        widths = np.hypot(blur_px * _RELATIVE_WIDTHS, common_px)
        squares = self.device.to_device(np.square(widths)[:, None, None])
        blurs = xp.exp(-self._half_square * squares)
        return xp.concat(
            [xp.asarray(one / self._splines * blurs, dtype=np.float32) for one in spheres]
        )

    def stiffness(self, kernels: Array) -> Float64:
        """Return the squared norms of a sphere's image and of its gradients along y and u.

        The result is [slot, 3].
        """
        power = (kernels * self._splines) ** 2 * self._parseval
        along_y, along_u = (power * square for square in self._k_squares)
        norms = [part.sum(axis=(1, 2)) for part in (power, along_y, along_u)]
        return np.asarray(self.device.to_host(self.device.xp.stack(norms, axis=1)), np.float64)

    def products(self, first: Array, second: Array) -> tuple[Float64, Float64]:
        """Return the inner products of the images of two kernels, and their covariance by noise.

        Both are [slot]. The noise is white before the band, and has variance 1 in the band.
        """
        product = first * second * (self._splines**2 * self._parseval)
        in_band = self._band**2
        noisy = product * (in_band / (in_band * self._parseval).sum())
        exact, covariance = (
            np.asarray(self.device.to_host(part.sum(axis=(1, 2))), np.float64)
            for part in (product, noisy)
        )
        return exact, covariance

    def vectors(self, spectra: Array) -> Array:
        """Return real vectors [..., n] whose inner products equal those of the images."""
        xp = self.device.xp
        weighted = xp.asarray(spectra * self._root_parseval, dtype=np.complex64)
        vectors = xp.ascontiguousarray(weighted).view(np.float32)
        return vectors.reshape(*spectra.shape[:-2], -1)

    def energies(self, spectra: Array) -> Float64:
        """Return the sum of the squared pixels of each image, [view]."""
        vectors = self.vectors(spectra)
        products = vectors[:, None, :] @ vectors[:, :, None]
        return np.asarray(self.device.to_host(products)[:, 0, 0], np.float64)

    def basis(self, kernels: Array) -> KernelBasis:
        """Return the kernels [kernel, ky, kx] as sums of few spectra."""
        return kernel_basis(kernels, self._splines * self._root_parseval, self.device)

    def blurred_sum(self, layer_images: Array, kernels: KernelBasis, contrasts: Float64) -> Array:
        """Return the spectra [view, ky, kx] of layer images times kernels and contrasts, summed.

        Parameters
        ----------
        layer_images
            [view, kernel and pixel], flat.
        contrasts
            [view, kernel].
        """
        shares = self._shares(kernels, contrasts)
        mixed = shares @ layer_images.reshape(*contrasts.shape, -1)
        spectra = self._transformed(mixed.reshape(*shares.shape[:2], *self._padded))
        spectra *= kernels.spectra
        return spectra.sum(axis=1)

    def blurred_layers(self, spectra: Array, kernels: KernelBasis, contrasts: Float64) -> Array:
        """Apply the adjoint of `blurred_sum`: return layer images, flat."""
        shares = self._shares(kernels, contrasts)
        images = self.layer_images(kernels.spectra * spectra[:, None])
        mixed = images.reshape(*shares.shape[:2], -1)
        return (self.device.xp.swapaxes(shares, 1, 2) @ mixed).ravel()

    def _shares(self, kernels: KernelBasis, contrasts: Float64) -> Array:
        """Return the share of each term in each layer, [view, term, kernel]."""
        return self.device.to_device(
            kernels.shares * contrasts[:, None].astype(np.float32), np.float32
        )

    def layer_spectra(self, layer_images: Array) -> Array:
        """Return the spectra [view, slot, ky, kx] of layer images [view, slot and pixel]."""
        return self._transformed(layer_images.reshape(-1, self.slots, *self._padded))

    def _transformed(self, images: Array) -> Array:
        return self.device.xp.asarray(self.device.fft.rfft2(images), dtype=np.complex64)

    def layer_images(self, spectra: Array) -> Array:
        """Return the layer images [view, slot and pixel], flat: the inverse of `layer_spectra`."""
        images = self.device.fft.irfft2(spectra, self._padded)
        return self.device.xp.asarray(images, dtype=np.float32).ravel()

    def spread(self, points: Array, slots: Array) -> PlacedSplines:
        """Place one spline at each of `points` [view, n, (y, u)], in its slot [view, n].

        Points count from the centre of the image. A spline beyond the edge has value 0.
        """
        xp, put = self.device.xp, self.device.to_device
        position = points + put((np.array(self.shape) - 1) / 2 + self._margin)
        whole = xp.floor(position)
        last = put(np.array(self._padded) - TAPS)
        inside = xp.all((whole >= 1) & (whole <= last + 1), axis=-1)
        first = xp.minimum(xp.maximum(whole.astype(np.int32) - 1, 0), last).astype(np.int32)
        after = (position - whole).astype(np.float32)
        before = 1 - after
        value, slope = cubic_spline_values(after), xp.empty((*after.shape, TAPS), dtype=np.float32)
        for tap, distance, side in ((1, after, 1), (2, before, -1)):
            square = distance * distance
            slope[..., tap] = side * (1.5 * square - 2 * distance)
        for tap, distance, side in ((0, before, -1), (3, after, 1)):
            square = distance * distance
            slope[..., tap] = side * square / 2
        value[~inside], slope[~inside] = 0, 0
        views, spheres = points.shape[:2]
        planes = slots.astype(np.int32) + xp.arange(views, dtype=np.int32)[:, None] * self.slots
        rows, columns = (np.int32(side) for side in self._padded)
        corners = (planes * rows + first[..., 0]) * columns + first[..., 1]
        taps = xp.arange(TAPS, dtype=np.int32)
        pixels = self.slots * int(np.prod(self._padded))
        if not self.device.is_gpu:
            return CompiledSplines(pixels, int(columns), corners, value, slope)
        offsets = (taps[:, None] * columns + taps).ravel()
        shape = (views * spheres, views * pixels)
        return SplineMatrices(
            self.device, shape, corners, offsets, value, slope, self.keeps_matrices
        )
