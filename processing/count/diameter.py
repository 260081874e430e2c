"""Estimate the diameter of the spheres from the reconstruction and the images.

A coarse scan finds the diameter that explains a part of the volume best. For each trial diameter,
spheres are found in this part, a model is built from their centres alone, and the model is compared
with the part. The fine value comes from the images: the particles of the whole volume, found with
the coarse diameter, give the form factor of the mean particle, whose first zero gives the diameter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import fft, ndimage
from scipy.spatial import cKDTree

from processing.count.form_factor import MeasuredDiameter, diameter_at_zero, mean_form_factor
from processing.count.particles import find_clusters, plateau
from processing.device import CPU, Device
from processing.errors import ProcessingError
from processing.parallel import each_in_threads
from processing.progress import Progress, silent
from processing.reconstruct.convolution import ball_form_factor
from processing.reconstruct.ssr import ssr_volume
from processing.scratch import Allocate, in_memory, overlapping_slabs
from processing.series import Float32, Float64, TiltSeries

SMALLEST_PX = 3.0
"""Smallest diameter that is searched; a smaller sphere has too few pixels."""
TRIALS = 11
PIECE_PX = 64
"""Edge of the part of the volume used in the scan."""
PIECE_ITERATIONS = 10
WHOLE_ITERATIONS = 3
"""Iterations for the whole volume. Nearly every particle is detected by then, and the form factor
does not need exact positions."""
NEARLY_AS_GOOD = 0.85
"""Fraction of the best correlation at which a larger sphere is preferred to a smaller one."""
CLEAR_PEAK = 1.1
"""Smallest maximum of a clear scan, relative to its median."""
CERTAIN_TRIALS = range(1, 8)
"""Trials whose maximum needs no other scan. The smallest spheres explain noise; spheres wider than
a quarter of the part, the outline of the assembly."""
SMALLEST_BINNED_PX = 5.0
"""Smallest diameter to which a sphere is binned to be found."""
FEWEST_TO_SPREAD = 100
"""Fewest centres that are spread evenly within their voxels."""
CONVERGED = 0.1
"""Largest relative change of the diameter after which particles are not searched again."""


@dataclass(frozen=True)
class DiameterEstimate:
    """Estimated diameter and the scan it is based on, pixels.

    Attributes
    ----------
    value_px
        Estimated diameter.
    coarse_px
        Diameter at the maximum of the scan.
    trials_px, correlation
        [trial], the scan: trial diameters, and correlation of the part with its sphere model.
    """

    value_px: float
    coarse_px: float
    trials_px: Float64
    correlation: Float64


def estimate_diameter(
    volume: Float32,
    series: TiltSeries,
    *,
    device: Device = CPU,
    allocate: Allocate = in_memory,
    progress: Progress = silent,
) -> DiameterEstimate:
    """Estimate the diameter of the spheres from a reconstruction [z, y, x] and its aligned series.

    Raises
    ------
    ProcessingError
        The volume is empty, or no trial diameter finds a sphere.
    """
    if not volume.any():
        raise ProcessingError(
            f"series {series.name}: its reconstruction is empty; check the images' contrast"
        )
    trials, correlation = _clear_scan(volume, device, lambda part: progress("diameter", 0.4 * part))
    if correlation.max() <= 0:
        raise ProcessingError(
            f"series {series.name}: no spheres of {trials[0]:.0f} to {trials[-1]:.0f} pixels "
            "found; give the diameter, or record at a finer pixel"
        )
    coarse_px = _coarse_diameter(trials, correlation)
    fine_px = _from_whole_volume(volume, series, coarse_px, device, allocate, progress)
    return DiameterEstimate(fine_px, coarse_px, trials, correlation)


def pair_distance(centres: Float64) -> float | None:
    """Return the first peak of g(r) of `centres` [n, 3], in their unit; None for n below 20."""
    if len(centres) < 20:
        return None
    tree = cKDTree(centres)
    nearest = float(np.median(tree.query(centres, 2)[0][:, 1]))
    edges = np.linspace(0.6 * nearest, 1.7 * nearest, 56)
    pairs = np.diff(tree.count_neighbors(tree, edges).astype(float))
    middle = (edges[1:] + edges[:-1]) / 2
    density = ndimage.gaussian_filter1d(pairs / middle**2, 1.5)
    return float(middle[np.argmax(density)])


def refined_diameter(series: TiltSeries, centres_px: Float64, start_px: float) -> MeasuredDiameter:
    """Return the mean diameter of particles at known centres [n, 3] (x, y, z).

    It comes from the form factor of the images (`diameter_at_zero`), within 25 % of `start_px`.
    Only the half at the beam's entrance side is used. On the exit side, noise and blur displace the
    centres; such centres correlate with the noise in the images, also at the zero.
    """
    if len(centres_px) == 0:
        return MeasuredDiameter(start_px)
    entrance = centres_px[:, 2] >= np.median(centres_px[:, 2])
    rows, columns = series.images.shape[1:]
    spread = _spread_within_voxels(centres_px[entrance], (columns, rows, columns))
    return diameter_at_zero(mean_form_factor(series, spread), start_px)


def _spread_within_voxels(centres_px: Float64, sides: tuple[int, ...]) -> Float64:
    """Spread centres [n, 3] evenly within their voxels, keeping their order; needs many centres.

    Centres of small spheres are biased towards the voxels' centres. This bias would add aliases of
    the voxel grid to the form factor. PIV corrects its peak locking in the same way (Roth and Katz,
    Meas. Sci. Technol. 2001, 12, 238).
    """
    if len(centres_px) < FEWEST_TO_SPREAD:
        return centres_px
    middle = (np.array(sides) - 1) / 2
    voxel = np.rint(centres_px + middle)
    rank = (centres_px + middle - voxel).argsort(axis=0).argsort(axis=0)
    return np.asarray(voxel + (rank + 0.5) / len(rank) - 0.5 - middle, np.float64)


def _busiest_piece(volume: Float32, edge: int) -> Float32:
    """Return the cube of at most `edge` voxels a side about the point of largest local mean."""
    edges = [min(edge, n) for n in volume.shape]
    averaged = [max(1, n // 2) for n in edges]

    def largest_mean(slab: slice, window: slice) -> tuple[float, tuple[int, int, int]]:
        mean = ndimage.uniform_filter(volume[window], averaged, mode="constant")
        mean = mean[slab.start - window.start : slab.stop - window.start]
        z, y, x = np.unravel_index(int(mean.argmax()), mean.shape)
        return float(mean[z, y, x]), (slab.start + int(z), int(y), int(x))

    slabs = overlapping_slabs(len(volume), halo=averaged[0])
    found = each_in_threads(largest_mean, *zip(*slabs, strict=True))
    _, middle = max(found, key=lambda each: each[0])
    starts = [
        int(np.clip(at - n // 2, 0, whole - n))
        for at, n, whole in zip(middle, edges, volume.shape, strict=True)
    ]
    piece = tuple(slice(start, start + n) for start, n in zip(starts, edges, strict=True))
    return np.ascontiguousarray(volume[piece])


def _clear_scan(
    volume: Float32, device: Device, progress: Callable[[float], None]
) -> tuple[Float64, Float64]:
    """Return trial diameters and correlations [trial] of a part of the volume.

    The part holds no spheres much wider than a third of its edge, and its noise may be explained by
    the smallest spheres as well as its particles by the right ones. If it does not show one
    diameter alone, coarser parts are tried, whose noise is averaged. If none of them does, the scan
    with the highest clear maximum stands; if none is clear, the first.
    """
    factor, scans = 1, []
    while True:
        piece = _busiest_piece(_binned(volume, factor), PIECE_PX)
        largest_px = max(2 * SMALLEST_PX, 0.4 * min(piece.shape))
        trials = np.geomspace(SMALLEST_PX, largest_px, TRIALS)
        found = factor * trials, _scan(piece, trials, device, progress)
        if _has_single_peak(found[1]):
            return found
        scans.append(found)
        if min(volume.shape) <= factor * PIECE_PX:
            break
        factor *= 2
    first, *coarser = scans
    clear = [first] * _has_clear_peak(first[1])
    # a maximum at the smallest trial of a coarser part is that of smaller spheres
    clear += [scan for scan in coarser if scan[1].argmax() > 0 and _has_clear_peak(scan[1])]
    return max(clear, key=lambda scan: scan[1].max(), default=first)


def _has_single_peak(correlation: Float64) -> bool:
    """Return true for a clear maximum within `CERTAIN_TRIALS` that no distant trial equals."""
    best = int(correlation.argmax())
    good = np.flatnonzero(correlation >= NEARLY_AS_GOOD * correlation[best])
    alone = bool((np.diff(good) == 1).all())
    return best in CERTAIN_TRIALS and alone and _has_clear_peak(correlation)


def _has_clear_peak(correlation: Float64) -> bool:
    peak = _largest_good_trial(correlation)
    inside = peak < len(correlation) - 1
    return inside and bool(correlation[peak] > CLEAR_PEAK * np.median(correlation))


def _scan(
    piece: Float32, trials_px: Float64, device: Device, progress: Callable[[float], None]
) -> Float64:
    """Return the correlation [trial] of a part of the volume with its sphere models."""
    trials = [float(diameter_px) for diameter_px in trials_px]
    correlation: list[float] = []
    of_trial = partial(_model_correlation, piece, device=device)
    # a part is too small to keep several cores busy with one trial
    for found in device.map(of_trial, trials):
        correlation.append(found)
        progress(len(correlation) / len(trials))
    return np.array(correlation)


def _model_correlation(piece: Float32, diameter_px: float, device: Device) -> float:
    """Correlate a part of the volume with equal spheres at the centres found in it."""
    factor = _binning(diameter_px)
    piece, diameter_px = _binned(piece, factor), diameter_px / factor
    centres = _particles(piece, diameter_px, PIECE_ITERATIONS, device, in_memory)
    if len(centres) == 0:
        return 0.0
    inner = tuple(slice(n // 12, n - n // 12) for n in piece.shape)
    model = _spheres(centres, piece.shape, diameter_px)[inner]
    if not model.any():
        return 0.0
    return float(np.corrcoef(piece[inner].ravel(), model.ravel())[0, 1])


def _from_whole_volume(
    volume: Float32,
    series: TiltSeries,
    coarse_px: float,
    device: Device,
    allocate: Allocate,
    progress: Progress,
) -> float:
    """Find all particles with the coarse diameter and refine it; repeat once if it changed much."""
    diameter_px = coarse_px
    for attempt in range(2):
        centres_px = _all_particles(volume, diameter_px, device, allocate)
        found = refined_diameter(series, centres_px, diameter_px)
        before, diameter_px = diameter_px, found.value_px
        progress("diameter", 0.7 + 0.3 * attempt)
        if abs(diameter_px / before - 1) < CONVERGED:
            break
    return diameter_px


def _all_particles(
    volume: Float32, diameter_px: float, device: Device, allocate: Allocate
) -> Float64:
    """Find the centres [n, 3] (x, y, z) in the whole volume, binned if the spheres are large.

    All particles are needed: in a crystal, missed particles contribute to the same Bragg peaks.
    """
    factor = _binning(diameter_px)
    coarse = _binned(volume, factor)
    centres = _particles(coarse, diameter_px / factor, WHOLE_ITERATIONS, device, allocate)
    dropped = np.array(volume.shape[::-1]) - factor * np.array(coarse.shape[::-1])
    return np.asarray(factor * centres - dropped / 2, np.float64)


def _binning(diameter_px: float) -> int:
    return max(1, int(diameter_px / SMALLEST_BINNED_PX))


def _binned(volume: Float32, factor: int) -> Float32:
    """Average over cubes of `factor` voxels a side; drop incomplete cubes at the far sides."""
    if factor == 1:
        return volume
    sides = [n // factor for n in volume.shape]
    whole = volume[tuple(slice(n * factor) for n in sides)]
    blocks = whole.reshape([part for n in sides for part in (n, factor)])
    return np.asarray(blocks.mean(axis=(1, 3, 5)), np.float32)


def _particles(
    volume: Float32, diameter_px: float, iterations: int, device: Device, allocate: Allocate
) -> Float64:
    """Find the centres [n, 3] (x, y, z) of the spheres in a volume."""
    spheres = ssr_volume(
        volume, diameter_px, iterations=iterations, device=device, allocate=allocate
    )
    clusters = find_clusters(spheres, diameter_px)
    return clusters.centres_px[clusters.weight >= plateau(clusters.weight).value]


def _spheres(centres_px: Float64, shape: tuple[int, ...], diameter_px: float) -> Float32:
    """Build a model of equal spheres, each at the voxel nearest to its centre."""
    points = np.zeros(shape, np.float32)
    nearest = np.rint(centres_px[:, ::-1] + (np.array(shape) - 1) / 2).astype(int)
    np.add.at(points, tuple(np.clip(nearest, 0, np.array(shape) - 1).T), 1)
    axes = [np.fft.fftfreq(n) for n in shape[:-1]] + [np.fft.rfftfreq(shape[-1])]
    squares = np.meshgrid(*[a * a for a in axes], indexing="ij", sparse=True)
    factor = ball_form_factor(2 * np.pi * np.sqrt(sum(squares)), diameter_px)
    return np.asarray(fft.irfftn(fft.rfftn(points) * factor, shape), np.float32)


def _largest_good_trial(correlation: Float64) -> int:
    """Return the index of the largest trial diameter that is nearly as good as the best.

    Many small spheres can explain any volume, so the larger diameter is preferred. Only trials
    next to the best one without a worse one in between are used: a few spheres as large as the
    assembly reproduce its outline.
    """
    best = int(correlation.argmax())
    worse = np.flatnonzero(correlation[best:] < NEARLY_AS_GOOD * correlation[best])
    return best + int(worse[0]) - 1 if worse.size else len(correlation) - 1


def _coarse_diameter(trials_px: Float64, correlation: Float64) -> float:
    """Return the diameter at the maximum of a scan.

    The scan of few tilts is flat, and the largest good trial is then larger than the best one. A
    parabola would return to the best one, whose refinement does not reach a diameter 25 % larger.
    """
    chosen = _largest_good_trial(correlation)
    if chosen != correlation.argmax():
        return float(trials_px[chosen])
    return float(np.exp(_parabola_peak(np.log(trials_px), correlation, chosen)))


def _parabola_peak(x: Float64, y: Float64, at: int) -> float:
    best = int(np.clip(at, 1, len(y) - 2))
    near = slice(best - 1, best + 2)
    curvature, slope, _ = np.polyfit(x[near] - x[best], y[near], 2)
    if curvature >= 0:
        return float(x[at])
    return float(
        x[best] + np.clip(-slope / (2 * curvature), x[near][0] - x[best], x[near][2] - x[best])
    )
