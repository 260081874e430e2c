"""Convolution of a volume with a sphere, slab by slab, so that memory does not limit the volume.

A 3D Fourier transform consists of a 2D transform of each plane and a 1D transform along z. Each
needs only a slab of the spectrum at a time, so the spectrum may be on disk.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from processing.device import CPU, Array, Device
from processing.scratch import Allocate
from processing.series import Float32

SLAB = 8
"""Planes in a slab: they and their spectrum fit the cache."""


def ball_form_factor(q_per_px: NDArray[np.floating], diameter_px: float) -> Float32:
    """Return the Fourier transform of a ball of density 1, px^3, at q in radians per pixel.

    V 3 (sin qR - qR cos qR) / (qR)^3, also the Fourier transform of the projected ball.
    """
    return np.asarray(_form_factor(np.asarray(q_per_px, np.float64), diameter_px, np), np.float32)


def _form_factor(q_per_px: Array, diameter_px: float, xp: ModuleType) -> Array:
    qr = xp.maximum(q_per_px * diameter_px / 2, xp.asarray(1e-2))
    shape = 3 * (xp.sin(qr) - qr * xp.cos(qr)) / qr**3
    return xp.asarray(ball_volume(diameter_px) * shape, dtype=xp.float32)


def ball_volume(diameter_px: float) -> float:
    """Return the volume of a ball, px^3."""
    return np.pi / 6 * diameter_px**3


def padded_shape(shape: tuple[int, ...], diameter_px: float) -> tuple[int, ...]:
    """Return a fast transform size with a margin for a sphere at the edge, so nothing wraps."""
    return tuple(fft.next_fast_len(n + int(np.ceil(diameter_px)) + 1, real=True) for n in shape)


class SphereConvolution:
    """Convolution of a volume [z, y, x] with a ball of mass 1: `write`, `convolve`, `read`.

    Parameters
    ----------
    shape
        Shape of the volume.
    diameter_px
        Diameter of the ball.
    allocate
        Function that creates the array for the spectrum.
    device
        Device of the spectrum, of the volumes and of the transforms.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        diameter_px: float,
        allocate: Allocate,
        device: Device = CPU,
    ) -> None:
        self.shape = shape
        self.diameter_px = diameter_px
        self.device = device
        self._padded = padded_shape(shape, diameter_px)
        depth, rows, columns = self._padded
        self._spectrum = allocate((shape[0], rows, columns // 2 + 1), np.complex64)
        self._factor = allocate((depth, rows, columns // 2 + 1), np.float32)
        device.over_blocks(self._fill_factor, rows, SLAB)

    def write(self, volume: Array) -> None:
        """Transform a volume: the input of `convolve`."""

        def transform(part: slice) -> None:
            self._spectrum[part] = self.device.fft.rfft2(volume[part], self._padded[1:])

        self.device.over_blocks(transform, self.shape[0], SLAB)

    def convolve(self, times: int) -> None:
        """Convolve the volume with the ball `times` times in succession."""

        transforms = self.device.fft

        def along_z(part: slice) -> None:
            columns = transforms.fft(self._spectrum[:, part], self._padded[0], axis=0)
            for _ in range(times):
                columns *= self._factor[:, part]
            columns = transforms.ifft(columns, axis=0, overwrite_x=True)
            self._spectrum[:, part] = columns[: self.shape[0]]

        self.device.over_blocks(along_z, self._padded[1], SLAB)

    def read(self, part: slice) -> Array:
        """Return planes `part` of the result, [z, y, x]."""
        planes = self.device.fft.irfft2(self._spectrum[part], self._padded[1:])
        return planes[:, : self.shape[1], : self.shape[2]]

    def _fill_factor(self, part: slice) -> None:
        depth, rows, columns = self._padded
        axes = np.fft.fftfreq(depth), np.fft.fftfreq(rows)[part], np.fft.rfftfreq(columns)
        z, y, x = (
            self.device.to_device(axis) for axis in np.meshgrid(*axes, indexing="ij", sparse=True)
        )
        xp = self.device.xp
        q = 2 * np.pi * xp.sqrt(z * z + y * y + x * x)
        self._factor[:, part] = _form_factor(q, self.diameter_px, xp) / ball_volume(
            self.diameter_px
        )
