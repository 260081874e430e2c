"""Processing during a series: live volume, live counts, and frames to record again."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from controller.model.tilt_order import TiltOrder, recording_order
from processing.align.alignment import Alignment, unaligned
from processing.count.diameter import estimate_diameter
from processing.live.earlier_search import EarlierSearch
from processing.live.frame_check import FrameCheck
from processing.live.incremental_fbp import IncrementalVolume
from processing.live.reconstruction import LARGEST_SIDE_PX, LiveReconstruction
from processing.live.repeated_diameter import RepeatedDiameter
from processing.live.series_counter import (
    LiveCount,
    SeriesCounter,
    expected_change,
    fuse_so_far,
    reduce_to_counting_size,
    widen_interval,
)
from processing.pipeline import single
from processing.pipeline.search_start import SearchStart
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.single import SeriesResult, find_particles, process_series
from processing.reconstruct.fbp import fbp_series
from processing.results import Cause, Count, Sampling, Trust, Verdict
from processing.series import TiltSeries
from tests.support.spheres import Recording, jittered, packed, tilt_series

ANGLES_DEG = np.arange(-60.0, 61.0, 4.0)
SIZE = 80
DISORDERED = packed(26.0, 8.6, order="disordered", seed=3)
SHIFTS_PX = np.random.default_rng(5).uniform(-3, 3, (len(ANGLES_DEG), 2))


@pytest.fixture(scope="module")
def series() -> TiltSeries:
    taken = Recording(SHIFTS_PX, np.zeros(len(ANGLES_DEG)), counts=500.0)
    return tilt_series(DISORDERED, ANGLES_DEG, 7.0, SIZE, taken)


@pytest.fixture(scope="module")
def final(series: TiltSeries) -> SeriesResult:
    return process_series(series, ProcessSettings())


@pytest.fixture(scope="module")
def live_counts(series: TiltSeries) -> dict[int, LiveCount | None]:
    """Counts by one counter, by the number of tilts recorded; two scan for the diameter."""
    counter = SeriesCounter(ProcessSettings())
    scans = Mock(side_effect=estimate_diameter)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(single, "estimate_diameter", scans)
        counts = {tilts: counter.count(first(series, tilts)) for tilts in (8, 24, 28, 31)}
    assert scans.call_count == 2  # the third count takes the diameter that both found
    return counts


def first(series: TiltSeries, tilts: int) -> TiltSeries:
    return replace(
        series,
        images=series.images[:tilts],
        angles_deg=series.angles_deg[:tilts],
        excluded=series.excluded[:tilts],
    )


def grown(series: TiltSeries, tilts: list[int]) -> IncrementalVolume:
    volume = IncrementalVolume(SIZE, SIZE)
    for tilt in tilts:
        volume.put(tilt, series.images[tilt], float(series.angles_deg[tilt]))
    return volume


UNEVEN = [0, 1, 3, 4, 9, 8, 20, 15]


def uneven(series: TiltSeries) -> IncrementalVolume:
    return grown(series, UNEVEN)


def moved_and_back(series: TiltSeries) -> IncrementalVolume:
    volume = uneven(series)
    for image in (np.roll(series.images[3], 5, axis=1), series.images[3]):
        volume.put(3, image, float(series.angles_deg[3]))
    return volume


def one_tilt_removed_again(series: TiltSeries) -> IncrementalVolume:
    volume = grown(series, [*UNEVEN, 12])
    volume.remove(12)
    return volume


def at_a_wrong_angle_first(series: TiltSeries) -> IncrementalVolume:
    volume = uneven(series)
    volume.put(4, series.images[4], 33.0)
    volume.put(4, series.images[4], float(series.angles_deg[4]))
    return volume


@pytest.mark.parametrize(
    "grow", [uneven, moved_and_back, one_tilt_removed_again, at_a_wrong_angle_first]
)
def test_an_incremental_volume_equals_one_reconstructed_at_once(series: TiltSeries, grow) -> None:  # type: ignore[no-untyped-def]
    at_once = fbp_series(
        TiltSeries(series.images[UNEVEN], series.angles_deg[UNEVEN], series.pixel_nm)
    )
    volume = grow(series)
    assert volume.tilts == len(UNEVEN)
    assert np.abs(volume.volume - at_once).max() < 1e-4 * np.abs(at_once).max()


def test_shifts_are_found_against_the_images_so_far(series: TiltSeries) -> None:
    live = LiveReconstruction((SIZE, SIZE), 0.9)
    found = [
        live.add(index, image, float(angle))
        for index, (image, angle) in enumerate(zip(series.images, ANGLES_DEG, strict=True))
    ]
    assert all(tilt.used for tilt in found)
    error = np.array([tilt.shift_px for tilt in found]) - SHIFTS_PX
    assert np.std(error[:, 0]) < 0.1
    assert np.std(error[:, 1]) < 0.5


def test_a_revised_alignment_moves_misaligned_tilts(series: TiltSeries) -> None:
    live, right = LiveReconstruction((SIZE, SIZE), 1.0), LiveReconstruction((SIZE, SIZE), 1.0)
    known = replace(unaligned(series), shifts_px=SHIFTS_PX, residuals_px=np.full(series.tilts, 0.1))
    for index, (image, angle) in enumerate(zip(series.images, ANGLES_DEG, strict=True)):
        live.add(index, image, float(angle))
        right.add(index, image, float(angle))
    wrong = replace(
        known, shifts_px=known.shifts_px + np.where(np.arange(31) == 7, 4.0, 0)[:, None]
    )
    for reconstruction, steps in ((live, (wrong, known)), (right, (known,))):
        for alignment in steps:
            reconstruction.revise_alignment(range(series.tilts), alignment)
            while reconstruction.move_tilts(4):
                pass
    rejected = replace(known, rejected=np.arange(31) == 7)
    # tilts off by less than a quarter of a pixel are not moved
    assert np.linalg.norm(live.volume - right.volume) < 0.05 * np.linalg.norm(right.volume)
    live.revise_alignment(range(series.tilts), rejected)
    assert live.move_tilts(9)[7].used is False
    assert live.tilts == series.tilts - 1


def test_the_tilt_with_the_largest_displacement_is_moved_first(series: TiltSeries) -> None:
    live = LiveReconstruction((SIZE, SIZE), 1.0)
    for index in range(6):
        live.add(index, series.images[index], float(ANGLES_DEG[index]))
    known = replace(unaligned(first(series, 6)), shifts_px=SHIFTS_PX[:6].copy())
    known.shifts_px[2] += 30.0
    live.revise_alignment(range(6), known)
    moved = live.move_tilts(1)
    assert max(moved, key=lambda index: moved[index].shift_px) == 2
    assert moved[2].shift_px == pytest.approx(tuple(known.shifts_px[2]))


@pytest.mark.parametrize(
    ("shape", "binning"), [((96, 96), 1), ((LARGEST_SIDE_PX, 40), 1), ((100, 800), 2)]
)
def test_only_images_too_large_for_the_volume_are_binned(
    shape: tuple[int, int], binning: int
) -> None:
    live = LiveReconstruction(shape, 0.5)
    assert live.binning == binning
    assert live.pixel_nm == pytest.approx(0.5 * binning)
    assert live.slice_xz().shape == (shape[1] // binning,) * 2
    assert live.slice_xy().shape == (shape[0] // binning, shape[1] // binning)


def test_an_image_of_another_object_is_not_used(series: TiltSeries) -> None:
    live = LiveReconstruction((SIZE, SIZE), 0.9)
    for index in range(8):
        live.add(index, series.images[index], float(ANGLES_DEG[index]))
    noise = np.random.default_rng(1).normal(size=(SIZE, SIZE)).astype(np.float32)
    assert not live.add(8, noise, float(ANGLES_DEG[8])).used
    assert live.tilts == 8
    with pytest.raises(ValueError, match="not finite"):
        live.add(9, np.full((SIZE, SIZE), np.nan, np.float32), 0.0)


@pytest.mark.parametrize("order", ["bidirectional", "dose-symmetric", "golden"])
def test_residuals_do_not_depend_on_the_tilt_order(series: TiltSeries, order: TiltOrder) -> None:
    residuals = {}
    for name, tilts in (
        ("one-way", ANGLES_DEG.tolist()),
        (order, recording_order(ANGLES_DEG.tolist(), order, 0.0, 2)),
    ):
        live = LiveReconstruction((SIZE, SIZE), 0.9)
        by_angle = dict(zip(ANGLES_DEG.tolist(), series.images, strict=True))
        added = [live.add(index, by_angle[tilt], tilt) for index, tilt in enumerate(tilts)]
        residuals[name] = float(np.median([tilt.residual_px for tilt in added]))
        assert all(tilt.used for tilt in added)
    assert residuals[order] < max(1.0, 2 * residuals["one-way"])


def test_half_of_a_golden_series_shows_all_particles(series: TiltSeries) -> None:
    order = recording_order(ANGLES_DEG.tolist(), "golden", 0.0, 2)
    places = np.searchsorted(ANGLES_DEG, order)
    golden = replace(series, images=series.images[places], angles_deg=np.array(order))
    counter = SeriesCounter(ProcessSettings())
    counts = [counter.count(first(golden, tilts)) for tilts in (10, 16)]
    half = process_series(first(golden, 16), ProcessSettings()).detection.count
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
    known = ProcessSettings(diameter_nm=found.diameter.value, controls=False)
    again = find_particles(series, live.alignment, known, start=start).detection
    assert again.count.n == pytest.approx(len(DISORDERED), rel=0.02)
    apart_nm, _ = cKDTree(again.table.centres_nm).query(table.centres_nm)
    assert (apart_nm < 1.0).mean() > 0.98


def earlier_search(**verdict: Any) -> EarlierSearch:
    """Return a search of 20 images with particles of 7 px."""
    count = Count(n=90, n_low=80, n_high=100, verdict=Verdict(**verdict) if verdict else None)
    table = SimpleNamespace(centres_nm=np.zeros((1, 3)))
    result = SimpleNamespace(
        volume=None,
        diameter=SimpleNamespace(value=7.0, kinds=()),
        aligned=SimpleNamespace(pixel_nm=1.0),
        detection=SimpleNamespace(count=count, centres=None, table=table),
    )
    return EarlierSearch(cast(SeriesResult, result), aligned_images(20), PART)


def aligned_images(tilts: int, **changed: Any) -> Alignment:
    alignment = Alignment(
        shifts_px=np.zeros((tilts, 2)),
        tilt_axis_deg=0.0,
        angles_deg=np.arange(float(tilts)),
        rejected=np.zeros(tilts, bool),
        residuals_px=np.zeros(tilts),
    )
    return replace(alignment, **changed)


PART = Sampling(recorded_px=(80, 80), crop_px=(0, 0, 80, 80))
REFUSED = {"state": Trust.REFUSED, "reasons": ("noise",), "causes": (Cause.NOISE,)}
STARTS = [
    ("three more images", aligned_images(23), PART, {}, True),
    (
        "shifts as good as before",
        aligned_images(23, shifts_px=np.full((23, 2), 0.3)),
        PART,
        {},
        True,
    ),
    ("moved", aligned_images(23, shifts_px=np.full((23, 2), 0.6)), PART, {}, False),
    ("another axis", aligned_images(23, tilt_axis_deg=1.0), PART, {}, False),
    ("an image rejected", aligned_images(23, rejected=np.arange(23) == 3), PART, {}, False),
    ("a quarter more images", aligned_images(25), PART, {}, False),
    (
        "another part of the images",
        aligned_images(23),
        Sampling(recorded_px=(80, 80), crop_px=(4, 0, 76, 80)),
        {},
        False,
    ),
    ("a refused count", aligned_images(23), PART, REFUSED, False),
]


@pytest.mark.parametrize(
    ("alignment", "part", "verdict", "starts"), [c[1:] for c in STARTS], ids=[c[0] for c in STARTS]
)
def test_a_count_starts_from_the_one_before_where_the_images_are_nearly_the_same(
    alignment: Alignment, part: Sampling, verdict: dict[str, Any], starts: bool
) -> None:
    assert (earlier_search(**verdict).start(alignment, part) is not None) is starts


DIAMETERS = [
    ("nothing known", [], None),
    ("one scan", [6.3], None),
    ("two that agree", [6.3, 6.35], 6.35),
    ("two that differ", [6.3, 7.0], None),
    ("a later one differs", [6.3, 6.3, 7.0], None),
    ("agreed again", [6.3, 6.3, 7.0, 7.0], 7.0),
    ("of no use, then one scan", [6.3, 6.3, None, 6.3], None),
]


@pytest.mark.parametrize(
    ("found_nm", "agreed_nm"), [c[1:] for c in DIAMETERS], ids=[c[0] for c in DIAMETERS]
)
def test_later_counts_take_a_diameter_that_two_in_a_row_found(
    found_nm: list[float | None], agreed_nm: float | None
) -> None:
    diameter = RepeatedDiameter()
    for each_nm in found_nm:
        diameter.add(each_nm)
    assert diameter.agreed_nm == agreed_nm


def test_a_count_of_which_a_third_may_be_wrong_is_not_shown() -> None:
    """Few tilts of small spheres: 2026 were counted of 321."""
    angles_deg = np.arange(-70.0, -21.0, 5.0)
    centres = packed(22.0, 6.0, order="fcc", seed=3)
    still = Recording(np.zeros((len(angles_deg), 2)), np.zeros(len(angles_deg)), counts=100.0)
    series = tilt_series(centres, angles_deg, 5.0, 64, still)
    assert SeriesCounter(ProcessSettings()).count(series) is None


def test_a_start_from_the_live_alignment_does_not_change_the_final_result(
    series: TiltSeries, final: SeriesResult, live_counts: dict[int, LiveCount | None]
) -> None:
    live = live_counts[24]
    assert live is not None
    from_live = process_series(series, ProcessSettings(), start=live.alignment)
    assert from_live.detection.count.n == final.detection.count.n
    apart_nm, _ = cKDTree(from_live.detection.table.centres_nm).query(
        final.detection.table.centres_nm
    )
    assert (apart_nm < 0.1).all()


def flipped(centres: np.ndarray, in_plane_deg: float) -> np.ndarray:
    turn = np.deg2rad(in_plane_deg)
    cos, sin = np.cos(turn), np.sin(turn)
    return centres * (1, -1, -1) @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])


def test_half_of_series_b_is_fused_with_a(final: SeriesResult) -> None:
    a, known = reduce_to_counting_size(final), ProcessSettings(diameter_nm=final.diameter.value)
    taken = jittered(31, jitter_px=2.0, angle_error_deg=0.1, counts=500.0, seed=8)
    b = tilt_series(flipped(DISORDERED, 50.0), ANGLES_DEG, 7.0, SIZE, taken)
    half = SeriesCounter(known).count(first(b, 18))
    assert half is not None
    fused = fuse_so_far(a, half.result, known)
    assert fused is not None
    assert fused.registration.in_plane_deg == pytest.approx(50.0, abs=1.0)
    assert abs(fused.detection.count.n - len(DISORDERED)) <= 2
    other = tilt_series(packed(26.0, 8.6, order="fcc", seed=9), ANGLES_DEG, 7.0, SIZE, taken)
    stranger = SeriesCounter(known).count(other)
    assert stranger is not None and fuse_so_far(a, stranger.result, known) is None


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


@pytest.mark.parametrize(
    ("history", "planned", "more"),
    [
        pytest.param([(40, 5000), (48, 5000)], 72, 0, id="no change"),
        pytest.param([(40, 5000), (48, 5400)], 48, 0, id="no tilts left"),
        pytest.param([(32, 4200), (40, 5000), (48, 5400)], 64, 300, id="halving: 200 and 100"),
        pytest.param([(32, 4600), (40, 5000), (48, 5400)], 64, 800, id="steady: as much again"),
        pytest.param([(40, 5000), (48, 5400)], 64, 300, id="one change: assumed to halve"),
        pytest.param([(32, 5200), (40, 5000), (48, 5400)], 56, 200, id="opposite changes: halving"),
        pytest.param([(40, 5400), (48, 5000)], 56, -200, id="falling"),
    ],
)
def test_expected_change_by_the_tilts_to_come(
    history: list[tuple[int, int]], planned: int, more: int
) -> None:
    assert expected_change(history, planned) == more


@pytest.mark.parametrize(
    ("before", "doubt", "low", "high"),
    [
        pytest.param(None, 0, 500, 1500, id="no earlier count"),
        pytest.param(Count(n=970, n_low=960, n_high=980), 0, 950, 1050, id="a change"),
        pytest.param(Count(n=1000, n_low=1, n_high=2000), 0, 960, 1040, id="no change"),
        pytest.param(
            Count(n=1000, n_low=1, n_high=2000), 30, 950, 1050, id="a further uncertainty"
        ),
    ],
)
def test_the_interval_includes_the_change_by_the_latest_tilts(
    before: Count | None, doubt: float, low: int, high: int
) -> None:
    count = widen_interval(Count(n=1000, n_low=960, n_high=1040), before, doubt)
    assert (count.n_low, count.n_high) == pytest.approx((low, high), abs=2)


def faulty(image: np.ndarray, fault: str) -> np.ndarray:
    match fault:
        case "dim":
            return image * np.float32(0.1)
        case "blurred":
            return ndimage.gaussian_filter(image, 6)
        case "lost":
            return np.asarray(ndimage.shift(image, (0, 17), order=1, mode="nearest"), np.float32)
        case "something else":
            return np.random.default_rng(2).poisson(20, image.shape).astype(np.float32)
    return image


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("none", ""),
        ("dim", "dim: 10% of the signal"),
        ("blurred", "blurred: "),
        ("lost", "and the object is cut off"),
        ("something else", "does not resemble"),
    ],
)
def test_the_fault_of_a_frame_is_named(series: TiltSeries, fault: str, message: str) -> None:
    live, check = LiveReconstruction((SIZE, SIZE), 1.0), FrameCheck(1.0)
    found = ""
    for index in range(9):
        image = np.asarray(faulty(series.images[index], fault if index == 8 else ""), np.float32)
        found = check.fault(image, live.add(index, image, float(ANGLES_DEG[index])))
        assert index == 8 or found == ""
    assert found.startswith(message) if message.endswith(": ") else message in found
    assert bool(found) is bool(message)
