"""Live counts of a growing series, and what the final result takes from them."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from controller.model.tilt_order import recording_order
from processing.combine import register
from processing.combine.coarse import coarse_candidates
from processing.count.diameter import estimate_diameter
from processing.live.fused_counter import FusedCounter
from processing.live.series_counter import (
    LiveCount,
    SeriesCounter,
    reduce_to_counting_size,
)
from processing.pipeline import series_search
from processing.pipeline.search_start import SearchStart
from processing.pipeline.series_search import SeriesResult, find_particles
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.single import process_series
from processing.series import TiltSeries
from tests.processing.live_series import ANGLES_DEG, first, recorded
from tests.support.spheres import Recording, jittered, packed, tilt_series

SIZE = 64
DISORDERED = packed(21.0, 8.6, order="disordered", seed=3)
FINAL = ProcessSettings(analysis=False)
"""Settings of a final result but for the standard errors of the positions, which no test reads."""
LIVE = ProcessSettings(own_diameters=False, thorough=False)
"""Settings of the count child."""


@pytest.fixture(scope="module")
def series() -> TiltSeries:
    return recorded(DISORDERED, SIZE)


@pytest.fixture(scope="module")
def final(series: TiltSeries) -> SeriesResult:
    return process_series(series, FINAL)


@pytest.fixture(scope="module")
def live_counts(series: TiltSeries) -> dict[int, LiveCount | None]:
    """Counts by one counter, by the number of tilts recorded; two scan for the diameter."""
    counter = SeriesCounter(LIVE)
    scans = Mock(side_effect=estimate_diameter)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(series_search, "estimate_diameter", scans)
        counts = {tilts: counter.count(first(series, tilts)) for tilts in (8, 24, 28, 31)}
    assert scans.call_count == 2  # the third count takes the diameter that both found
    return counts


def test_half_of_a_golden_series_shows_all_particles(series: TiltSeries) -> None:
    order = recording_order(ANGLES_DEG.tolist(), "golden", 0.0, 2)
    places = np.searchsorted(ANGLES_DEG, order)
    golden = replace(series, images=series.images[places], angles_deg=np.array(order))
    counter = SeriesCounter(LIVE)
    counts = [counter.count(first(golden, tilts)) for tilts in (10, 16)]
    half = process_series(first(golden, 16), FINAL).detection.count
    for count in (counts[1].count if counts[1] is not None else None, half):
        assert count is not None and count.n_low <= len(DISORDERED) <= count.n_high
        assert abs(count.n - len(DISORDERED)) <= 0.01 * len(DISORDERED)


def test_a_live_count_is_close_before_the_series_is_complete(
    live_counts: dict[int, LiveCount | None],
) -> None:
    assert live_counts[8] is None  # 28 degrees
    found = {tilts: live.count for tilts, live in live_counts.items() if live is not None}
    truth = len(DISORDERED)
    assert found[31].n_low <= truth <= found[31].n_high
    assert abs(found[31].n - truth) <= 0.02 * truth
    assert abs(found[24].n - truth) <= 0.1 * truth
    widths = [found[tilts].n_high - found[tilts].n_low for tilts in (24, 31) if tilts in found]
    assert widths == sorted(widths, reverse=True)


def test_particles_that_the_count_before_lacks_are_found(
    series: TiltSeries, live_counts: dict[int, LiveCount | None]
) -> None:
    """A search that starts from half of the assembly finds the other half as well."""
    live = live_counts[31]
    assert live is not None
    found = live.result
    volume, centres = found.volume.copy(), found.detection.centres.copy()
    volume[:, :, SIZE // 2 :] = centres[:, :, SIZE // 2 :] = 0
    table = found.detection.table
    known_nm = table.centres_nm[table.centres_nm[:, 0] < 0]
    start = SearchStart(volume, centres, known_nm, found.diameter.value)
    known = LIVE.model_copy(update={"diameter_nm": found.diameter.value})
    again = find_particles(series, live.alignment, known, start=start).detection
    assert again.count.n == pytest.approx(len(DISORDERED), rel=0.02)
    apart_nm, _ = cKDTree(again.table.centres_nm).query(table.centres_nm)
    assert (apart_nm < 1.0).mean() > 0.98


def test_a_count_of_which_a_third_may_be_wrong_is_not_shown() -> None:
    """Few tilts of small spheres: 2026 were counted of 321."""
    angles_deg = np.arange(-70.0, -21.0, 5.0)
    centres = packed(22.0, 6.0, order="fcc", seed=3)
    still = Recording(np.zeros((len(angles_deg), 2)), np.zeros(len(angles_deg)), counts=100.0)
    series = tilt_series(centres, angles_deg, 5.0, 64, still)
    assert SeriesCounter(LIVE).count(series) is None


def test_a_start_from_the_live_alignment_does_not_change_the_final_result(
    series: TiltSeries, final: SeriesResult, live_counts: dict[int, LiveCount | None]
) -> None:
    live = live_counts[24]
    assert live is not None
    from_live = process_series(series, FINAL, start=live.alignment)
    assert from_live.detection.count.n == final.detection.count.n
    apart_nm, _ = cKDTree(from_live.detection.table.centres_nm).query(
        final.detection.table.centres_nm
    )
    assert (apart_nm < 0.1).all()


def flipped(centres: np.ndarray, in_plane_deg: float) -> np.ndarray:
    turn = np.deg2rad(in_plane_deg)
    cos, sin = np.cos(turn), np.sin(turn)
    return centres * (1, -1, -1) @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])


def test_a_growing_b_is_counted_together_with_a(final: SeriesResult) -> None:
    """Each count comes before that of B alone; the pose of B is searched once.

    Another object, the grid not flipped and a mirrored scan are neither counted anew nor after
    right counts.
    """
    a = reduce_to_counting_size(final)
    known = LIVE.model_copy(update={"diameter_nm": final.diameter.value})
    taken = jittered(31, jitter_px=2.0, angle_error_deg=0.1, counts=500.0, seed=8)
    b = tilt_series(flipped(DISORDERED, 50.0), ANGLES_DEG, 7.0, SIZE, taken)
    alone, together = SeriesCounter(known), FusedCounter(a, known)
    searches = Mock(side_effect=coarse_candidates)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(register, "coarse_candidates", searches)
        for tilts in (18, 21, 26, 31):
            searched = alone.search(first(b, tilts))
            assert searched is not None
            fused = together.count_before_fit(searched)
            assert fused is not None
            so_far = alone.fit(fused.start_of(searched))
            assert so_far is not None and together.holds_for(so_far.result)
            assert fused.result.registration.in_plane_deg == pytest.approx(50.0, abs=1.0)
            for count in (fused.count, so_far.count):
                assert count.n_low <= len(DISORDERED) <= count.n_high
            assert abs(fused.count.n - len(DISORDERED)) <= 2
    assert searches.call_count == 1
    crystal = packed(21.0, 8.6, order="fcc", seed=9)
    for centres in (crystal, DISORDERED, DISORDERED * (-1, 1, 1)):
        wrong = SeriesCounter(known)
        found = wrong.search(tilt_series(centres, ANGLES_DEG, 7.0, SIZE, taken))
        assert found is not None
        assert FusedCounter(a, known).count_before_fit(found) is None
        assert together.count_before_fit(found) is None
        counted = wrong.fit(found)
        assert counted is not None and not together.holds_for(counted.result)
        assert FusedCounter(a, known).count(counted.result) is None


def test_a_final_result_is_reduced_to_the_pixel_size_of_live_counts(final: SeriesResult) -> None:
    blob = np.zeros((200, 200, 200), np.float32)
    blob[60:90, 110:130, 40:80] = 1.0
    images = np.zeros((final.aligned.tilts, 200, 200), np.float32)
    fine = replace(final, volume=blob, aligned=replace(final.aligned, images=images))
    small = reduce_to_counting_size(fine)
    assert small.volume.shape == (160, 160, 160) and small.aligned.images.shape[1:] == (160, 160)
    assert small.aligned.pixel_nm == pytest.approx(200 / 160 * fine.aligned.pixel_nm)
    assert ndimage.center_of_mass(small.volume) == pytest.approx(
        [(at - 99.5) * 0.8 + 79.5 for at in ndimage.center_of_mass(blob)], abs=0.05
    )
    assert reduce_to_counting_size(final) is final
