"""HAADF image of an assembly, computed particle by particle without voxels.

Each particle has its own transfer function. It is the product of three factors: the form factor
of its sphere; blur and response after the gold already crossed (one Monte Carlo table); and the
probe at its height. All are smooth functions of the spatial frequency, so a small basis
represents them (found by a singular value decomposition). For each basis function the particles
are drawn as weighted points, and the spectra are summed. The points are drawn with quintic
B-splines, whose spectrum is then divided out; the position error is far below a pixel.

Solids have no form factor of one variable. They are drawn by their thickness along the beam, and
only blur, response and probe, those at the solid's centre, are in the transfer functions.

Frame: u along x, v along y, height towards the source; the beam travels downwards.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2
from scipy.ndimage import gaussian_filter
from scipy.sparse import csc_array

from controller.model.scan import ScanSettings
from simulator.draw_solids import largest_radius_nm, thickness_matrix
from simulator.raster import SPLINE_DEGREE, Raster, spline_matrix
from simulator.settings import OpticsSettings
from simulator.specimen import Particles
from simulator.transfer_basis import interpolation, transfer_basis

Array = NDArray[np.float64]
Single = NDArray[np.float32]
Spectrum = NDArray[np.complex64]

PIXELS_PER_DIAMETER = 11.0
"""Smallest number of working-grid pixels per particle diameter."""
_DENSITY_CELL_NM = 6.0
_DEPTH_STEP_NM, _DISTANCE_STEP_NM = 40.0, 100.0
"""Steps of the ranges of depth and of distance from focus for which one basis is computed."""


def render(particles: Particles, scan: ScanSettings, optics: OpticsSettings) -> Single:
    """Return the fraction of the beam [y, x] that the detector collects from `particles`.

    Parameters
    ----------
    particles
        Centres as u, v, height in nm, already tilted; the focus is at height 0.
    scan
        Its field is centred on u = v = 0. The row index of the image runs along +v.
    """
    raster = Raster.for_scan(scan, float(particles.diameters_nm.mean()) / PIXELS_PER_DIAMETER)
    visible = _particles_on_raster(particles, raster)
    if not len(visible):
        return np.zeros((scan.height_px, scan.width_px), np.float32)
    crossed_nm, distances_nm = crossed_gold_nm(visible), np.abs(visible.centres_nm[:, 2])
    solid = particles.solid is not None
    sizes_nm = particles.diameters_nm
    basis = transfer_basis(
        raster,
        optics,
        None if solid else (float(sizes_nm.min()), float(sizes_nm.max())),
        _rounded_up(crossed_nm.max(), _DEPTH_STEP_NM),
        _rounded_up(distances_nm.max(), _DISTANCE_STEP_NM),
    )
    weights = basis.weights(visible.diameters_nm, crossed_nm, distances_nm)
    if visible.scattering is not None:
        weights *= visible.scattering[:, None].astype(np.float32)
    drawn = (
        thickness_matrix(visible, raster) if solid else spline_matrix(visible.centres_nm, raster)
    )
    half = len(basis.spectra) // 2
    with ThreadPoolExecutor(2) as pool:
        halves = pool.map(
            lambda some: _summed(drawn, weights[:, some], basis.spectra[some], raster),
            (slice(None, half), slice(half, None)),
        )
        spectrum = sum(halves, start=np.complex64(0))
    return raster.crop_to_scan(irfft2(spectrum, s=(raster.height, raster.width)), scan)


def _summed(drawing: csc_array, weights: Single, functions: Single, raster: Raster) -> Spectrum:
    """Return the sum of the particles' spectra of weights [n, r], each times its function [r, ...].

    The rows of the functions are those of `TransferBasis.spectra`.
    """
    spectrum = np.zeros((raster.height, raster.width // 2 + 1), np.complex64)
    upper = functions.shape[1]
    for column, function in zip(weights.T, functions, strict=True):
        drawn = rfft2((drawing @ column).reshape(raster.height, raster.width))
        parts = drawn.view(np.float32)  # a product of real numbers takes a fifth of the time
        parts[:upper] *= function
        parts[upper:] *= function[raster.height - upper : 0 : -1]
        spectrum += drawn
    return spectrum


def _rounded_up(value: float, step: float) -> float:
    """Return the next multiple of `step` above `value`: equal keys for similar images."""
    return float(step * (np.floor(value / step) + 1))


def crossed_gold_nm(particles: Particles) -> Array:
    """Return the thickness of solid gold [n], nm, that the beam has crossed at each centre.

    It is averaged laterally over about one particle spacing, because the transport table assumes
    a uniform medium.
    """
    centres = particles.centres_nm
    low = centres.min(axis=0) - 3 * _DENSITY_CELL_NM
    shape = np.ceil((centres.max(axis=0) + 3 * _DENSITY_CELL_NM - low) / _DENSITY_CELL_NM).astype(
        int
    )
    position = (centres - low) / _DENSITY_CELL_NM
    volumes = particles.gold_nm3 / _DENSITY_CELL_NM**2
    cells = interpolation(shape, position.T)
    density = gaussian_filter((cells.T @ volumes).reshape(shape), 1.0, mode="constant")
    above = np.flip(np.cumsum(np.flip(density, axis=2), axis=2), axis=2) - 0.5 * density
    return np.asarray(cells @ above.ravel())


def _particles_on_raster(particles: Particles, raster: Raster) -> Particles:
    """Return the particles on the raster, except those closer to its edge than a spline's width."""
    edge = (SPLINE_DEGREE + 1) * raster.pixel_nm
    if particles.solid is not None:
        edge = largest_radius_nm(particles) + 2 * raster.pixel_nm
    u, v = particles.centres_nm[:, 0], particles.centres_nm[:, 1]
    high_u = raster.origin_u_nm + raster.width * raster.pixel_nm - edge
    high_v = raster.origin_v_nm + raster.height * raster.pixel_nm - edge
    near = (u > raster.origin_u_nm + edge) & (u < high_u)
    near &= (v > raster.origin_v_nm + edge) & (v < high_v)
    return particles.select(near)
