"""Own diameters: two measurements averaged, the spread without their errors, kinds by size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from processing.count.kinds import FittedKind, kind_chances, kind_counts
from processing.count.own_sizes import OwnSizes, combine_measurements, spread_of
from processing.files.particles import ParticleTable
from processing.pipeline.own_diameters import mean_at_zero, particle_kinds, with_statistics
from processing.results import Count, Diameter

Float64 = NDArray[np.float64]

NUMBER = 600
PLACES = np.random.default_rng(1).uniform(-30, 30, (NUMBER, 3))
ONE_KIND = np.zeros(NUMBER, np.int64)


@dataclass(frozen=True)
class Measured:
    """Spread of log diameters, and errors of brightness and profile beyond noise."""

    name: str
    spread: float
    brightness: float
    profile: float
    trend: float = 0.0
    """Error of the brightness from the top to the bottom."""


CASES = (
    Measured("one size", 0.0, 0.0, 0.0),
    Measured("a spread", 0.08, 0.0, 0.01),
    Measured("channelling changes the brightness", 0.05, 0.06, 0.01),
    Measured("the exit side is darker", 0.05, 0.005, 0.005, trend=0.2),
)
NOISE = np.array([[1e-5, 5e-6], [5e-6, 4e-5]])


def drawn(case: Measured) -> tuple[Float64, OwnSizes]:
    """Return true log diameters, and those measured."""
    rng = np.random.default_rng(2)
    true = case.spread * rng.standard_normal(NUMBER)
    errors = rng.multivariate_normal([0, 0], NOISE, NUMBER)
    errors += rng.standard_normal((NUMBER, 2)) * [case.brightness, case.profile]
    errors[:, 0] += case.trend * PLACES[:, 2] / 60
    noise = np.broadcast_to(NOISE, (NUMBER, 2, 2))
    return true, combine_measurements(true[:, None] + errors, noise, PLACES, ONE_KIND)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_sizes_and_their_errors_are_right(case: Measured) -> None:
    true, sizes = drawn(case)
    error = sizes.log_size - true - np.median(sizes.log_size - true)
    better = min(np.hypot(case.brightness, 0.0032), np.hypot(case.profile, 0.0063))
    told = float(np.sqrt(np.mean(sizes.error**2)))
    assert error.std() < 1.2 * told
    assert told < 1.3 * np.hypot(better, 0.1 * case.spread)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_spread_holds_no_measurement_errors(case: Measured) -> None:
    true, sizes = drawn(case)
    spread = spread_of(sizes.log_size, sizes.error)
    assert abs(spread.value - true.std()) < 2.5 * spread.error + 0.002


def test_the_worse_measurement_counts_less() -> None:
    noisy_brightness = drawn(CASES[2])[1].brightness_share.mean()
    assert noisy_brightness < 0.2 < 0.6 < drawn(CASES[1])[1].brightness_share.mean()


@pytest.mark.parametrize("number", [0, 1, 2, 5])
def test_few_particles_have_sizes_and_errors(number: int) -> None:
    noise = np.broadcast_to(NOISE, (number, 2, 2))
    sizes = combine_measurements(
        np.zeros((number, 2)), noise, np.zeros((number, 3)), np.zeros(number, np.int64)
    )
    assert len(sizes.log_size) == number
    assert (sizes.error > 0.01).all()


KINDS = (FittedKind(6.3), FittedKind(4.9, 0.47))


def kinds_table(spread: float) -> tuple[ParticleTable, NDArray[np.int64]]:
    """Return particles of two kinds, 60 % large, and their true kinds, from 0."""
    rng = np.random.default_rng(3)
    true = (rng.random(NUMBER) < 0.4).astype(np.int64)
    log_diameter = np.log(np.where(true == 0, 6.3, 4.9)) + spread * rng.standard_normal(NUMBER)
    error = np.full(NUMBER, 0.01)
    chances = kind_chances(log_diameter, error, true, 2)
    diameter = np.exp(log_diameter)
    table = ParticleTable(
        PLACES,
        diameter,
        np.ones(NUMBER),
        diameter_se_nm=diameter * error,
        kind=1 + chances.argmax(axis=1),
        kind_probability=chances.max(axis=1),
    )
    return table, true


def test_kinds_are_counted_with_intervals_and_their_shares() -> None:
    table, true = kinds_table(0.05)
    large, small = particle_kinds(table, KINDS, Count(n=NUMBER, n_low=595, n_high=603))
    numbers = np.bincount(true)
    for kind, number in zip((large, small), numbers, strict=True):
        assert kind.n_low is not None and kind.n_high is not None
        assert kind.n_low <= number <= kind.n_high
        assert kind.share_low is not None and kind.share_high is not None
        assert kind.share_low <= number / NUMBER <= kind.share_high
        assert kind.spread_se is not None and kind.spread is not None
        assert abs(kind.spread / kind.diameter_nm - 0.05) < 0.006
    assert large.particles + small.particles == NUMBER
    wrong = table.kind - 1 != true
    assert wrong.mean() < 0.01
    assert table.kind_probability[wrong].max() < 0.99


def test_kinds_that_overlap_are_uncertain() -> None:
    table, _ = kinds_table(0.12)
    (_, small) = particle_kinds(table, KINDS, Count(n=NUMBER, n_low=NUMBER, n_high=NUMBER))
    assert small.n_low is not None and small.n_high is not None
    assert small.n_high - small.n_low > 15
    assert np.quantile(table.kind_probability, 0.1) < 0.9


def test_one_kind_is_certain() -> None:
    chances = kind_chances(np.zeros(5), np.full(5, 0.01), np.zeros(5, np.int64), 1)
    assert chances == pytest.approx(np.ones((5, 1)))
    (only,) = kind_counts(chances, np.zeros(5, np.int64), Count(n=5, n_low=4, n_high=6))
    assert (only.n_low, only.n, only.n_high) == (4, 5, 6)


def test_the_summary_has_mean_spread_and_errors() -> None:
    rng = np.random.default_rng(4)
    diameter = 6.3 * (1 + 0.08 * rng.standard_normal(NUMBER))
    table = ParticleTable(PLACES, diameter, np.ones(NUMBER), diameter_se_nm=np.full(NUMBER, 0.05))
    found = with_statistics(Diameter(value=6.3, source="given"), table)
    assert found.mean == pytest.approx(diameter.mean())
    assert found.spread == pytest.approx(np.sqrt(diameter.var() - 0.05**2), rel=0.02)
    assert found.se_rms == pytest.approx(0.05)
    assert mean_at_zero(6.3, table) == pytest.approx(6.3 / (1 + 0.08**2), rel=0.002)


def test_tables_without_own_diameters_have_no_spread() -> None:
    table = ParticleTable(PLACES, np.full(NUMBER, 6.3), np.ones(NUMBER))
    assert with_statistics(Diameter(value=6.3, source="given"), table).mean is None
    assert mean_at_zero(6.3, table) == 6.3


@dataclass(frozen=True)
class SmoothChange:
    """Smooth change of the diameters with the distance from the middle, as each measurement has it.

    The larger the change that only one shows, the less it is known which of them is right.
    """

    name: str
    brightness: float
    profile: float
    is_real: bool


SMOOTH_CHANGES = (
    SmoothChange("both show it", 0.02, 0.02, is_real=True),
    SmoothChange("they show it differently", 0.04, 0.02, is_real=False),
    SmoothChange("the brightness alone shows it", 0.02, 0.0, is_real=True),
)


@pytest.mark.parametrize("number", [600, 5000])
@pytest.mark.parametrize("case", SMOOTH_CHANGES, ids=lambda case: case.name)
def test_a_smooth_change_is_uncertain_where_the_measurements_differ(
    case: SmoothChange, number: int
) -> None:
    rng = np.random.default_rng(6)
    places = rng.uniform(-30, 30, (number, 3))
    change = (places**2).sum(axis=1) / 900
    change -= change.mean()
    errors = rng.multivariate_normal([0, 0], NOISE, number)
    noise = np.broadcast_to(NOISE, (number, 2, 2))
    measured = change[:, None] * (case.brightness, case.profile) + errors
    sizes = combine_measurements(measured, noise, places, np.zeros(number, np.int64))
    found = float(np.polyfit(change, sizes.log_size, 1)[0])
    assert found == pytest.approx(case.profile, abs=0.002), "the profile tells the smooth change"
    told = float(np.sqrt(np.mean(sizes.error**2)))
    smooth = 0.0 if case.is_real else (case.brightness - case.profile) * change.std()
    assert told == pytest.approx(np.hypot(smooth, 0.0032), rel=0.15)
    kept = case.profile * change.std() if case.is_real else 0.0
    assert spread_of(sizes.log_size, sizes.error).value == pytest.approx(kept, abs=0.003)


def test_errors_grow_with_the_number_of_particles_that_overlap() -> None:
    rng = np.random.default_rng(7)
    told = []
    for number in (200, 1600, 12800):
        true = 0.08 * rng.standard_normal(number)
        measured = true[:, None] + rng.multivariate_normal([0, 0], NOISE, number)
        noise = np.broadcast_to(NOISE, (number, 2, 2))
        places = rng.uniform(-30, 30, (number, 3))
        sizes = combine_measurements(measured, noise, places, np.zeros(number, np.int64))
        told.append(float(np.sqrt(np.mean(sizes.error**2))))
        spread = spread_of(sizes.log_size, sizes.error)
        assert abs(spread.value - true.std()) < 2.5 * spread.error + 0.001
    assert told[0] < 0.75 * told[1] < 0.5 * told[2]


@pytest.mark.parametrize("small_share", [0.0, 0.02, 0.2, 0.4, 0.7])
def test_the_spread_holds_a_second_size_but_no_outliers(small_share: float) -> None:
    """Few small values are measurements that failed, many are particles of another size."""
    rng = np.random.default_rng(4)
    small = rng.permutation(5000) < small_share * 5000
    values = np.where(small, 4.9, 6.3) + 0.02 * rng.standard_normal(5000)
    true_nm = 0.0 if small_share < 0.1 else 1.4 * (small_share * (1 - small_share)) ** 0.5
    assert spread_of(values, np.full(5000, 0.02)).value == pytest.approx(true_nm, abs=0.02)


def test_the_error_of_a_spread_follows_from_those_of_the_sizes() -> None:
    values = 0.05 * np.random.default_rng(8).standard_normal(5000)
    exact, uncertain = (spread_of(values, np.full(5000, error)) for error in (0.001, 0.04))
    assert exact.error < 0.02 * exact.value
    assert uncertain.error > 0.2 * uncertain.value
