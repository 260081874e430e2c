"""Particles from a sparse sphere reconstruction, whose volume holds the sphere centres.

This volume consists of small clusters, one for each particle. The sum over a cluster is its weight,
its centroid the particle's centre. The threshold on the weight is on the plateau of n(threshold),
where the count depends on it least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from processing.parallel import each_in_threads, slabs
from processing.scratch import overlapping_slabs
from processing.series import Float32, Float64

CLUSTER_RADIUS = 0.42
"""Radius of the cluster of one particle, in diameters; neighbours are at least 1 diameter away."""
SMALLEST_DISTANCE = 0.7
"""Smallest distance of two particles, in diameters. Hard spheres cannot come nearer than 1, but the
measured centres have errors."""
SMALLEST_PEAK = 0.02
"""Smallest peak of a cluster, as a fraction of the highest; lower ones are noise of the solver."""
SMOOTHING = 0.12
"""Standard deviation, in diameters, of the filter that smooths noise inside a cluster."""
GAUSSIAN_CUTOFF = 4.0
"""Radius of the Gaussian filter in standard deviations."""
DENSEST_PACKING = 0.74
"""Largest volume fraction of equal spheres."""
MOST_CLUSTERS = 200_000
"""Largest number of clusters in any volume; only noise has more. It bounds time and memory."""
PEAKS_AT_A_TIME = 400
"""Peaks whose surroundings are taken from the volume together: they fit the processor's cache."""
THRESHOLD_RANGE = (0.15, 0.8)
"""Range in which the plateau is searched, in weights of a typical particle."""
THRESHOLD_UNCERTAINTY = 1.25
"""Factor by which the threshold may be wrong in either direction."""


@dataclass(frozen=True)
class Clusters:
    """Possible particles of one volume.

    Attributes
    ----------
    centres_px
        [n, 3], (x, y, z) from the volume's centre, pixels.
    weight
        [n], largest first; a typical particle of this volume has 1.
    """

    centres_px: Float64
    weight: Float64


@dataclass(frozen=True)
class Threshold:
    """Threshold weight that separates particles from noise.

    Attributes
    ----------
    value
        In weights of a typical particle.
    n, n_low, n_high
        Number of particles at the threshold, and at the threshold raised and lowered by
        `THRESHOLD_UNCERTAINTY`.
    """

    value: float
    n: int
    n_low: int
    n_high: int


def find_clusters(sphere_centres: Float32, diameter_px: float) -> Clusters:
    """Find the clusters of a sphere-centre volume [z, y, x]; keep the heavier of two close ones."""
    peaks = _local_maxima(sphere_centres, diameter_px)
    centres, weight = _centroids(sphere_centres, peaks, CLUSTER_RADIUS * diameter_px)
    centred = centres - (np.array(sphere_centres.shape) - 1) / 2
    return drop_close_clusters(Clusters(centred[:, ::-1].copy(), weight), diameter_px)


def most_clusters(shape: tuple[int, ...], diameter_px: float) -> int:
    """Return the largest number of clusters that is searched for in a volume: all that fit in."""
    volume_px = float(np.prod(shape))
    fitting = DENSEST_PACKING * volume_px / (np.pi / 6 * diameter_px**3)
    return int(min(max(fitting, 1.0), MOST_CLUSTERS))


def drop_close_clusters(clusters: Clusters, diameter_px: float) -> Clusters:
    """Drop clusters too close to a heavier one; sort by weight and set a typical weight to 1."""
    if len(clusters.weight) == 0:
        return clusters
    distance_px = SMALLEST_DISTANCE * diameter_px
    kept = heaviest_apart(clusters.centres_px, clusters.weight, distance_px)
    weight = clusters.weight[kept]
    return Clusters(clusters.centres_px[kept], weight / typical_weight(weight))


def typical_weight(weight: NDArray[np.floating]) -> float:
    """Return the median weight of the particles, i.e. of the clusters above half this median.

    The iteration starts from the largest weight, so that it also finds a few particles among many
    noise clusters.
    """
    reference = float(weight.max())
    if not reference > 0:
        return 1.0
    for _ in range(50):
        median = float(np.median(weight[weight >= reference / 2]))
        if median == reference:
            break
        reference = median
    return reference


