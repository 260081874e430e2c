"""Telling a flipped grid from one that was only turned, or holds something else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from controller.microscope.interface import Hands, ScanSettings
from processing.errors import ProcessingError
from processing.images.flip import FlipMatch, match_flip
from processing.images.views import TiltedViews
from simulator.series import simulate_dual
from simulator.settings import Packing, RemountSettings, SimulatorSettings, SpecimenSettings

PIXEL_NM = 1.2
TILTS_A = np.arange(-66.0, 67.0, 6.0)
TILTS_B = [0.0, 30.0, -30.0]


@dataclass(frozen=True)
class Case:
    name: str
    packing: Packing
    hands: Hands
    in_plane_deg: float
    shown: str
    tilts_a: tuple[float, ...] = tuple(TILTS_A)
    tilts_b: tuple[float, ...] = tuple(TILTS_B)
    seed: int = 11


FLIPPED, TURNED = Hands.FLIPPED, Hands.TURNED_IN_PLANE
CASES = [
    Case("ordered, flipped", Packing.FCC, FLIPPED, 71.0, "flipped"),
    Case("ordered, flipped, only one image", Packing.FCC, FLIPPED, 71.0, "flipped", tilts_b=(0.0,)),
    Case("disordered, flipped", Packing.DISORDERED, FLIPPED, -128.0, "flipped"),
    Case("grains, flipped", Packing.MULTI_GRAIN, FLIPPED, 5.0, "flipped"),
    Case("A from a few degrees", Packing.FCC, FLIPPED, 150.0, "flipped", (-4.0, -2.0, 0.0, 2.0)),
    Case("ordered, only turned", Packing.FCC, TURNED, 40.0, "same"),
    Case("ordered, turned back to front", Packing.FCC, TURNED, 180.0, "same", seed=12),
    Case("disordered, not touched", Packing.DISORDERED, Hands.NOT_FLIPPED, 0.0, "same"),
    Case("disordered, another", Packing.DISORDERED, Hands.OTHER_ASSEMBLY, 20.0, "neither"),
    Case("ordered, another", Packing.FCC, Hands.OTHER_ASSEMBLY, 20.0, "neither"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_images_tell_what_was_done(case: Case) -> None:
    match = _match(case)
    scores = {"flipped": match.flipped.score, "same": match.same.score}
    if case.shown == "neither":
        assert max(scores.values()) < 0.4
        return
    other = {"flipped": "same", "same": "flipped"}[case.shown]
    assert scores[case.shown] > 0.5
    assert scores[case.shown] - scores[other] > 0.15
    pose = match.better.pose
    off_deg = (pose.in_plane_deg - case.in_plane_deg + 180) % 360 - 180
    assert abs(off_deg) <= 1.0
    assert pose.scale == pytest.approx(1.0, abs=0.01)
    assert match.mass_ratio == pytest.approx(1.0, abs=0.03)


def test_a_shrunken_object_is_known_and_measured() -> None:
    a, b = _images(Case("", Packing.FCC, FLIPPED, 33.0, "flipped"))
    match = match_flip(TiltedViews(a, TILTS_A, PIXEL_NM), b, TILTS_B, 0.95 * PIXEL_NM)
    assert match.flipped.score > match.same.score + 0.15
    assert match.flipped.pose.scale == pytest.approx(0.95, abs=0.005)


def test_a_lost_quarter_shows_in_the_signal() -> None:
    a, b = _images(Case("", Packing.DISORDERED, FLIPPED, 33.0, "flipped"))
    level = np.median(b[:, 0])
    b[:, b.shape[1] // 2 + 12 :] = level
    match = match_flip(TiltedViews(a, TILTS_A, PIXEL_NM), b, TILTS_B, PIXEL_NM)
    assert match.mass_ratio < 0.9


@pytest.mark.parametrize(
    ("image", "told"),
    [
        pytest.param(np.full((80, 80), 7.0), "one value only", id="blank"),
        pytest.param(np.eye(12), "too small", id="tiny"),
        pytest.param(np.full((80, 80), np.nan), "one value only", id="no numbers"),
    ],
)
def test_what_cannot_be_compared_is_named(image: np.ndarray, told: str) -> None:
    y, x = np.mgrid[:80, :80] - 39.5
    views = TiltedViews([np.hypot(y, x) < 20], [0.0], PIXEL_NM)
    with pytest.raises(ProcessingError, match=told):
        match_flip(views, [image], [0.0], PIXEL_NM)


def test_a_series_without_images_is_named() -> None:
    with pytest.raises(ProcessingError, match="no usable image"):
        TiltedViews([], [], PIXEL_NM)


def _match(case: Case) -> FlipMatch:
    a, b = _images(case)
    return match_flip(TiltedViews(a, case.tilts_a, PIXEL_NM), b, case.tilts_b, PIXEL_NM)


def _images(case: Case) -> tuple[np.ndarray, np.ndarray]:
    settings = SimulatorSettings(
        seed=case.seed,
        specimen=SpecimenSettings(
            packing=case.packing, assembly_diameter_nm=75.0, other_assemblies_nm=((400.0, 0.0),)
        ),
        remount=RemountSettings(in_plane_deg=case.in_plane_deg),
    )
    scan = ScanSettings(width_px=100, height_px=100, pixel_nm=PIXEL_NM, dwell_us=10.0)
    series = simulate_dual(
        settings, scan, case.tilts_a, case.tilts_b, 70.0, hands=case.hands, tracking_error_nm=5.0
    )
    return series.a.counts.astype(np.float32), series.b.counts.astype(np.float32)
