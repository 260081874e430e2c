"""Particles and intervals against what was put in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.spatial import cKDTree

from processing.count.interval import beside_the_whole, count_with_interval, missed_by_both
from processing.count.particles import confidence, find_clusters, plateau
from processing.results import Count
from tests.support.spheres import packed


def centre_volume(points: np.ndarray, size: int, weights: np.ndarray) -> np.ndarray:
    """Each point (x, y, z) shared among the eight voxels around it."""
    volume = np.zeros((size, size, size), np.float32)
    place = points[:, ::-1] + (size - 1) / 2
    corner = np.floor(place).astype(int)
    for offset in np.ndindex(2, 2, 2):
        share = np.prod(1 - np.abs(place - corner - offset), axis=1)
        np.add.at(volume, tuple((corner + offset).T), (weights * share).astype(np.float32))
    return volume


@pytest.mark.parametrize(
    "points",
    [
        packed(20, 7.5, order="fcc", seed=1),
        packed(20, 7.5, order="disordered", seed=2),
        np.array([[1.3, -4.2, 0.4]]),
        np.array([[-9.0, 0, 0], [0, 0.4, 3], [8.2, 1, 0], [0, 9, -9], [0, -9, 9], [9, 9, 9.7]]),
    ],
    ids=["fcc", "disordered", "one", "six"],
)
def test_every_centre_is_found_where_it_is(points: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    volume = centre_volume(points, 56, rng.uniform(0.8, 1.2, len(points)))
    volume += centre_volume(rng.uniform(-20, 20, (60, 3)), 56, np.full(60, 0.01))
    clusters = find_clusters(volume, 6.0)
    threshold = plateau(clusters.weight)
    found = clusters.centres_px[clusters.weight >= threshold.value]
    assert threshold.n == len(points) == len(found)
    assert cKDTree(found).query(points)[0].max() < 0.25


def test_an_empty_volume_holds_nothing() -> None:
    clusters = find_clusters(np.zeros((20, 20, 20), np.float32), 6.0)
    assert len(clusters.weight) == 0
    assert plateau(clusters.weight).n == 0
    assert len(confidence(clusters.weight, 0.4)) == 0


def test_of_two_clusters_too_close_the_brighter_stays() -> None:
    points = np.array([[0.0, 0, 0], [3.0, 0, 0], [12.0, 0, 0]])
    clusters = find_clusters(centre_volume(points, 40, np.array([0.6, 1.0, 1.0])), 8.0)
    assert len(clusters.weight) == 2
    assert cKDTree(clusters.centres_px).query(points[1:])[0].max() < 1.5


@dataclass(frozen=True)
class Weights:
    id: str
    particles: np.ndarray
    dust: np.ndarray


RNG = np.random.default_rng(4)
WEIGHTS = [
    Weights("clean", RNG.normal(1, 0.1, 900), np.zeros(0)),
    Weights("dust far below", RNG.normal(1, 0.1, 900), RNG.exponential(0.05, 4000)),
    Weights("wide particles", RNG.lognormal(0, 0.2, 2500), RNG.exponential(0.03, 300)),
    Weights("six among dust", RNG.uniform(0.7, 1.3, 6), RNG.exponential(0.03, 80)),
]


@pytest.mark.parametrize("case", WEIGHTS, ids=lambda case: case.id)
def test_the_threshold_sits_between_dust_and_particles(case: Weights) -> None:
    threshold = plateau(np.r_[case.particles, case.dust])
    assert abs(threshold.n - len(case.particles)) <= 0.01 * len(case.particles)
    assert threshold.n_low <= threshold.n <= threshold.n_high


def test_confidence_grows_with_weight_and_tells_dust_from_particles() -> None:
    weight = np.r_[RNG.normal(1, 0.15, 500), RNG.exponential(0.06, 500)]
    chance = confidence(weight, plateau(weight).value)
    assert np.all(np.diff(chance[np.argsort(weight)]) >= 0)
    assert chance[:500].mean() > 0.95
    assert chance[500:].mean() < 0.1


def looks(seed: int, recall_a: tuple[float, float], recall_b: tuple[float, float]) -> list:
    """Particles with A's and B's detections, whose chances run with depth."""
    rng = np.random.default_rng(seed)
    points = packed(40, 7.7, order="fcc", seed=seed)
    depth = (points[:, 2] - points[:, 2].min()) / np.ptp(points[:, 2])
    seen = [
        rng.uniform(size=len(points)) < np.interp(depth, [0, 1], recall)
        for recall in (recall_a, recall_b)
    ]
    return [points, *(points[s] + rng.normal(0, 0.2, (s.sum(), 3)) for s in seen)]


@pytest.mark.parametrize(
    ("recall_a", "recall_b"),
    [((0.7, 1.0), (1.0, 0.7)), ((0.9, 0.99), (0.99, 0.95)), ((0.6, 0.9), (0.9, 0.6))],
    ids=["opposite sides", "nearly all", "both poor"],
)
def test_missed_particles_are_estimated_from_two_looks(
    recall_a: tuple[float, float], recall_b: tuple[float, float]
) -> None:
    held, rng = 0, np.random.default_rng(5)
    for seed in range(60):
        points, a, b = looks(seed, recall_a, recall_b)
        seen = len(np.unique(cKDTree(points).query(np.r_[a, b])[1]))
        whole = points[np.unique(cKDTree(points).query(np.r_[a, b])[1])]
        ghosts = rng.uniform([200, -40, -40], [280, 40, 40], (200, 3))
        missed = missed_by_both(np.r_[a, ghosts[:120]], np.r_[b, ghosts[80:]], whole, 1.6)
        doubt = 1.96 * np.sqrt(missed.variance) + 0.5
        held += abs(seen + missed.expected - len(points)) <= doubt
    assert held >= 54


def test_an_interval_holds_its_count_and_widens_with_doubt() -> None:
    sure = np.r_[RNG.normal(1, 0.05, 1000), RNG.exponential(0.02, 100)]
    unsure = np.r_[RNG.normal(1, 0.25, 1000), RNG.exponential(0.15, 1000)]
    widths = []
    for weight in (sure, unsure):
        threshold = plateau(weight)
        count = count_with_interval(threshold, confidence(weight, threshold.value))
        assert count.n_low <= count.n <= count.n_high
        widths.append(count.n_high - count.n_low)
    assert widths[0] < 20
    assert widths[1] > 2 * widths[0]


@pytest.mark.parametrize(("missed", "made_up"), [(0, 0), (30, 0), (0, 25), (30, 25)], ids=str)
def test_a_series_faults_widen_its_interval_once_both_are_fused(missed: int, made_up: int) -> None:
    whole = packed(40, 7.7, order="fcc", seed=2)
    ghosts = np.c_[np.full(made_up, 500.0), np.zeros(made_up), 9.0 * np.arange(made_up)]
    alone = np.r_[whole[missed:], ghosts]
    before = Count(n=len(alone), n_low=len(alone) - 2, n_high=len(alone) + 2)
    after = beside_the_whole(before, alone, whole, 1.6)
    assert after.n == before.n
    assert after.n_low <= len(whole) <= after.n_high
    assert (after.n_high > before.n_high) == (missed > 0)
    assert (after.n_low < before.n_low) == (made_up > 0)
