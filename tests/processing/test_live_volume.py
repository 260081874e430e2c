"""Live volume of a series: tilts put, moved and removed, and frames to record again."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from controller.model.scan import ScanSettings
from controller.model.tilt_order import TiltOrder, recording_order
from processing.align.alignment import unaligned
from processing.live.frame_check import FrameCheck
from processing.live.incremental_fbp import IncrementalVolume
from processing.live.reconstruction import LARGEST_SIDE_PX, LiveReconstruction
from processing.reconstruct.fbp import fbp_series
from processing.series import TiltSeries
from simulator.series import Series, simulate_dual
from simulator.settings import SimulatorSettings
from tests.processing.live_series import ANGLES_DEG, SHIFTS_PX, first, recorded
from tests.support.spheres import packed

SIZE = 80


@pytest.fixture(scope="module")
def series() -> TiltSeries:
    return recorded(packed(26.0, 8.6, order="disordered", seed=3), SIZE)


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
        known = [tilt.residual_px for tilt in added if tilt.residual_px is not None]
        residuals[name] = float(np.median(known))
        assert all(tilt.used for tilt in added)
    assert residuals[order] < max(1.0, 2 * residuals["one-way"])


@cache
def crystal_in_coarse_tilts() -> Series:
    """Return a series of 5 degree steps of a crystal of 50 nm."""
    settings = SimulatorSettings.model_validate(
        {"specimen": {"packing": "fcc", "assembly_diameter_nm": 50.0}, "seed": 3}
    )
    scan = ScanSettings(width_px=128, height_px=128, pixel_nm=0.8, dwell_us=5.0)
    angles = np.arange(-70.0, 70.1, 5.0)
    return simulate_dual(settings, scan, angles, angles[:2], 70.0, shower_dose_e_per_A2=5800.0).a


def shadowed(image: np.ndarray) -> np.ndarray:
    """Return an image whose lower half is dark: a bar of the grid, or a blanked beam."""
    dark = image.copy()
    dark[image.shape[0] // 2 + 8 :] *= 0.2
    return dark


def test_coarse_tilts_fit_and_a_shadowed_frame_does_not() -> None:
    """Across the tilt axis the re-projection of few tilts is displaced, by a lattice row or more.

    That is no fault of the frame, and must not cost a retake.
    """
    recorded_series = crystal_in_coarse_tilts()
    bad = len(recorded_series.counts) // 2
    live = LiveReconstruction((128, 128), 0.8)
    residuals_px = []
    for section, (counts, angle_deg) in enumerate(
        zip(recorded_series.counts, recorded_series.reported_deg, strict=True)
    ):
        image = live.binned(counts.astype(np.float32))
        tested = shadowed(image) if section == bad else image
        residuals_px.append(live.add(section, tested, float(angle_deg)).residual_px)
        if section == bad:  # it is recorded again
            live.add(section, image, float(angle_deg))
    assert residuals_px[:2] == [None, None]
    known_px = [px for px in residuals_px if px is not None]
    assert known_px[bad - 2] > 3
    assert sum(px > 1.2 for px in known_px) == 1


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
