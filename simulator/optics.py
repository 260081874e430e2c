"""The HAADF image of an assembly, particle by particle and without voxels.

Each particle reaches the image through its own transfer function: its sphere's form factor, times
the blur and response of the gold already crossed (one Monte Carlo table), times the probe at its
height. All are smooth functions of one spatial frequency, so together they span a small space:
its basis is found by a singular value decomposition, the particles are laid out as points once
for each basis function, and the spectra are summed. Points are laid with quintic B-splines and
the splines divided out again, which places them far below a pixel.

Frame: u along x, v along y, height towards the source; the beam travels downwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2, rfftfreq
from scipy.interpolate import BSpline
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.sparse import csr_array
from scipy.special import j1

from controller.microscope.interface import ScanSettings
from simulator import transport
from simulator.settings import OpticsSettings
from simulator.specimen import Particles

Array = NDArray[np.float64]
Single = NDArray[np.float32]

MARGIN_NM = 16.0
"""Particles this far outside the field still count; it also keeps the far side from wrapping."""
FINEST_DETAIL = 11.0
"""The working grid has at least so many pixels on a particle's diameter."""
LARGEST_SIDE = 1536
"""Of the working grid, without its margin: a survey map is not worth finer ones."""
_RADIAL_SAMPLES = 192
_BASIS_TOLERANCE = 3e-4
_SPLINE_DEGREE = 5
_COVER_CELL_NM = 6.0


