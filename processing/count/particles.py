"""Particles from the sphere centres that a sparse sphere reconstruction leaves.

A reconstruction of sphere centres is a volume of small clusters, one a particle. A cluster's sum
is its weight, its centroid the particle's centre; the threshold on the weight sits on the plateau
of n(threshold), where the count depends on it least.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from processing.scratch import overlapping_slabs
from processing.series import Float32, Float64

CLUSTER_RADIUS = 0.42
"""Reach of one particle's cluster, diameters: neighbours are a diameter away at least."""
CLOSEST = 0.7
"""Two clusters nearer than this, in diameters, are one particle: hard spheres, measured badly."""
FAINTEST = 0.02
"""Clusters under this fraction of the brightest are the solver's dust."""
SMOOTHING = 0.12
"""Standard deviation, diameters, by which noise inside a cluster is evened out."""
GAUSSIAN_REACH = 4.0
"""Standard deviations after which the Gaussian is cut off."""
THRESHOLD_RANGE = (0.15, 0.8)
"""Where the plateau is looked for, in weights of a typical particle."""
THRESHOLD_DOUBT = 1.25
"""The threshold is known to about this factor."""


@dataclass(frozen=True)
class Clusters:
    """Everything that might be a particle.

    Attributes
    ----------
    centres_px
        [n, 3], (x, y, z) from the volume's centre, pixels.
    weight
        [n], 1 is a typical particle of this volume; largest first.
    """

    centres_px: Float64
    weight: Float64


@dataclass(frozen=True)
class Threshold:
    """A weight that parts particles from dust.

    Attributes
    ----------
    value
        In weights of a typical particle.
    n, n_low, n_high
        Particles at it, and where it is raised and lowered by its doubt.
    """

    value: float
    n: int
    n_low: int
    n_high: int


def find_clusters(sphere_centres: Float32, diameter_px: float) -> Clusters:
    """Clusters of a sphere-centre volume [z, y, x], the brighter of two close ones kept."""
    peaks = _local_maxima(sphere_centres, diameter_px)
    centres, weight = _settle(sphere_centres, peaks, CLUSTER_RADIUS * diameter_px)
    centred = centres - (np.array(sphere_centres.shape) - 1) / 2
    return apart(Clusters(centred[:, ::-1].copy(), weight), diameter_px)


def apart(clusters: Clusters, diameter_px: float) -> Clusters:
    """Clusters, brightest first, none too close to a brighter one; a typical weight is 1."""
    if len(clusters.weight) == 0:
        return clusters
    kept = _brightest_apart(clusters.centres_px, clusters.weight, CLOSEST * diameter_px)
    weight = clusters.weight[kept]
    return Clusters(clusters.centres_px[kept], weight / typical_weight(weight))


def typical_weight(weight: NDArray[np.floating]) -> float:
    """Median of the upper population: a fixed point of the median over half of itself.

    Started from the brightest, so that a few particles in much dust are found as well.
    """
    reference = float(weight.max())
    if not reference > 0:
        return 1.0
    for _ in range(50):
        settled = float(np.median(weight[weight >= reference / 2]))
        if settled == reference:
            break
        reference = settled
    return reference


