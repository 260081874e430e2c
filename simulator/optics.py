"""HAADF image of an assembly, computed particle by particle without voxels.

Each particle has its own transfer function. It is the product of three factors: the form factor
of its sphere; blur and response after the gold already crossed (one Monte Carlo table); and the
probe at its height. All are smooth functions of the spatial frequency, so a small basis
represents them (found by a singular value decomposition). For each basis function the particles
are drawn as weighted points, and the spectra are summed. The points are drawn with quintic
B-splines, whose spectrum is then divided out; the position error is far below a pixel.

Frame: u along x, v along y, height towards the source; the beam travels downwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2, rfftfreq
from scipy.interpolate import BSpline, PPoly
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.sparse import csr_array
from scipy.special import j1

from controller.model.scan import ScanSettings
from simulator import transport
from simulator.settings import OpticsSettings
from simulator.specimen import Particles

Array = NDArray[np.float64]
Single = NDArray[np.float32]

MARGIN_NM = 16.0
"""Margin around the field: particles in it are drawn too, and it prevents wrap-around."""
PIXELS_PER_DIAMETER = 11.0
"""Smallest number of working-grid pixels per particle diameter."""
MAX_SIDE_PX = 1536
"""Largest side of the working grid without margin; a survey map needs no finer pixels."""
_RADIAL_SAMPLES = 192
_BASIS_TOLERANCE = 3e-4
_SPLINE_DEGREE = 5
_DENSITY_CELL_NM = 6.0


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
    grid = _radial_grid(raster)
    weights, basis = _factorise(_particle_transfers(visible, grid.radial, optics))
    layers = _rasterise_points(visible.centres_nm, weights, raster)
    spectrum = np.zeros(grid.below.shape, np.complex64)
    for layer, function in zip(layers, basis, strict=True):
        spectrum += rfft2(layer) * grid.spread(function)
    spectrum /= _spline_spectrum(raster) * raster.pixel_nm**2
    return raster.crop_to_scan(irfft2(spectrum, s=(raster.height, raster.width)), scan)


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
    volumes = np.pi / 6.0 * particles.diameters_nm**3 / _DENSITY_CELL_NM**2
    density = np.zeros(shape)
    corner = np.floor(position).astype(int)
    for offset in np.ndindex(2, 2, 2):
        fraction = np.prod(1.0 - np.abs(position - corner - offset), axis=1)
        np.add.at(density, tuple((corner + offset).T), fraction * volumes)
    density = gaussian_filter(density, 1.0, mode="constant")
    above = np.flip(np.cumsum(np.flip(density, axis=2), axis=2), axis=2) - 0.5 * density
    return np.asarray(map_coordinates(above, position.T, order=1))


def _particles_on_raster(particles: Particles, raster: Raster) -> Particles:
    """Return the particles on the raster, except those closer to its edge than a spline's width."""
    edge = (_SPLINE_DEGREE + 1) * raster.pixel_nm
    u, v = particles.centres_nm[:, 0], particles.centres_nm[:, 1]
    high_u = raster.origin_u_nm + raster.width * raster.pixel_nm - edge
    high_v = raster.origin_v_nm + raster.height * raster.pixel_nm - edge
    near = (u > raster.origin_u_nm + edge) & (u < high_u)
    near &= (v > raster.origin_v_nm + edge) & (v < high_v)
    return Particles(particles.centres_nm[near], particles.diameters_nm[near])


@dataclass(frozen=True, eq=False)
class _RadialGrid:
    """Sampled frequencies, and the position of each spectrum point between two of them."""

    radial: Array
    """Sampled frequencies, 1/nm, [k]."""
    below: NDArray[np.intp]
    """Index of the next lower sampled frequency, [row, column]."""
    fraction: Single
    """Position between this frequency and the next, 0 to 1, [row, column]."""

    def spread(self, function: Single) -> Single:
        """Return a function [k] of the radial frequency at every spectrum point."""
        values: Single = np.diff(function).take(self.below)
        values *= self.fraction
        values += function.take(self.below)
        return values


@lru_cache(maxsize=8)
def _radial_grid(raster: Raster) -> _RadialGrid:
    rows = np.fft.fftfreq(raster.height, raster.pixel_nm)
    columns = rfftfreq(raster.width, raster.pixel_nm)
    radius = np.hypot(rows[:, None], columns[None, :])
    radial = np.linspace(0.0, radius.max(), _RADIAL_SAMPLES)
    position = radius / radial[1]
    below = np.minimum(position.astype(np.intp), _RADIAL_SAMPLES - 2)
    return _RadialGrid(radial, below, (position - below).astype(np.float32))


@lru_cache(maxsize=8)
def _spline_spectrum(raster: Raster) -> Single:
    """Return the spectrum of the quintic B-spline on the raster."""
    rows = np.sinc(np.fft.fftfreq(raster.height))
    columns = np.sinc(rfftfreq(raster.width))
    return np.asarray(np.outer(rows, columns) ** (_SPLINE_DEGREE + 1), dtype=np.float32)


