"""Few spectra of which the kernels of all layers are sums.

Layers of depth differ by the width of the beam alone, so that their kernels are much alike: mostly
sums of three spectra in place of six kernels. The layer images are summed accordingly, and three of
them are transformed in place of six.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from processing.device import Array, Device
from processing.series import Float32, Float64

LARGEST_LEFT = 1e-2
"""Largest part of a kernel, by norm, that the sums leave out. One kernel for all particles of a
layer is wrong by 0.14 at its end, where the beam becomes as wide as a third of a particle."""


@dataclass(frozen=True, eq=False)
class KernelBasis:
    """Kernels as sums of terms.

    Attributes
    ----------
    spectra
        Terms [term, ky, kx], on the device.
    shares
        Share of each term in each kernel, [term, kernel].
    """

    spectra: Array
    shares: Float32


def kernel_basis(kernels: Array, weights: Array, device: Device) -> KernelBasis:
    """Return the fewest terms of which the kernels are sums, by singular values.

    Parameters
    ----------
    kernels
        [kernel, ky, kx].
    weights
        Weight of each frequency in the norm of a kernel, [ky, kx].
    """
    rows = device.to_host(kernels * weights).reshape(len(kernels), -1).astype(np.float64)
    norms = np.maximum(np.linalg.norm(rows, axis=1), 1e-30)
    rows /= norms[:, None]
    terms = _fewest_terms(rows)
    of_kernels = device.to_device((terms / norms).astype(np.float32))
    spectra = of_kernels @ kernels.reshape(len(kernels), -1)
    shares = (terms * norms).astype(np.float32)
    return KernelBasis(spectra.reshape(len(terms), *kernels.shape[1:]), shares)


def _fewest_terms(rows: Float64) -> Float64:
    """Return orthonormal sums [term, row] of rows of norm 1, to which all rows are near."""
    squares, shares = np.linalg.eigh(rows @ rows.T)
    squares, shares = squares[::-1], shares[:, ::-1]
    left = 1 - np.cumsum(shares**2 * squares, axis=1)
    enough = (left < LARGEST_LEFT**2).all(axis=0)
    terms = int(np.argmax(enough)) + 1 if enough.any() else len(rows)
    return np.asarray(shares[:, :terms].T, np.float64)