def plateau(weight: Float64) -> Threshold:
    """Threshold on the plateau of n(threshold): where a change of it loses or gains fewest."""
    trials = np.geomspace(*THRESHOLD_RANGE, 80)
    ordered = np.sort(weight)

    def count(thresholds: Float64) -> NDArray[np.int64]:
        return len(ordered) - np.searchsorted(ordered, thresholds)

    steepness = count(trials / THRESHOLD_DOUBT) - count(trials * THRESHOLD_DOUBT)
    flattest = np.flatnonzero(steepness == steepness.min())
    value = float(trials[flattest[len(flattest) // 2]])
    low, n, high = count(value * np.array([THRESHOLD_DOUBT, 1.0, 1 / THRESHOLD_DOUBT]))
    return Threshold(value, int(n), int(low), int(high))


def confidence(weight: Float64, threshold: float) -> Float64:
    """Chance that each cluster is a particle, [n]; never falling with the weight.

    Particles and dust are two populations of log weight, parted by the threshold; the answer is
    the share of the particles' density. Only the sides that face each other matter: each
    population is a normal one as wide as that side.
    """
    if len(weight) == 0:
        return np.zeros(0)
    log_weight = np.log(np.maximum(weight, 1e-6))
    above = weight >= threshold
    particles = _side_density(log_weight, log_weight[above], toward=-1)
    dust = _side_density(log_weight, log_weight[~above], toward=+1)
    order = np.argsort(log_weight)
    chance = (particles / (particles + dust))[order]
    result = np.empty(len(weight))
    result[order] = np.maximum.accumulate(chance)
    return result


def _side_density(at: Float64, sample: Float64, toward: int) -> Float64:
    """Particles a unit of log weight, from the spread of a sample's side below or above."""
    floor = 1e-3  # nothing is a particle, or dust, beyond every doubt
    if len(sample) == 0:
        return np.full(len(at), floor)
    middle = np.median(sample)
    side = (sample - middle) * toward
    width = max(float(np.sqrt(np.mean(side[side >= 0] ** 2))), 0.1)
    beyond = np.maximum((at - middle) * toward, 0) / width
    return np.asarray(len(sample) * np.exp(-0.5 * beyond**2) / width + floor, np.float64)


def _local_maxima(volume: Float32, diameter_px: float) -> NDArray[np.intp]:
    """Peaks [n, 3] (z, y, x) of the smoothed volume; in slabs, which bound the memory."""
    sigma = SMOOTHING * diameter_px
    reach = max(1, round(0.35 * diameter_px))
    halo = reach + int(np.ceil(GAUSSIAN_REACH * sigma)) + 1
    peaks, heights = [], []
    for slab, window in overlapping_slabs(len(volume), halo):
        smooth = ndimage.gaussian_filter(
            volume[window], sigma, mode="constant", truncate=GAUSSIAN_REACH
        )
        top = ndimage.maximum_filter(smooth, size=2 * reach + 1, mode="constant")
        found = np.argwhere((smooth == top) & (smooth > 0))
        found_z = found[:, 0] + window.start
        own = (found_z >= slab.start) & (found_z < slab.stop)
        peaks.append(found[own] + [window.start, 0, 0])
        heights.append(smooth[tuple(found[own].T)])
    height = np.concatenate(heights)
    high: NDArray[np.intp] = np.concatenate(peaks)[height > FAINTEST * height.max(initial=0.0)]
    return high


def _settle(volume: Float32, peaks: NDArray[np.intp], radius_px: float) -> tuple[Float64, Float64]:
    """Centroids [n, 3] (z, y, x) and sums [n] of the volume within a radius, centred on itself."""
    reach = int(np.ceil(radius_px))
    axis = np.arange(-reach, reach + 1)
    ball = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    ball = ball[(ball**2).sum(axis=1) <= radius_px**2]
    last = np.array(volume.shape) - 1
    centres = peaks.astype(np.float64)
    for _ in range(3):
        nearest = np.clip(np.rint(centres).astype(int), 0, last)
        around = nearest[:, None] + ball
        inside = ((around >= 0) & (around <= last)).all(axis=2)
        z, y, x = np.moveaxis(np.clip(around, 0, last), -1, 0)
        values = np.where(inside, volume[z, y, x], 0).astype(np.float64)
        weight = np.maximum(values.sum(axis=1), 1e-12)
        centres = nearest + (values @ ball) / weight[:, None]
    return centres, weight


def _brightest_apart(centres: Float64, weight: Float64, distance: float) -> NDArray[np.intp]:
    """Indices of the clusters kept, brightest first, none within `distance` of a brighter one."""
    neighbours = cKDTree(centres).query_ball_point(centres, distance)
    dropped = np.zeros(len(centres), bool)
    kept = []
    for index in np.argsort(-weight):
        if not dropped[index]:
            kept.append(index)
            dropped[neighbours[index]] = True
    return np.array(kept, np.intp)