def _particle_transfers(particles: Particles, radial: Array, optics: OpticsSettings) -> Single:
    """Return the transfer functions [n, k] of the particles, beam fraction times nm^2."""
    spheres, diameters = _sphere_table(radial, particles.diameters_nm)
    table = transport.load_table()
    crossed = (table.at_frequencies(radial) / transport.mean_free_path_nm()).astype(np.float32)
    heights = particles.centres_nm[:, 2]
    probes, nodes = _probe_table(radial, np.abs(heights).max(), optics)
    out = _interpolate_rows(
        spheres, np.interp(particles.diameters_nm, diameters, np.arange(len(diameters)))
    )
    out *= _interpolate_rows(
        crossed, np.interp(crossed_gold_nm(particles), table.depths_au_nm, np.arange(len(crossed)))
    )
    out *= _interpolate_rows(probes, np.interp(np.abs(heights), nodes, np.arange(len(nodes))))
    return out


def _interpolate_rows(table: Single, index: Array) -> Single:
    """Return rows [n, k] of `table` [m, k], interpolated linearly at fractional positions [n]."""
    low = np.minimum(index.astype(np.int32), len(table) - 2)
    fraction = (index - low).astype(np.float32)
    # a sparse product mixes the two rows without large arrays in between
    mix = csr_array(
        (
            np.column_stack([1.0 - fraction, fraction]).ravel(),
            np.column_stack([low, low + 1]).ravel(),
            np.arange(0, 2 * len(low) + 1, 2, dtype=np.int32),
        ),
        shape=(len(low), len(table)),
    )
    return np.asarray(mix @ table)


def _sphere_table(radial: Array, diameters_nm: Array) -> tuple[Single, Array]:
    """Return the spectra of projected spheres [node, k], nm^3, and the diameters of the nodes.

    The nodes cover the range of `diameters_nm`.
    """
    nodes = np.linspace(diameters_nm.min() - 1e-6, diameters_nm.max() + 1e-6, 17)
    x = np.maximum(np.pi * nodes[:, None] * radial, 1e-3)
    shape = 3.0 * (np.sin(x) - x * np.cos(x)) / x**3
    return (np.pi / 6.0 * nodes[:, None] ** 3 * shape).astype(np.float32), nodes


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


def _factorise(transfers: Single) -> tuple[Single, Single]:
    """Factorise transfers [n, k] into weights [n, r] and basis [r, k].

    The basis is computed from a sample of about 400 particles at most. Each frequency is weighted
    by the number of points on its ring of the image spectrum, which grows with the radius.
    """
    ring = np.sqrt(np.arange(transfers.shape[1], dtype=np.float32) + 0.25)
    weighted = transfers * ring
    sample = weighted[:: max(1, len(weighted) // 400)].astype(np.float64)
    # the eigenvectors of the small Gram matrix give the SVD basis at a fraction of its cost
    squares, vectors = np.linalg.eigh(sample.T @ sample)
    kept = squares > _BASIS_TOLERANCE**2 * squares[-1]
    basis = np.ascontiguousarray(vectors[:, kept].T, np.float32)
    return weighted @ basis.T, basis / ring


def _rasterise_points(centres_nm: Array, weights: Single, raster: Raster) -> Iterator[Single]:
    """Draw points with weights [n, r] as quintic B-splines: yields r layers [y, x]."""
    columns, across = _spline_weights((centres_nm[:, 0] - raster.origin_u_nm) / raster.pixel_nm)
    rows, along = _spline_weights((centres_nm[:, 1] - raster.origin_v_nm) / raster.pixel_nm)
    pixels = rows[:, :, None] * raster.width + columns[:, None, :]
    values = along[:, :, None] * across[:, None, :]
    row_starts = np.arange(0, pixels.size + 1, pixels[0].size)
    splines = csr_array(
        (values.ravel(), pixels.ravel(), row_starts),
        shape=(len(centres_nm), raster.height * raster.width),
    )
    drawn_by = splines.T  # made once: scipy checks the indices of every new matrix
    for column in weights.T:
        yield np.asarray(drawn_by @ column).reshape(raster.height, raster.width)


def _spline_weights(position: Array) -> tuple[NDArray[np.int32], Single]:
    """Return the pixels [n, 6] under a quintic B-spline at `position` [n], and its values there."""
    whole = np.floor(position)
    offsets = np.arange(_SPLINE_DEGREE + 1, dtype=np.int32)
    pixels: NDArray[np.int32] = whole.astype(np.int32)[:, None] - _SPLINE_DEGREE // 2 + offsets
    powers = np.vander(position - whole, _SPLINE_DEGREE + 1)
    return pixels, (powers @ _spline_polynomials()).astype(np.float32)


@cache
def _spline_polynomials() -> Array:
    """Return the spline's coefficients [power, pixel] under each pixel, highest power first."""
    spline = BSpline.basis_element(np.arange(_SPLINE_DEGREE + 2))
    pieces = PPoly.from_spline(spline).c[:, _SPLINE_DEGREE : 2 * _SPLINE_DEGREE + 1]
    return np.asarray(pieces[:, ::-1])  # the last piece lies under the first pixel
