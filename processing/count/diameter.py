"""The spheres' diameter, from the data alone.

A coarse scan asks which sphere explains a piece of the volume best: for each trial diameter the
piece is taken apart into spheres, put together again from their centres only, and compared. The
fine value comes from the images: known centres turn them into the mean particle's form factor,
whose first zero lies at q R = 4.4934 whatever isotropic blur multiplies it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage
from scipy.spatial import cKDTree

from processing.count.particles import Clusters, find_clusters, plateau
from processing.errors import ProcessingError
from processing.progress import Progress, silent
from processing.reconstruct.ssr import ball_form_factor, ssr_volume
from processing.series import Float32, Float64, TiltSeries

FIRST_ZERO = 4.493409458
"""q R at the first zero of a ball's form factor: tan x = x."""
SMALLEST_PX = 3.0
"""Below this a sphere is a pixel or two: nothing to measure."""
PIECE_PX = 64
"""Edge of the piece that the scan works on."""
COARSEST_PX = 5.0
"""A sphere is binned down to no less than this for the scan."""
FINE_RANGE = 0.25
"""The form factor's diameter is looked for within this share of the coarse one."""
AROUND_ZERO = 0.15
"""Reach of that fit to either side of the zero, as a share of its q."""
ENOUGH_TILTS = 24
"""Tilts that the form factor is taken from; all of them say the same."""
SETTLED = 0.04
"""A change of the diameter by less moves no centre enough to change the form factor."""


@dataclass(frozen=True)
class DiameterEstimate:
    """Diameter and how it was come by, pixels.

    Attributes
    ----------
    value_px
        The answer.
    coarse_px
        Where the scan peaks.
    trials_px, likeness
        [trial] the scan: correlation of the piece with its model of spheres.
    """

    value_px: float
    coarse_px: float
    trials_px: Float64
    likeness: Float64


def estimate_diameter(
    volume: Float32, series: TiltSeries, *, progress: Progress = silent
) -> DiameterEstimate:
    """Diameter of the spheres in a reconstruction [z, y, x] and its aligned series.

    Raises
    ------
    ProcessingError
        The volume is empty, or no trial finds a sphere.
    """
    piece = _busiest_piece(volume, PIECE_PX)
    if not piece.any():
        raise ProcessingError(
            f"series {series.name}: its reconstruction is empty; check the images' contrast"
        )
    largest_px = max(2 * SMALLEST_PX, 0.4 * min(piece.shape))
    coarse = np.geomspace(SMALLEST_PX, largest_px, 11)
    likeness = _scan(piece, coarse, lambda part: progress("diameter", 0.5 * part))
    if likeness.max() <= 0:
        raise ProcessingError(
            f"series {series.name}: no spheres of {SMALLEST_PX:.0f} to {largest_px:.0f} pixels "
            "found; give the diameter, or record at a finer pixel"
        )
    best = int(np.argmax(likeness))
    step = (coarse[1] / coarse[0]) ** np.array([-0.6, -0.3, 0.3, 0.6])
    closer = coarse[best] * step
    likeness_closer = _scan(piece, closer, lambda part: progress("diameter", 0.5 + 0.3 * part))
    order = np.argsort(trials := np.r_[coarse, closer])
    trials, likeness = trials[order], np.r_[likeness, likeness_closer][order]
    peak = _parabola_peak(np.log(trials), likeness)
    coarse_px = float(np.exp(peak))
    fine_px = _from_form_factor(volume, series, coarse_px, progress)
    return DiameterEstimate(fine_px, coarse_px, trials, likeness)


def pair_distance(centres: Float64) -> float | None:
    """Where g(r) first peaks, in the units of `centres` [n, 3]; None for under 20 particles."""
    if len(centres) < 20:
        return None
    tree = cKDTree(centres)
    nearest = float(np.median(tree.query(centres, 2)[0][:, 1]))
    edges = np.linspace(0.6 * nearest, 1.7 * nearest, 56)
    pairs = np.diff(tree.count_neighbors(tree, edges).astype(float))
    middle = (edges[1:] + edges[:-1]) / 2
    density = ndimage.gaussian_filter1d(pairs / middle**2, 1.5)
    return float(middle[np.argmax(density)])


@dataclass(frozen=True)
class FormFactor:
    """Radial form factor of the mean particle.

    Attributes
    ----------
    q_per_px
        [ring] radians a pixel.
    value
        [ring] F(q), in the images' units times square pixels.
    """

    q_per_px: Float64
    value: Float64