@dataclass(frozen=True)
class Raster:
    """The working grid: the scan's pixels, refined by a whole number and padded all round."""

    height: int
    width: int
    pixel_nm: float
    refinement: int
    origin_u_nm: float
    origin_v_nm: float
    """Where pixel [0, 0] lies; the field's centre is 0, 0."""

    @classmethod
    def around(cls, scan: ScanSettings, finest_nm: float) -> Raster:
        """Pad and refine `scan` until its pixels are not above `finest_nm`, or there are enough."""
        enough = max(1, LARGEST_SIDE // max(scan.width_px, scan.height_px))
        refinement = min(enough, int(np.ceil(scan.pixel_nm / finest_nm)))
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

    def field(self, image: Single, scan: ScanSettings) -> Single:
        """Cut the scan's own pixels out of an image on this grid."""
        margin = int(np.ceil(MARGIN_NM / self.pixel_nm))
        step = self.refinement
        return image[
            margin : margin + scan.height_px * step : step,
            margin : margin + scan.width_px * step : step,
        ]


def render(particles: Particles, scan: ScanSettings, optics: OpticsSettings) -> Single:
    """Render the share of the beam [y, x] that the detector collects from `particles`.

    Parameters
    ----------
    particles
        Centres as u, v, height in nm, tilted already; the focus is at height 0.
    scan
        The field: its centre is at u = v = 0, the image's rows run along +v.
    """
    raster = Raster.around(scan, float(particles.diameters_nm.mean()) / FINEST_DETAIL)
    seen = _in_reach(particles, raster)
    if not len(seen):
        return np.zeros((scan.height_px, scan.width_px), np.float32)
    radial, grid_index = _radial_grid(raster)
    weights, basis = _compress(_transfers(seen, radial, optics))
    layers = _lay_points(seen.centres_nm, weights, raster)
    spectrum = np.zeros(grid_index.shape, np.complex64)
    for layer, function in zip(layers, basis, strict=True):
        spectrum += rfft2(layer) * _rows(function[:, None], grid_index.ravel()).reshape(
            grid_index.shape
        )
    spectrum /= _spline_spectrum(raster) * raster.pixel_nm**2
    return raster.field(irfft2(spectrum, s=(raster.height, raster.width)), scan)


def crossed_gold_nm(particles: Particles) -> Array:
    """Return the solid gold [n] that the beam has crossed on its way to each centre, nm.

    It is averaged over a particle spacing or so across the beam, as the table's even medium asks.
    """
    centres = particles.centres_nm
    low = centres.min(axis=0) - 3 * _COVER_CELL_NM
    shape = np.ceil((centres.max(axis=0) + 3 * _COVER_CELL_NM - low) / _COVER_CELL_NM).astype(int)
    place = (centres - low) / _COVER_CELL_NM
    volumes = np.pi / 6.0 * particles.diameters_nm**3 / _COVER_CELL_NM**2
    density = np.zeros(shape)
    corner = np.floor(place).astype(int)
    for offset in np.ndindex(2, 2, 2):
        share = np.prod(1.0 - np.abs(place - corner - offset), axis=1)
        np.add.at(density, tuple((corner + offset).T), share * volumes)
    density = gaussian_filter(density, 1.0, mode="constant")
    above = np.flip(np.cumsum(np.flip(density, axis=2), axis=2), axis=2) - 0.5 * density
    return np.asarray(map_coordinates(above, place.T, order=1))


def _in_reach(particles: Particles, raster: Raster) -> Particles:
    """Keep what lies on the raster, clear of its edge by the spline's reach."""
    edge = (_SPLINE_DEGREE + 1) * raster.pixel_nm
    u, v = particles.centres_nm[:, 0], particles.centres_nm[:, 1]
    high_u = raster.origin_u_nm + raster.width * raster.pixel_nm - edge
    high_v = raster.origin_v_nm + raster.height * raster.pixel_nm - edge
    near = (u > raster.origin_u_nm + edge) & (u < high_u)
    near &= (v > raster.origin_v_nm + edge) & (v < high_v)
    return Particles(particles.centres_nm[near], particles.diameters_nm[near])


@lru_cache(maxsize=8)
def _radial_grid(raster: Raster) -> tuple[Array, Single]:
    """Sampled frequencies [k], 1/nm, and where on them each point of the spectrum falls."""
    rows = np.fft.fftfreq(raster.height, raster.pixel_nm)
    columns = rfftfreq(raster.width, raster.pixel_nm)
    radius = np.hypot(rows[:, None], columns[None, :])
    radial = np.linspace(0.0, radius.max(), _RADIAL_SAMPLES)
    return radial, (radius / radial[1]).astype(np.float32)


@lru_cache(maxsize=8)
def _spline_spectrum(raster: Raster) -> Single:
    rows = np.sinc(np.fft.fftfreq(raster.height))
    columns = np.sinc(rfftfreq(raster.width))
    return np.asarray(np.outer(rows, columns) ** (_SPLINE_DEGREE + 1), dtype=np.float32)


def _transfers(particles: Particles, radial: Array, optics: OpticsSettings) -> Single:
    """Transfer [n, k] of each particle, in nm^2 of beam share, by table look-up."""
    spheres, diameters = _sphere_table(radial, particles.diameters_nm)
    table = transport.load()
    cover = (table.on(radial) / transport.mean_free_path_nm()).astype(np.float32)
    heights = particles.centres_nm[:, 2]
    probes, nodes = _probe_table(radial, np.abs(heights).max(), optics)
    out = _rows(spheres, np.interp(particles.diameters_nm, diameters, np.arange(len(diameters))))
    out *= _rows(
        cover, np.interp(crossed_gold_nm(particles), table.depths_au_nm, np.arange(len(cover)))
    )
    out *= _rows(probes, np.interp(np.abs(heights), nodes, np.arange(len(nodes))))
    return out


def _rows(table: Single, index: Array | Single) -> Single:
    """Rows of `table` [m, k] at fractional positions [n], by linear interpolation."""
    low = np.minimum(index.astype(np.intp), len(table) - 2)
    share = (index - low).astype(np.float32)[:, None]
    return np.asarray(table[low] * (1.0 - share) + table[low + 1] * share)


def _sphere_table(radial: Array, diameters_nm: Array) -> tuple[Single, Array]:
    """Spectrum of a projected sphere [node, k], nm^3, for diameters over the range given."""
    nodes = np.linspace(diameters_nm.min() - 1e-6, diameters_nm.max() + 1e-6, 17)
    x = np.maximum(np.pi * nodes[:, None] * radial, 1e-3)
    shape = 3.0 * (np.sin(x) - x * np.cos(x)) / x**3
    return (np.pi / 6.0 * nodes[:, None] ** 3 * shape).astype(np.float32), nodes


def _probe_table(radial: Array, reach_nm: float, optics: OpticsSettings) -> tuple[Single, Array]:
    """Probe's transfer [node, k] at distances from focus up to `reach_nm`.

    A round aperture's incoherent transfer in focus (cut off at 2 alpha / lambda), times that of
    a disc of radius alpha x distance.
    """
    alpha = optics.convergence_mrad * 1e-3
    nodes = np.linspace(0.0, reach_nm + 1e-6, 33)
    share = np.minimum(radial * wavelength_nm(optics.voltage_kV) / (2.0 * alpha), 1.0)
    in_focus = 2.0 / np.pi * (np.arccos(share) - share * np.sqrt(1.0 - share**2))
    y = np.maximum(2.0 * np.pi * alpha * nodes[:, None] * radial, 1e-3)
    return (in_focus * 2.0 * j1(y) / y).astype(np.float32), nodes


def wavelength_nm(voltage_kV: float) -> float:
    """Relativistic electron wavelength, nm."""
    volts = voltage_kV * 1e3
    return float(1.226426 / np.sqrt(volts * (1.0 + 0.978476e-6 * volts)))


def _compress(transfers: Single) -> tuple[Single, Single]:
    """Write transfers [n, k] as weights [n, r] times basis [r, k].

    The basis comes from a spread of at most 400 particles; rings of the image's spectrum hold
    points in proportion to their radius and count accordingly.
    """
    ring = np.sqrt(np.arange(transfers.shape[1], dtype=np.float32) + 0.25)
    weighted = transfers * ring
    sample = weighted[:: max(1, len(weighted) // 400)].astype(np.float64)
    # by the small Gram matrix: the basis of an SVD at a fraction of its cost
    squares, turns = np.linalg.eigh(sample @ sample.T)
    kept = squares > _BASIS_TOLERANCE**2 * squares[-1]
    basis = ((turns[:, kept] / np.sqrt(squares[kept])).T @ sample).astype(np.float32)
    return weighted @ basis.T, basis / ring


def _lay_points(centres_nm: Array, weights: Single, raster: Raster) -> Iterator[Single]:
    """Lay points with weights [n, r] on the raster as quintic B-splines: r layers [y, x]."""
    columns, across = _spline((centres_nm[:, 0] - raster.origin_u_nm) / raster.pixel_nm)
    rows, along = _spline((centres_nm[:, 1] - raster.origin_v_nm) / raster.pixel_nm)
    pixels = rows[:, :, None] * raster.width + columns[:, None, :]
    values = along[:, :, None] * across[:, None, :]
    points = np.arange(0, pixels.size + 1, pixels[0].size)
    spread = csr_array(
        (values.ravel(), pixels.ravel(), points),
        shape=(len(centres_nm), raster.height * raster.width),
    )
    for column in weights.T:
        yield np.asarray(spread.T @ column).reshape(raster.height, raster.width)


def _spline(position: Array) -> tuple[NDArray[np.int32], Single]:
    """Pixels [n, 6] that a quintic B-spline at `position` [n] covers, and its values there."""
    first = np.floor(position).astype(np.int32) - _SPLINE_DEGREE // 2
    offsets = np.arange(_SPLINE_DEGREE + 1, dtype=np.int32)
    pixels: NDArray[np.int32] = first[:, None] + offsets
    spline = BSpline.basis_element(np.arange(_SPLINE_DEGREE + 2) - (_SPLINE_DEGREE + 1) / 2.0)
    values: Single = spline(position[:, None] - pixels).astype(np.float32)
    return pixels, values