def plateau(weight: Float64) -> Threshold:
    """Find the threshold on the plateau of n(threshold), where a change alters n least."""
    trials = np.geomspace(*THRESHOLD_RANGE, 80)
    ordered = np.sort(weight)

    def count(thresholds: Float64) -> NDArray[np.int64]:
        return len(ordered) - np.searchsorted(ordered, thresholds)

    factor = THRESHOLD_UNCERTAINTY
    change = count(trials / factor) - count(trials * factor)
    flattest = np.flatnonzero(change == change.min())
    value = float(trials[flattest[len(flattest) // 2]])
    low, n, high = count(value * np.array([factor, 1.0, 1 / factor]))
    return Threshold(value, int(n), int(low), int(high))


def confidence(weight: Float64, threshold: float) -> Float64:
    """Return the probability [n] that each cluster is a particle; it never falls with the weight.

    Particles and noise are two populations of log weight, separated by the threshold. The
    probability is the particles' fraction of the density. Only the sides that face each other
    matter: each population is a normal distribution with the width of that side.
    """
    if len(weight) == 0:
        return np.zeros(0)
    log_weight = np.log(np.maximum(weight, 1e-6))
    above = weight >= threshold
    particles = _side_density(log_weight, log_weight[above], side=-1)
    noise = _side_density(log_weight, log_weight[~above], side=+1)
    order = np.argsort(log_weight)
    probability = (particles / (particles + noise))[order]
    result = np.empty(len(weight))
    result[order] = np.maximum.accumulate(probability)
    return result


def _side_density(log_weight: Float64, sample: Float64, side: int) -> Float64:
    """Density of a sample at log weights, from its spread below (-1) or above (+1) its median."""
    floor = 1e-3  # keeps the probability away from exactly 0 and 1
    if len(sample) == 0:
        return np.full(len(log_weight), floor)
    middle = np.median(sample)
    distance = (sample - middle) * side
    width = max(float(np.sqrt(np.mean(distance[distance >= 0] ** 2))), 0.1)
    beyond = np.maximum((log_weight - middle) * side, 0) / width
    return np.asarray(len(sample) * np.exp(-0.5 * beyond**2) / width + floor, np.float64)


def _local_maxima(volume: Float32, diameter_px: float) -> NDArray[np.intp]:
    """Find the peaks [n, 3] (z, y, x) of the smoothed volume, in slabs to limit the memory."""
    sigma = SMOOTHING * diameter_px
    radius = max(1, round(0.35 * diameter_px))
    halo = radius + int(np.ceil(GAUSSIAN_CUTOFF * sigma)) + 1

    def in_slab(slab: slice, window: slice) -> tuple[NDArray[np.intp], Float32]:
        smooth = ndimage.gaussian_filter(
            volume[window], sigma, mode="constant", truncate=GAUSSIAN_CUTOFF
        )
        maximum = ndimage.maximum_filter(smooth, size=2 * radius + 1, mode="constant")
        found = np.argwhere((smooth == maximum) & (smooth > 0))
        values = smooth[tuple(found.T)]
        found_z = found[:, 0] + window.start
        own = (found_z >= slab.start) & (found_z < slab.stop)
        return found[own] + [window.start, 0, 0], values[own]

    slabs = list(overlapping_slabs(len(volume), halo))
    parts = each_in_threads(in_slab, *zip(*slabs, strict=True))
    peaks, value = (np.concatenate(each) for each in zip(*parts, strict=True))
    highest = np.argsort(-value, kind="stable")[: most_clusters(volume.shape, diameter_px)]
    high_enough = highest[value[highest] > SMALLEST_PEAK * value.max(initial=0.0)]
    kept: NDArray[np.intp] = peaks[np.sort(high_enough)]
    return kept


def _centroids(
    volume: Float32, peaks: NDArray[np.intp], radius_px: float
) -> tuple[Float64, Float64]:
    """Return centroids [n, 3] (z, y, x) and sums [n] of the volume in a ball around each peak.

    The ball is moved to its own centroid and evaluated again, three times in all.
    """
    parts = [peaks[part] for part in slabs(len(peaks), PEAKS_AT_A_TIME)]
    found = each_in_threads(lambda part: _centroids_of(volume, part, radius_px), parts)
    centres, weight = (np.concatenate(each) for each in zip(*found, strict=True))
    return centres, weight


def _centroids_of(
    volume: Float32, peaks: NDArray[np.intp], radius_px: float
) -> tuple[Float64, Float64]:
    """Return `_centroids` of some of the peaks."""
    half_side = int(np.ceil(radius_px))
    axis = np.arange(-half_side, half_side + 1)
    ball = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    ball = ball[(ball**2).sum(axis=1) <= radius_px**2]
    last = np.array(volume.shape) - 1
    centres = peaks.astype(np.float64)
    for _ in range(3):
        nearest = np.clip(np.rint(centres).astype(int), 0, last)
        voxels = nearest[:, None] + ball
        inside = ((voxels >= 0) & (voxels <= last)).all(axis=2)
        z, y, x = np.moveaxis(np.clip(voxels, 0, last), -1, 0)
        values = np.where(inside, volume[z, y, x], 0).astype(np.float64)
        weight = np.maximum(values.sum(axis=1), 1e-12)
        centres = nearest + (values @ ball) / weight[:, None]
    return centres, weight


def heaviest_apart(centres: Float64, weight: Float64, distance: float) -> NDArray[np.intp]:
    """Return indices, heaviest first, of clusters with no heavier kept one within `distance`."""
    return keep_heaviest(weight, cKDTree(centres).query_ball_point(centres, distance))


def keep_heaviest(weight: Float64, neighbours: Sequence[Sequence[int]]) -> NDArray[np.intp]:
    """Return indices, heaviest first, of objects that are no neighbours of a heavier kept one."""
    dropped = np.zeros(len(weight), bool)
    kept = []
    for index in np.argsort(-weight, kind="stable"):
        if not dropped[index]:
            kept.append(index)
            dropped[neighbours[index]] = True
    return np.array(kept, np.intp)