def mean_form_factor(series: TiltSeries, centres_px: Float64) -> FormFactor:
    """Form factor of the mean of the particles at `centres_px` [n, 3] (x, y, z).

    Least squares over some tilts: F(q) = sum I(q) S*(q) / sum |S(q)|^2, with S the spectrum of the
    projected centres.
    """
    rows, columns = series.images.shape[1:]
    q = 2 * np.pi * np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None]).ravel()
    ring_width = 2 * np.pi / max(rows, columns)
    ring = (q / ring_width).astype(int)
    rings = int(np.pi / ring_width)
    product, power = np.zeros(ring.max() + 1), np.zeros(ring.max() + 1)
    step = max(1, series.tilts // ENOUGH_TILTS)
    for image, angle in zip(series.images[::step], series.angles_rad[::step], strict=True):
        u = centres_px[:, 0] * np.cos(angle) + centres_px[:, 2] * np.sin(angle)
        structure = point_spectrum(centres_px[:, 1], u, (rows, columns))
        shared = (np.fft.rfft2(image) * structure.conj()).real
        product += np.bincount(ring, shared.ravel())
        power += np.bincount(ring, (np.abs(structure) ** 2).ravel())
    mean_q = np.bincount(ring, q) / np.bincount(ring)
    value = product / np.maximum(power, 1e-12)
    return FormFactor(mean_q[:rings], value[:rings])


def refined_diameter(series: TiltSeries, centres_px: Float64, near_px: float) -> float:
    """Diameter, pixels, of the mean of the particles at known centres [n, 3] (x, y, z).

    The form factor is fitted around its first zero only, by a ball under a gain a + b q^2: the gain
    stands for blur, for misplaced centres and for what neighbours in a lattice add, which are
    smooth there and move no zero. Near is within a quarter.
    """
    if len(centres_px) == 0:
        return near_px
    measured = mean_form_factor(series, centres_px)
    diameter_px = near_px
    for _ in range(4):
        diameter_px = _fit_around_zero(measured, diameter_px, near_px)
    return diameter_px


def _fit_around_zero(measured: FormFactor, centre_px: float, near_px: float) -> float:
    zero = 2 * FIRST_ZERO / centre_px
    ring_width = measured.q_per_px[2] - measured.q_per_px[1]
    reach = max(AROUND_ZERO * zero, 2.5 * ring_width)
    fit = np.abs(measured.q_per_px - zero) < reach
    if fit.sum() < 4:
        return centre_px
    q, value = measured.q_per_px[fit], measured.value[fit]
    trials = near_px * np.linspace(1 - FINE_RANGE, 1 + FINE_RANGE, 101)
    misfit = np.empty(len(trials))
    for index, diameter_px in enumerate(trials):
        ball = ball_form_factor(q, diameter_px)
        basis = np.stack([ball, ball * q**2], axis=1)
        misfit[index] = np.linalg.norm(value - basis @ np.linalg.lstsq(basis, value, rcond=None)[0])
    return _parabola_peak(trials, -misfit)


def point_spectrum(
    row_px: Float64, column_px: Float64, shape: tuple[int, int]
) -> np.ndarray[tuple[int, int], np.dtype[np.complex128]]:
    """`rfft2` of points given from the image's centre.

    Bilinear on a grid twice as fine, its sinc^2 divided out again: good to a few per mille.
    """
    fine = np.zeros([2 * n for n in shape])
    row = 2 * (row_px + (shape[0] - 1) / 2)
    column = 2 * (column_px + (shape[1] - 1) / 2)
    first_row, first_column = np.floor(row).astype(int), np.floor(column).astype(int)
    for down in (0, 1):
        for right in (0, 1):
            weight = (1 - np.abs(row - first_row - down)) * (
                1 - np.abs(column - first_column - right)
            )
            place = ((first_row + down) % fine.shape[0], (first_column + right) % fine.shape[1])
            np.add.at(fine, place, weight)
    spectrum = fft.rfft2(fine)
    half = shape[0] // 2
    kept = np.r_[0 : shape[0] - half, fine.shape[0] - half : fine.shape[0]]
    spectrum = spectrum[kept][:, : shape[1] // 2 + 1]
    droop = np.sinc(np.fft.fftfreq(shape[0]) / 2)[:, None] * np.sinc(np.fft.rfftfreq(shape[1]) / 2)
    return np.asarray(spectrum / droop**2, np.complex128)


def _busiest_piece(volume: Float32, edge: int) -> Float32:
    """The cube of at most `edge` voxels that holds most."""
    edges = [min(edge, n) for n in volume.shape]
    filled = ndimage.uniform_filter(volume, [max(1, n // 2) for n in edges], mode="constant")
    middle = np.unravel_index(int(filled.argmax()), volume.shape)
    starts = [
        int(np.clip(at - n // 2, 0, whole - n))
        for at, n, whole in zip(middle, edges, volume.shape, strict=True)
    ]
    window = tuple(slice(start, start + n) for start, n in zip(starts, edges, strict=True))
    return np.ascontiguousarray(volume[window])


def _scan(piece: Float32, trials_px: Float64, progress: Callable[[float], None]) -> Float64:
    likeness = np.zeros(len(trials_px))
    for index, diameter_px in enumerate(trials_px):
        likeness[index] = _likeness(piece, float(diameter_px))
        progress((index + 1) / len(trials_px))
    return likeness


def _likeness(piece: Float32, diameter_px: float) -> float:
    """Correlation of a piece with equal spheres on the centres found in it.

    Large spheres are as well compared on a coarser grid.
    """
    factor = max(1, int(diameter_px / COARSEST_PX))
    if factor > 1:
        piece, diameter_px = _binned(piece, factor), diameter_px / factor
    found = _particles(piece, diameter_px, iterations=10)
    if len(found.weight) == 0:
        return 0.0
    inner = tuple(slice(n // 12, n - n // 12) for n in piece.shape)
    model = _spheres(found.centres_px, piece.shape, diameter_px)[inner]
    if not model.any():
        return 0.0
    return float(np.corrcoef(piece[inner].ravel(), model.ravel())[0, 1])


def _binned(volume: Float32, factor: int) -> Float32:
    sides = [n // factor for n in volume.shape]
    whole = volume[tuple(slice(n * factor) for n in sides)]
    blocks = whole.reshape([part for n in sides for part in (n, factor)])
    return np.asarray(blocks.mean(axis=(1, 3, 5)), np.float32)


def _particles(volume: Float32, diameter_px: float, iterations: int) -> Clusters:
    clusters = find_clusters(ssr_volume(volume, diameter_px, iterations=iterations), diameter_px)
    kept = clusters.weight >= plateau(clusters.weight).value
    return Clusters(clusters.centres_px[kept], clusters.weight[kept])


def _spheres(centres_px: Float64, shape: tuple[int, ...], diameter_px: float) -> Float32:
    """Balls on centres to the nearest voxel: enough to compare trial diameters by."""
    points = np.zeros(shape, np.float32)
    nearest = np.rint(centres_px[:, ::-1] + (np.array(shape) - 1) / 2).astype(int)
    np.add.at(points, tuple(np.clip(nearest, 0, np.array(shape) - 1).T), 1)
    axes = [np.fft.fftfreq(n) for n in shape[:-1]] + [np.fft.rfftfreq(shape[-1])]
    squares = np.meshgrid(*[a * a for a in axes], indexing="ij", sparse=True)
    factor = ball_form_factor(2 * np.pi * np.sqrt(sum(squares)), diameter_px)
    return np.asarray(fft.irfftn(fft.rfftn(points) * factor, shape), np.float32)


def _parabola_peak(x: Float64, y: Float64) -> float:
    best = int(np.clip(np.argmax(y), 1, len(y) - 2))
    near = slice(best - 1, best + 2)
    curve, slope, _ = np.polyfit(x[near] - x[best], y[near], 2)
    if curve >= 0:
        return float(x[np.argmax(y)])
    return float(
        x[best] + np.clip(-slope / (2 * curve), x[near][0] - x[best], x[near][2] - x[best])
    )


def _from_form_factor(
    volume: Float32, series: TiltSeries, coarse_px: float, progress: Progress
) -> float:
    """Turn by turn: particles by the diameter so far, their form factor, its diameter."""
    diameter_px = coarse_px
    for turn in range(2):
        found = _particles(volume, diameter_px, iterations=8)
        before = diameter_px
        diameter_px = refined_diameter(series, found.centres_px, coarse_px)
        progress("diameter", 0.9 + 0.1 * turn)
        if abs(diameter_px / before - 1) < SETTLED:
            break
    return diameter_px
