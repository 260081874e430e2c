"""The spheres' diameter, from the data alone.

A coarse scan asks which sphere explains a piece of the volume best: for each trial diameter the
piece is taken apart into spheres, put together again from their centres only, and compared. The
fine value comes from the images: the particles of the whole volume, found by the coarse diameter,
turn them into the mean particle's form factor, which has its first zero where the diameter says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage
from scipy.spatial import cKDTree

from processing.count.form_factor import diameter_at_zero, mean_form_factor
from processing.count.particles import find_clusters, plateau
from processing.errors import ProcessingError
from processing.progress import Progress, silent
from processing.reconstruct.convolution import ball_form_factor
from processing.reconstruct.ssr import ssr_volume
from processing.scratch import Allocate, in_memory, overlapping_slabs
from processing.series import Float32, Float64, TiltSeries

SMALLEST_PX = 3.0
"""Below this a sphere is a pixel or two: nothing to measure."""
TRIALS = 11
PIECE_PX = 64
"""Edge of the piece that the scan works on."""
PIECE_ITERATIONS = 10
WHOLE_ITERATIONS = 3
"""Nearly every particle stands out by then; where exactly it is, the form factor does not ask."""
NEARLY_AS_GOOD = 0.85
"""Of the best likeness: what a smaller sphere gains beyond it is not its own merit."""
COARSEST_PX = 5.0
"""A sphere is binned down to no less than this to be found."""
ENOUGH_TO_UNLOCK = 100
"""Fewer centres need not lie evenly within their voxels."""
SETTLED = 0.1
"""Particles found by a diameter that is off by more are found once more."""


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
    volume: Float32,
    series: TiltSeries,
    *,
    allocate: Allocate = in_memory,
    progress: Progress = silent,
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
    trials = np.geomspace(SMALLEST_PX, largest_px, TRIALS)
    likeness = _scan(piece, trials, lambda part: progress("diameter", 0.4 * part))
    if likeness.max() <= 0:
        raise ProcessingError(
            f"series {series.name}: no spheres of {SMALLEST_PX:.0f} to {largest_px:.0f} pixels "
            "found; give the diameter, or record at a finer pixel"
        )
    coarse_px = float(np.exp(_parabola_peak(np.log(trials), likeness, _simplest(likeness))))
    fine_px = _from_whole_volume(volume, series, coarse_px, allocate, progress)
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


def refined_diameter(series: TiltSeries, centres_px: Float64, near_px: float) -> float:
    """Diameter, pixels, of the mean of the particles at known centres [n, 3] (x, y, z).

    From the images' form factor (`diameter_at_zero`); near is within a quarter. Only the half where
    the beam enters is asked: a centre placed by noise and blur finds in the images, at the zero,
    the noise that placed it.
    """
    if len(centres_px) == 0:
        return near_px
    entrance = centres_px[:, 2] >= np.median(centres_px[:, 2])
    rows, columns = series.images.shape[1:]
    placed = _unlocked(centres_px[entrance], (columns, rows, columns))
    return diameter_at_zero(mean_form_factor(series, placed), near_px)


def _unlocked(centres_px: Float64, sides: tuple[int, ...]) -> Float64:
    """Centres [n, 3] freed from their leaning towards the voxels' centres, where they are many.

    Small spheres are found nearer to a voxel's centre than they are. Centres that know the grid
    bring its aliases into the form factor, so their places within the voxel are spread evenly, in
    their order: what PIV does against peak locking (Roth and Katz, Meas. Sci. Technol. 2001, 12,
    238).
    """
    if len(centres_px) < ENOUGH_TO_UNLOCK:
        return centres_px
    middle = (np.array(sides) - 1) / 2
    voxel = np.rint(centres_px + middle)
    rank = (centres_px + middle - voxel).argsort(axis=0).argsort(axis=0)
    return np.asarray(voxel + (rank + 0.5) / len(rank) - 0.5 - middle, np.float64)


def _busiest_piece(volume: Float32, edge: int) -> Float32:
    """The cube of at most `edge` voxels that holds most."""
    edges = [min(edge, n) for n in volume.shape]
    reach = [max(1, n // 2) for n in edges]
    most, middle = -np.inf, (0, 0, 0)
    for slab, window in overlapping_slabs(len(volume), halo=reach[0]):
        filled = ndimage.uniform_filter(volume[window], reach, mode="constant")
        filled = filled[slab.start - window.start : slab.stop - window.start]
        if filled.max() > most:
            z, y, x = np.unravel_index(int(filled.argmax()), filled.shape)
            most, middle = float(filled.max()), (slab.start + int(z), int(y), int(x))
    starts = [
        int(np.clip(at - n // 2, 0, whole - n))
        for at, n, whole in zip(middle, edges, volume.shape, strict=True)
    ]
    piece = tuple(slice(start, start + n) for start, n in zip(starts, edges, strict=True))
    return np.ascontiguousarray(volume[piece])


def _scan(piece: Float32, trials_px: Float64, progress: Callable[[float], None]) -> Float64:
    likeness = np.zeros(len(trials_px))
    for index, diameter_px in enumerate(trials_px):
        likeness[index] = _likeness(piece, float(diameter_px))
        progress((index + 1) / len(trials_px))
    return likeness


def _likeness(piece: Float32, diameter_px: float) -> float:
    """Correlation of a piece with equal spheres on the centres found in it."""
    factor = _binning(diameter_px)
    piece, diameter_px = _binned(piece, factor), diameter_px / factor
    centres = _particles(piece, diameter_px, PIECE_ITERATIONS, in_memory)
    if len(centres) == 0:
        return 0.0
    inner = tuple(slice(n // 12, n - n // 12) for n in piece.shape)
    model = _spheres(centres, piece.shape, diameter_px)[inner]
    if not model.any():
        return 0.0
    return float(np.corrcoef(piece[inner].ravel(), model.ravel())[0, 1])


def _from_whole_volume(
    volume: Float32, series: TiltSeries, coarse_px: float, allocate: Allocate, progress: Progress
) -> float:
    """All particles by the diameter so far, their form factor, its diameter."""
    diameter_px = coarse_px
    for turn in range(2):
        centres_px = _all_particles(volume, diameter_px, allocate)
        before, diameter_px = diameter_px, refined_diameter(series, centres_px, diameter_px)
        progress("diameter", 0.7 + 0.3 * turn)
        if abs(diameter_px / before - 1) < SETTLED:
            break
    return diameter_px


def _all_particles(volume: Float32, diameter_px: float, allocate: Allocate) -> Float64:
    """Centres [n, 3] (x, y, z) in the whole volume, found on a coarser grid where that will do.

    All of them: in a crystal the images of the others would speak at the same Bragg peaks.
    """
    factor = _binning(diameter_px)
    coarse = _binned(volume, factor)
    centres = _particles(coarse, diameter_px / factor, WHOLE_ITERATIONS, allocate)
    cut_off = np.array(volume.shape[::-1]) - factor * np.array(coarse.shape[::-1])
    return np.asarray(factor * centres - cut_off / 2, np.float64)


def _binning(diameter_px: float) -> int:
    return max(1, int(diameter_px / COARSEST_PX))


def _binned(volume: Float32, factor: int) -> Float32:
    """Means over cubes of `factor` voxels; what is left at the far sides is cut off."""
    if factor == 1:
        return volume
    sides = [n // factor for n in volume.shape]
    whole = volume[tuple(slice(n * factor) for n in sides)]
    blocks = whole.reshape([part for n in sides for part in (n, factor)])
    return np.asarray(blocks.mean(axis=(1, 3, 5)), np.float32)


def _particles(volume: Float32, diameter_px: float, iterations: int, allocate: Allocate) -> Float64:
    """Centres [n, 3] (x, y, z) of the spheres in a volume."""
    spheres = ssr_volume(volume, diameter_px, iterations=iterations, allocate=allocate)
    clusters = find_clusters(spheres, diameter_px)
    return clusters.centres_px[clusters.weight >= plateau(clusters.weight).value]


def _spheres(centres_px: Float64, shape: tuple[int, ...], diameter_px: float) -> Float32:
    """Balls on centres to the nearest voxel: enough to compare trial diameters by."""
    points = np.zeros(shape, np.float32)
    nearest = np.rint(centres_px[:, ::-1] + (np.array(shape) - 1) / 2).astype(int)
    np.add.at(points, tuple(np.clip(nearest, 0, np.array(shape) - 1).T), 1)
    axes = [np.fft.fftfreq(n) for n in shape[:-1]] + [np.fft.rfftfreq(shape[-1])]
    squares = np.meshgrid(*[a * a for a in axes], indexing="ij", sparse=True)
    factor = ball_form_factor(2 * np.pi * np.sqrt(sum(squares)), diameter_px)
    return np.asarray(fft.irfftn(fft.rfftn(points) * factor, shape), np.float32)


def _simplest(likeness: Float64) -> int:
    """The largest trial that does nearly as well as the best: ever more small spheres explain all.

    Of the run that the best is in: a few spheres as large as the assembly repeat its outline.
    """
    best = int(likeness.argmax())
    worse = np.flatnonzero(likeness[best:] < NEARLY_AS_GOOD * likeness[best])
    return best + int(worse[0]) - 1 if worse.size else len(likeness) - 1


def _parabola_peak(x: Float64, y: Float64, at: int) -> float:
    best = int(np.clip(at, 1, len(y) - 2))
    near = slice(best - 1, best + 2)
    curve, slope, _ = np.polyfit(x[near] - x[best], y[near], 2)
    if curve >= 0:
        return float(x[at])
    return float(
        x[best] + np.clip(-slope / (2 * curve), x[near][0] - x[best], x[near][2] - x[best])
    )
