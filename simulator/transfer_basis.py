"""Transfer functions of all particles of an image, as sums of a few basis functions.

The transfer of a particle depends on its diameter, on the gold crossed above it and on its distance
from focus. A table over these three gives the weights of the basis functions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfftfreq
from scipy.sparse import csr_array
from scipy.special import j1

from simulator import transport
from simulator.raster import SPLINE_DEGREE, Raster
from simulator.settings import OpticsSettings

Array = NDArray[np.float64]
Single = NDArray[np.float32]

_RADIAL_SAMPLES = 192
_BASIS_TOLERANCE = 2e-3
"""Smallest strength of a basis function, relative to the first.

The rest changes an image by 0.2 % of its contrast (rms), the working grid by 0.35 %."""
_SAMPLED_NODE = 4
"""Spacing of the nodes of diameter and distance from which the basis is computed."""


@dataclass(frozen=True, eq=False)
class TransferBasis:
    """Basis of the transfer functions of all particles in a range of diameter, depth and height."""

    diameters_nm: Array
    depths_nm: Array
    distances_nm: Array
    """Nodes of the table: diameter, gold crossed, distance from focus."""
    table: Single
    """Weights of the basis functions at the nodes, [diameter and depth and distance, r]."""
    spectra: Single
    """Basis functions at the spectrum points, divided by the spline's, [r, row, column].

    The rows end at the highest frequency: those of negative frequency have the same values. Each
    value stands twice, for the real and the imaginary part."""

    def weights(self, diameters_nm: Array, depths_nm: Array, distances_nm: Array) -> Single:
        """Return the weights [n, r] of the basis functions for each particle."""
        nodes = (self.diameters_nm, self.depths_nm, self.distances_nm)
        given = (diameters_nm, depths_nm, distances_nm)
        positions = [
            np.interp(values, grid, np.arange(len(grid)))
            for values, grid in zip(given, nodes, strict=True)
        ]
        found: Single = interpolation([len(grid) for grid in nodes], positions) @ self.table
        return found


@lru_cache(maxsize=4)
def transfer_basis(
    raster: Raster,
    optics: OpticsSettings,
    diameters_nm: tuple[float, float] | None,
    max_depth_nm: float,
    max_distance_nm: float,
) -> TransferBasis:
    """Compute the basis for these ranges; images of one series share it.

    Without diameters it is that of particles that are drawn by their thickness in each pixel.
    """
    rows = rfftfreq(raster.height, raster.pixel_nm)
    columns = rfftfreq(raster.width, raster.pixel_nm)
    radius = np.hypot(rows[:, None], columns[None, :])
    radial = np.linspace(0.0, radius.max(), _RADIAL_SAMPLES)
    spheres, diameters = _sphere_table(radial, *diameters_nm) if diameters_nm else _no_form(radial)
    crossed, depths = _depth_table(radial, max_depth_nm)
    probes, distances = _probe_table(radial, max_distance_nm, optics)
    rest = (crossed[:, None] * probes).reshape(-1, len(radial))
    sample = (crossed[:, None] * probes[::_SAMPLED_NODE]).reshape(-1, len(radial))
    basis = _basis(np.concatenate([sphere * sample for sphere in spheres[::_SAMPLED_NODE]]))
    ring = _ring(len(radial))
    table = np.concatenate([rest @ (basis * (sphere * ring)).T for sphere in spheres])
    spline = np.outer(np.sinc(rfftfreq(raster.height)), np.sinc(rfftfreq(raster.width)))
    # a thickness is averaged over the pixel, whose spectrum is that of one spline of degree 0
    drawn = spline ** (SPLINE_DEGREE + 1) * raster.pixel_nm**2 if diameters_nm else spline
    spectra = np.empty((len(basis), *radius.shape, 2), np.float32)
    for spectrum, function in zip(spectra, basis / ring, strict=True):
        spectrum[:] = (np.interp(radius, radial, function) / drawn)[..., None]
    return TransferBasis(
        diameters, depths, distances, table, spectra.reshape(len(basis), len(rows), -1)
    )


def _basis(transfers: Single) -> Single:
    """Return the basis functions [r, k] of the transfers [n, k] times `_ring`.

    Each frequency is weighted by the number of points on its ring of the image spectrum.
    """
    weighted = (transfers * _ring(transfers.shape[1])).astype(np.float64)
    # the eigenvectors of the small Gram matrix give the SVD basis at a fraction of its cost
    squares, vectors = np.linalg.eigh(weighted.T @ weighted)
    kept = squares > _BASIS_TOLERANCE**2 * squares[-1]
    return np.asarray(vectors[:, kept].T, np.float32, order="C")


def _ring(samples: int) -> Single:
    """Return the square root of the number of spectrum points at each sampled frequency [k]."""
    return np.asarray(np.sqrt(np.arange(samples) + 0.25), np.float32)


def interpolation(shape: Sequence[int], positions: Iterable[Array]) -> csr_array:
    """Return the matrix [n, nodes] that interpolates a table linearly along each of its axes.

    Parameters
    ----------
    shape
        Number of nodes on each axis.
    positions
        Fractional index on each axis, [n].
    """
    index, share = np.zeros((1, 1), np.int32), np.ones((1, 1), np.float32)
    for nodes, position in zip(shape, positions, strict=True):
        low = np.minimum(position.astype(np.int32), nodes - 2)
        fraction = (position - low).astype(np.float32)
        ends, shares = np.stack([low, low + 1], 1), np.stack([1.0 - fraction, fraction], 1)
        index = (index[:, :, None] * nodes + ends[:, None]).reshape(len(low), -1)
        share = (share[:, :, None] * shares[:, None]).reshape(len(low), -1)
    row_starts = np.arange(0, index.size + 1, index.shape[1], dtype=np.int32)
    return csr_array(
        (share.ravel(), index.ravel(), row_starts), shape=(len(index), math.prod(shape))
    )


def _sphere_table(radial: Array, smallest_nm: float, largest_nm: float) -> tuple[Single, Array]:
    """Return the spectra of projected spheres [node, k], nm^3, and the diameters of the nodes."""
    nodes = np.linspace(smallest_nm - 1e-6, largest_nm + 1e-6, 17)
    x = np.maximum(np.pi * nodes[:, None] * radial, 1e-3)
    shape = 3.0 * (np.sin(x) - x * np.cos(x)) / x**3
    return (np.pi / 6.0 * nodes[:, None] ** 3 * shape).astype(np.float32), nodes


def _no_form(radial: Array) -> tuple[Single, Array]:
    """Return a form factor of 1 [node, k] for every size, and two nodes."""
    return np.ones((2, len(radial)), np.float32), np.array([0.0, 1e6])


def _depth_table(radial: Array, max_depth_nm: float) -> tuple[Single, Array]:
    """Return the transfer after gold crossed [node, k], beam fraction per nm, and the depths."""
    table = transport.load_table()
    nodes = max(2, int(np.searchsorted(table.depths_au_nm, max_depth_nm)) + 1)
    transfers = table.at_frequencies(radial)[:nodes] / transport.mean_free_path_nm()
    return transfers.astype(np.float32), table.depths_au_nm[:nodes]


def _probe_table(
    radial: Array, max_distance_nm: float, optics: OpticsSettings
) -> tuple[Single, Array]:
    """Return the probe's transfer [node, k] and its distances from focus, up to `max_distance_nm`.

    It is the incoherent transfer of a round aperture in focus (cut-off at 2 alpha / lambda) times
    the transfer of a disc of radius alpha x distance.
    """
    alpha = optics.convergence_mrad * 1e-3
    nodes = np.linspace(0.0, max_distance_nm + 1e-6, 33)
    cutoff_fraction = np.minimum(radial * wavelength_nm(optics.voltage_kV) / (2.0 * alpha), 1.0)
    in_focus = (
        2.0
        / np.pi
        * (np.arccos(cutoff_fraction) - cutoff_fraction * np.sqrt(1.0 - cutoff_fraction**2))
    )
    y = np.maximum(2.0 * np.pi * alpha * nodes[:, None] * radial, 1e-3)
    return (in_focus * 2.0 * j1(y) / y).astype(np.float32), nodes


def wavelength_nm(voltage_kV: float) -> float:
    """Return the relativistic electron wavelength, nm."""
    volts = voltage_kV * 1e3
    return float(1.226426 / np.sqrt(volts * (1.0 + 0.978476e-6 * volts)))
