"""Particles and count intervals against known positions and numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.spatial import cKDTree

from processing.count.interval import (
    count_with_interval,
    missed_by_both,
    widen_by_fused,
    widen_by_wrong_places,
)
from processing.count.particles import (
    confidence,
    find_clusters,
    plateau,
)
from processing.count.wrong_places import (
    USUAL_SCATTER,
    Places,
    local_scatter,
    wrong_place_chance,
)
from processing.results import Count
from tests.support.spheres import packed


def centre_volume(points: np.ndarray, size: int, weights: np.ndarray) -> np.ndarray:
    """Distribute the weight of each point (x, y, z) over the eight voxels around it."""
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
def test_every_centre_is_found_at_its_position(points: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    volume = centre_volume(points, 56, rng.uniform(0.8, 1.2, len(points)))
    volume += centre_volume(rng.uniform(-20, 20, (60, 3)), 56, np.full(60, 0.01))
    clusters = find_clusters(volume, 6.0)
    threshold = plateau(clusters.weight)
    found = clusters.centres_px[clusters.weight >= threshold.value]
    assert threshold.n == len(points) == len(found)
    assert cKDTree(found).query(points)[0].max() < 0.25


def test_an_empty_volume_has_no_particles() -> None:
    clusters = find_clusters(np.zeros((20, 20, 20), np.float32), 6.0)
    assert len(clusters.weight) == 0
    assert plateau(clusters.weight).n == 0
    assert len(confidence(clusters.weight, 0.4)) == 0


def test_the_heavier_of_two_close_clusters_is_kept() -> None:
    points = np.array([[0.0, 0, 0], [3.0, 0, 0], [12.0, 0, 0]])
    clusters = find_clusters(centre_volume(points, 40, np.array([0.6, 1.0, 1.0])), 8.0)
    assert len(clusters.weight) == 2
    assert cKDTree(clusters.centres_px).query(points[1:])[0].max() < 1.5


@dataclass(frozen=True)
class Weights:
    id: str
    particles: np.ndarray
    noise: np.ndarray


RNG = np.random.default_rng(4)
WEIGHTS = [
    Weights("clean", RNG.normal(1, 0.1, 900), np.zeros(0)),
    Weights("weak noise clusters", RNG.normal(1, 0.1, 900), RNG.exponential(0.05, 4000)),
    Weights("wide spread of weights", RNG.lognormal(0, 0.2, 2500), RNG.exponential(0.03, 300)),
    Weights("six particles in noise", RNG.uniform(0.7, 1.3, 6), RNG.exponential(0.03, 80)),
]


@pytest.mark.parametrize("case", WEIGHTS, ids=lambda case: case.id)
def test_the_threshold_is_between_noise_and_particles(case: Weights) -> None:
    threshold = plateau(np.r_[case.particles, case.noise])
    assert abs(threshold.n - len(case.particles)) <= 0.01 * len(case.particles)
    assert threshold.n_low <= threshold.n <= threshold.n_high


def test_confidence_grows_with_weight_and_separates_noise_from_particles() -> None:
    weight = np.r_[RNG.normal(1, 0.15, 500), RNG.exponential(0.06, 500)]
    probability = confidence(weight, plateau(weight).value)
    assert np.all(np.diff(probability[np.argsort(weight)]) >= 0)
    assert probability[:500].mean() > 0.95
    assert probability[500:].mean() < 0.1


def detections(seed: int, recall_a: tuple[float, float], recall_b: tuple[float, float]) -> list:
    """Return particles, and those found in A and in B; the recall changes linearly with depth."""
    rng = np.random.default_rng(seed)
    points = packed(40, 7.7, order="fcc", seed=seed)
    depth = (points[:, 2] - points[:, 2].min()) / np.ptp(points[:, 2])
    found = [
        rng.uniform(size=len(points)) < np.interp(depth, [0, 1], recall)
        for recall in (recall_a, recall_b)
    ]
    return [points, *(points[f] + rng.normal(0, 0.2, (f.sum(), 3)) for f in found)]


@pytest.mark.parametrize(
    ("recall_a", "recall_b"),
    [((0.7, 1.0), (1.0, 0.7)), ((0.9, 0.99), (0.99, 0.95)), ((0.6, 0.9), (0.9, 0.6))],
    ids=["misses on opposite sides", "few misses", "many misses"],
)
def test_missed_particles_are_estimated_from_two_series(
    recall_a: tuple[float, float], recall_b: tuple[float, float]
) -> None:
    correct, rng = 0, np.random.default_rng(5)
    for seed in range(60):
        points, a, b = detections(seed, recall_a, recall_b)
        fused = points[np.unique(cKDTree(points).query(np.r_[a, b])[1])]
        false = rng.uniform([200, -40, -40], [280, 40, 40], (200, 3))
        missed = missed_by_both(np.r_[a, false[:120]], np.r_[b, false[80:]], fused, 1.6)
        margin = 1.96 * np.sqrt(missed.variance) + 0.5
        correct += abs(len(fused) + missed.expected - len(points)) <= margin
    assert correct >= 54


def test_an_interval_contains_its_count_and_widens_with_uncertainty() -> None:
    clear = np.r_[RNG.normal(1, 0.05, 1000), RNG.exponential(0.02, 100)]
    unclear = np.r_[RNG.normal(1, 0.25, 1000), RNG.exponential(0.15, 1000)]
    widths = []
    for weight in (clear, unclear):
        threshold = plateau(weight)
        count = count_with_interval(threshold, confidence(weight, threshold.value))
        assert count.n_low <= count.n <= count.n_high
        widths.append(count.n_high - count.n_low)
    assert widths[0] < 20
    assert widths[1] > 2 * widths[0]


@pytest.mark.parametrize(
    ("missed", "false"),
    [(0, 0), (30, 0), (0, 25), (30, 25)],
    ids=["no errors", "30 missed", "25 false", "30 missed, 25 false"],
)
def test_errors_of_a_series_widen_its_interval_after_fusion(missed: int, false: int) -> None:
    fused = packed(40, 7.7, order="fcc", seed=2)
    elsewhere = np.c_[np.full(false, 500.0), np.zeros(false), 9.0 * np.arange(false)]
    alone = np.r_[fused[missed:], elsewhere]
    before = Count(n=len(alone), n_low=len(alone) - 2, n_high=len(alone) + 2)
    after = widen_by_fused(before, alone, fused, 1.6)
    assert after.n == before.n
    assert after.n_low <= len(fused) <= after.n_high
    assert (after.n_high > before.n_high) == (missed > 0)
    assert (after.n_low < before.n_low) == (false > 0)


@dataclass(frozen=True)
class Place:
    name: str
    chance: tuple[float, float]
    """Smallest and largest chance that the place is wrong."""
    place_error: float = 0.0
    sharpness: float = 1.0
    scatter: float = 0.02
    usual_scatter: float = 0.02
    step: float = 0.0
    off_site: float = np.nan
    in_grains: bool = False


PLACES = [
    Place("no residual", (0, 1e-9)),
    Place("a small residual", (0, 0.001), 0.003),
    Place("a residual at the limit", (0.49, 0.51), 0.012),
    Place("a large residual", (0.99, 1), 0.05),
    # one series of 75 nm, and of 165 nm in steps of 6 and 2 degrees
    Place("a sharp exit side", (0, 1e-3), sharpness=0.9, step=1.2),
    Place("the entry side", (0, 0.03), scatter=0.04, usual_scatter=0.05, step=2.6),
    Place("the middle", (0.1, 0.4), 0, 0.55, scatter=0.06, usual_scatter=0.05, step=2.6),
    Place("the exit side", (0.5, 0.8), 0, 0.3, scatter=0.11, usual_scatter=0.05, step=2.6),
    Place(
        "exit side, even places", (0.25, 0.45), 0, 0.3, scatter=0.03, usual_scatter=0.05, step=2.6
    ),
    Place("exit side, close tilts", (0, 0.05), 0, 0.5, scatter=0.03, step=0.85),
    Place("exit side of A, sharp in B", (0, 1e-9), 0, 0.5, scatter=0.1),
    # a crystal of 165 nm in steps of 6 degrees
    Place("exit side, on a site", (0, 0.01), 0, 0.3, 0.11, 0.05, 2.6, off_site=0.1),
    Place("exit side, beside its site", (0.99, 1), 0, 0.3, 0.03, 0.05, 2.6, off_site=0.4),
    Place("seen beside its site, as in a fault", (0, 0.05), scatter=0.03, step=0.4, off_site=0.4),
    # several grains
    Place("exit side, on its site", (0, 0.3), 0, 0.4, 0.06, 0.05, 2.6, 0.1, in_grains=True),
    Place("exit side, off the grain", (0.95, 1), 0, 0.4, 0.06, 0.05, 2.6, 0.4, in_grains=True),
    Place("seen, in a grain not known", (0, 0.01), step=0.4, off_site=0.4, in_grains=True),
    Place("on a site, a large residual", (0.95, 1), 0.05, step=2.6, off_site=0.05),
    Place("no neighbours", (0, 1e-3), scatter=0.0, usual_scatter=0.0, step=0.1),
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_a_place_that_the_images_leave_open_is_uncertain(place: Place) -> None:
    lowest, highest = place.chance
    one = Places(
        place_error=np.array([place.place_error]),
        sharpness=np.array([place.sharpness]),
        scatter=np.array([place.scatter]),
        off_site=np.array([place.off_site]),
        in_grains=place.in_grains,
        usual_scatter=place.usual_scatter,
        step=place.step,
    )
    chance = wrong_place_chance(one)[0]
    assert lowest <= chance <= highest


def test_wrong_places_scatter_the_distances_of_neighbours() -> None:
    right = packed(40, 7.7, order="fcc", seed=2)
    wrong = right[:, 2] < -12
    shifted = right + wrong[:, None] * np.random.default_rng(1).normal(0, 1.5, right.shape)
    scatter = local_scatter(shifted, shifted, np.full(len(right), 6.3))
    assert np.median(scatter[wrong]) > 3 * np.median(scatter[~wrong])


@pytest.mark.parametrize("number", [0, 1, 2, 300], ids=lambda number: f"{number} loose particles")
def test_particles_without_contacts_show_no_scatter(number: int) -> None:
    places_nm = np.random.default_rng(5).uniform(0, 400, (number, 3))
    scatter = local_scatter(places_nm, places_nm, np.full(number, 6.3))
    assert scatter == pytest.approx(USUAL_SCATTER if number != 2 else 0.0)


@pytest.mark.parametrize(
    ("chances", "low", "high"),
    [(np.full(6, 1e-4), 5, 7), (np.full(1000, 0.01), 5 - 21, 7 + 21)],
    ids=["six certain places", "ten of a thousand wrong"],
)
def test_wrong_places_widen_an_interval(chances: np.ndarray, low: int, high: int) -> None:
    count = widen_by_wrong_places(Count(n=6, n_low=5, n_high=7), chances)
    assert (count.n_low, count.n_high) == (max(0, low), high)
