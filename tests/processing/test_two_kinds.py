"""Particles of two sizes or two materials: each kind is counted, one kind stays one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from processing import ProcessSettings, process_series
from processing.align.alignment import unaligned
from processing.fit.evidence import no_evidence
from processing.fit.spheres import SphereFit
from processing.live.series_counter import SeriesCounter
from processing.pipeline.search_start import SearchStart
from processing.pipeline.series_search import SeriesResult, find_particles
from processing.pipeline.two_kinds import second_size_hint
from processing.results import Trust
from processing.series import TiltSeries
from tests.support.spheres import image, packed

Float64 = NDArray[np.float64]

PIXELS, PIXEL_NM = 52, 0.9
ANGLES_DEG = np.arange(-70.0, 71.0, 5.0)
COUNTS = 4000.0


@dataclass(frozen=True)
class Case:
    """Diameters (px) of the bright and the faint kind; every n-th particle is bright."""

    name: str
    large_px: float
    small_px: float
    every: int
    scattering: float = 1.0
    """Signal of the faint kind over that of as large a particle of the bright kind."""


CASES = (
    Case("ratio 0.56, every third large", 8.2, 4.6, 3),
    Case("ratio 0.72, every second large", 7.6, 5.5, 2),
    Case("silver among gold, every second gold", 7.6, 7.6, 2, scattering=0.41),
    Case("gold among silver, every fifth gold", 7.6, 7.6, 5, scattering=0.41),
)


def centres_of(case: Case) -> tuple[Float64, NDArray[np.bool_]]:
    """Return centres [n, 3], px, and which are large."""
    centres = packed(18.0, 1.15 * case.large_px, order="disordered", seed=4)
    return centres, np.arange(len(centres)) % case.every == 0


def series_of(case: Case) -> TiltSeries:
    centres, large = centres_of(case)
    nothing = (0.0, 0.0, 0.0)
    images = np.stack(
        [
            image(centres[large], angle, case.large_px, PIXELS, nothing)
            + case.scattering * image(centres[~large], angle, case.small_px, PIXELS, nothing)
            for angle in ANGLES_DEG
        ]
    )
    scale = COUNTS / images.max()
    noisy = np.random.default_rng(1).poisson(images * scale)
    return TiltSeries(noisy.astype(np.float32), ANGLES_DEG, PIXEL_NM)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def found(request: pytest.FixtureRequest) -> tuple[Case, SeriesResult]:
    case: Case = request.param
    return case, process_series(series_of(case), ProcessSettings(analysis=False))


def test_every_particle_of_either_size_is_found_in_its_place(
    found: tuple[Case, SeriesResult],
) -> None:
    case, result = found
    centres, _ = centres_of(case)
    table = result.detection.table
    moved = table.centres_nm / PIXEL_NM
    # one series does not show the sense of its tilts; this one has the sense of the simulation
    moved = moved - moved.mean(axis=0) + centres.mean(axis=0)
    distance, index = cKDTree(centres).query(moved)
    assert len(table) == len(centres)
    assert len(np.unique(index[distance < 0.2 * case.small_px])) == len(centres)
    assert result.detection.count.n_low <= len(centres) <= result.detection.count.n_high


def test_each_particle_has_the_diameter_of_its_kind(found: tuple[Case, SeriesResult]) -> None:
    case, result = found
    centres, large = centres_of(case)
    table = result.detection.table
    moved = table.centres_nm / PIXEL_NM
    index = cKDTree(centres).query(moved - moved.mean(axis=0) + centres.mean(axis=0))[1]
    true_nm = PIXEL_NM * np.where(large[index], case.large_px, case.small_px)
    assert np.abs(table.diameter_nm / true_nm - 1).max() < 0.1
    assert list(table.kind) == list(np.where(large[index], 1, 2))
    assert table.kind_probability.min() > 0.99
    kinds = result.diameter.kinds
    assert [kind.particles for kind in kinds] == [int(large.sum()), int((~large).sum())]
    assert [kind.diameter_nm / PIXEL_NM for kind in kinds] == pytest.approx(
        [case.large_px, case.small_px], rel=0.05
    )
    assert kinds[1].share_low is not None and kinds[1].share_high is not None
    assert kinds[1].share_low <= 1 - large.mean() <= kinds[1].share_high
    signal = case.scattering * (case.small_px / case.large_px) ** 3
    assert kinds[1].signal == pytest.approx(signal, rel=0.1)


def test_two_kinds_are_named_and_no_reason_for_doubt(found: tuple[Case, SeriesResult]) -> None:
    case, result = found
    differ = "sizes" if case.scattering == 1 else "materials"
    assert any(f"particles of 2 {differ}" in line for line in result.warnings)
    verdict = result.detection.count.verdict
    assert verdict is not None and verdict.state is not Trust.REFUSED
    assert not any("fainter objects" in line for line in verdict.reasons)


def test_without_a_second_search_the_count_is_doubtful_and_its_interval_holds_both(
    found: tuple[Case, SeriesResult],
) -> None:
    case, result = found
    table, large = result.detection.table, result.diameter.kinds[0]
    start = SearchStart(
        result.volume,
        result.detection.centres,
        table.centres_nm[table.kind == 1],
        large.diameter_nm,
    )
    settings = ProcessSettings(diameter_nm=large.diameter_nm, second_size=False, analysis=False)
    series = series_of(case)
    count = find_particles(series, unaligned(series), settings, start=start).detection.count
    assert count.verdict is not None and count.verdict.state is not Trust.TRUSTED
    assert count.n_low <= len(centres_of(case)[0]) <= count.n_high


def test_live_counts_search_a_second_size_after_two_hints() -> None:
    """Few tilts often hint at a second size, and its search takes longer than all the rest."""
    case = CASES[0]
    live = ProcessSettings(own_diameters=False, thorough=False)
    series, counter = series_of(case), SeriesCounter(live)
    first, second = counter.count(series), counter.count(series)
    assert first is None  # too many of its particles may be wrong
    assert second is not None
    large = int(centres_of(case)[1].sum())
    kinds = second.result.diameter.kinds
    assert [kind.particles for kind in kinds] == [large, len(centres_of(case)[0]) - large]


@dataclass(frozen=True)
class Faint:
    """Faint objects among bright ones: their share by height, and the number of series."""

    name: str
    share_at_entrance: float
    share_at_exit: float
    series: int
    hints: bool


FAINT = (
    Faint("at all heights", 0.3, 0.3, 1, True),
    Faint("only where the beam leaves", 0.0, 0.5, 1, False),
    Faint("on one side, with two series", 0.0, 0.5, 2, True),
    Faint("nowhere", 0.0, 0.0, 1, False),
)


@pytest.mark.parametrize("case", FAINT, ids=lambda case: case.name)
def test_faint_objects_hint_at_a_second_size_unless_the_exit_side_explains_them(
    case: Faint,
) -> None:
    rng = np.random.default_rng(1)
    centres_nm = rng.uniform(-50.0, 50.0, (2000, 3))
    at_entrance = centres_nm[:, 2] > 0
    share = np.where(at_entrance, case.share_at_entrance, case.share_at_exit)
    usual = np.where(rng.random(len(share)) < share, 0.35, 1.0)
    amplitudes = usual * (1 + 0.03 * rng.standard_normal(len(usual)))
    blurs_nm, none = (1.0,) * case.series, no_evidence(case.series)
    fit = SphereFit(centres_nm, amplitudes, blurs_nm, 0.1, none, (), (), {})
    assert (second_size_hint(fit) > 0) == case.hints
