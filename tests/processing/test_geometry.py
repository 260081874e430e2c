"""Tilt axis and tilt angles are checked against the images; right ones are never changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from controller.model.scan import ScanSettings
from processing import InputFileError, ProcessingError, TiltSeries
from processing.align import geometry
from processing.align.angle_order import AngleEvidence, angle_evidence
from processing.align.axis import SEARCH_DEG
from processing.align.geometry import check_geometry
from processing.images.prepare import prepare_series
from processing.pipeline.check_series import require_tilt_series
from processing.series import Float32
from simulator.series import simulate_dual
from simulator.settings import SimulatorSettings
from tests.support.recorded import as_read
from tests.support.spheres import jittered, packed, tilt_series

BY_5 = tuple(np.arange(-70.0, 71.0, 5.0))
DOSE_SYMMETRIC = tuple(sorted(BY_5, key=lambda angle: (abs(angle), angle)))
BIDIRECTIONAL = (*BY_5[14:], *BY_5[:14][::-1])
SHUFFLED = tuple(np.random.default_rng(3).permutation(BY_5))

Change = Callable[[TiltSeries], TiltSeries]


@cache
def recorded(
    order: str = "disordered",
    angles: tuple[float, ...] = BY_5,
    counts: float | None = 1000,
    size_px: int = 56,
) -> TiltSeries:
    centres = packed(18, 8.6, order=order, seed=4)
    taken = jittered(len(angles), jitter_px=2.0, angle_error_deg=0.15, counts=counts, seed=9)
    return tilt_series(centres, np.array(angles), 7.0, size_px, taken)


@cache
def few_spheres(number: int) -> TiltSeries:
    centres = np.random.default_rng(number).uniform(-15, 15, (number, 3))
    taken = jittered(len(BY_5), jitter_px=2.0, angle_error_deg=0.15, counts=300, seed=number)
    return tilt_series(centres, np.array(BY_5), 8.0, 64, taken)


def beside_a_neighbour(off_px: float) -> TiltSeries:
    """Record two crystals of the same size; the second one leaves the field at low tilts."""
    first, second = (packed(18, 8.6, order="fcc", seed=seed) for seed in (4, 5))
    centres = np.concatenate([first, second + np.array([off_px, 3.0, 0.0])])
    taken = jittered(len(BY_5), jitter_px=2.0, angle_error_deg=0.15, counts=1000, seed=9)
    return tilt_series(centres, np.array(BY_5), 7.0, 56, taken)


@cache
def half_lost(sections: tuple[int, ...], seed: int = 4) -> TiltSeries:
    """Record a crystal; some images end in the middle."""
    taken = jittered(len(BY_5), jitter_px=2.0, angle_error_deg=0.15, counts=1000, seed=9)
    centres = packed(24, 8.6, order="fcc", seed=seed)
    series = tilt_series(centres, np.array(BY_5), 7.0, 68, taken)
    images = series.images.copy()
    images[list(sections), 34:] = 0
    return replace(series, images=images)


def noise() -> TiltSeries:
    counts = np.random.default_rng(0).poisson(100, (len(BY_5), 56, 56))
    return TiltSeries(counts.astype(np.float32), np.array(BY_5), 1.0)


RIGHT = {
    "disordered": recorded,
    "a crystal": lambda: recorded("fcc"),
    "few electrons": lambda: recorded(counts=60),
    "one-sided range": lambda: recorded(angles=tuple(np.arange(-70.0, -19.0, 2.0))),
    "steps of 10 degrees": lambda: recorded(angles=tuple(np.arange(-70.0, 71.0, 10.0))),
    "uneven steps": lambda: recorded(angles=tuple(70 * np.sin(np.linspace(-1.5, 1.5, 24)))),
    "repeated angles": lambda: recorded(angles=(*BY_5[:20], *BY_5[10:])),
    "dose-symmetric": lambda: recorded(angles=DOSE_SYMMETRIC),
    "steps of one degree": lambda: recorded(angles=tuple(np.arange(-20.0, 21.0, 1.0))),
    "five tilts": lambda: recorded(angles=(-8.0, -4.0, 0.0, 4.0, 8.0)),
    "three tilts": lambda: recorded(angles=(-4.0, 0.0, 4.0)),
    "cut by the frame": lambda: recorded(size_px=36),
    "the opposite sense": lambda: replace(recorded(), angles_deg=-np.array(BY_5)),
    "a whole turn of angles later": lambda: replace(recorded(), angles_deg=np.array(BY_5) + 30),
    "one sphere": lambda: few_spheres(1),
    "two spheres": lambda: few_spheres(2),
    "six spheres": lambda: few_spheres(6),
    "every sixth image ends in the middle": lambda: half_lost((5, 10, 15, 20, 25)),
    "a neighbour cut by the field": lambda: beside_a_neighbour(50.0),
    "a neighbour farther off": lambda: beside_a_neighbour(56.0),
    "noise": noise,
}


@pytest.mark.parametrize("series", RIGHT.values(), ids=RIGHT.keys())
def test_a_right_geometry_is_left_alone(series: Callable[[], TiltSeries]) -> None:
    given = series()
    checked = check_geometry(given)
    assert checked.notes == checked.doubts == checked.angle_reasons == ()
    assert checked.images is given.images
    np.testing.assert_array_equal(checked.angles_deg, given.angles_deg)
    assert checked.sense_known


def with_angles(angles: tuple[float, ...], **more: object) -> Change:
    return lambda series: replace(series, angles_deg=np.array(angles), **more)


def in_order(angles: tuple[float, ...], given: tuple[float, ...]) -> Change:
    """Store the images in the order of `angles`, with other angles beside them."""
    sections = [BY_5.index(angle) for angle in angles]
    return lambda series: replace(
        series, images=series.images[sections], angles_deg=np.array(given)
    )


@dataclass(frozen=True)
class WrongOrder:
    name: str
    change: Change
    right: tuple[float, ...]
    said: str
    """Order in the note."""
    packing: str = "disordered"


WRONG_ORDERS = [
    WrongOrder(
        "sorted stack, angles by time", with_angles(DOSE_SYMMETRIC), BY_5, "order ascending"
    ),
    WrongOrder("the same, a crystal", with_angles(DOSE_SYMMETRIC), BY_5, "order ascending", "fcc"),
    WrongOrder("bidirectional angles", with_angles(BIDIRECTIONAL), BY_5, "order ascending"),
    WrongOrder("shuffled angles", with_angles(SHUFFLED), BY_5, "order ascending"),
    WrongOrder(
        "stack by time, sorted angles",
        in_order(DOSE_SYMMETRIC, BY_5),
        DOSE_SYMMETRIC,
        "order dose-symmetric",
    ),
    WrongOrder(
        "bidirectional stack, sorted angles",
        in_order(BIDIRECTIONAL, BY_5),
        BIDIRECTIONAL,
        "order bidirectional from +0.0 degrees",
    ),
    WrongOrder(
        "the right order in another file",
        with_angles(DOSE_SYMMETRIC, other_angles=(("A.rawtlt", np.array(BY_5)),)),
        BY_5,
        "order of A.rawtlt",
    ),
]


@pytest.mark.parametrize("case", WRONG_ORDERS, ids=lambda case: case.name)
def test_angles_in_a_wrong_order_are_corrected_and_doubted(case: WrongOrder) -> None:
    checked = check_geometry(case.change(recorded(case.packing)))
    right = np.array(case.right)
    # in one series the sense cannot be seen
    same, mirrored = (np.abs(checked.angles_deg - sign * right).max() for sign in (1, -1))
    assert min(same, mirrored) == 0
    (note,), (doubt,) = checked.notes, checked.doubts
    assert case.said in note
    assert "not in the order of the images; corrected to the order" in doubt
    assert checked.sense_known == ("A.rawtlt" in note)


def test_a_neighbour_at_the_highest_tilts_does_not_change_the_order() -> None:
    # as in the published geometry: an equal assembly 400 nm away overlaps the images at 70 degrees
    settings = SimulatorSettings.model_validate(
        {
            "seed": 301,
            "specimen": {"packing": "fcc", "other_assemblies_nm": [(400.0, 0.0)]},
            "stage": {"tilt_error_deg": 0.15},
        }
    )
    scan = ScanSettings(width_px=78, height_px=78, pixel_nm=2.4, dwell_us=3.0)
    angles = np.arange(-70.0, 71.0, 2.0)
    raw = simulate_dual(settings, scan, angles, (0.0,), 70.0, tracking_error_nm=3.0).a
    checked = check_geometry(prepare_series(as_read(raw, 2.4)))
    np.testing.assert_array_equal(checked.angles_deg, raw.reported_deg)
    assert checked.doubts == ()


def test_images_in_no_usual_order_are_refused_in_one_line() -> None:
    sections = np.random.default_rng(5).permutation(len(BY_5))
    series = replace(recorded(), images=recorded().images[sections])
    with pytest.raises(ProcessingError, match=r"contradict the tilt angles.*--angles") as refused:
        check_geometry(series)
    assert "\n" not in str(refused.value)


def test_radians_are_converted_and_doubted() -> None:
    checked = check_geometry(with_angles(tuple(np.deg2rad(BY_5)))(recorded()))
    np.testing.assert_allclose(checked.angles_deg, BY_5)
    assert "radians" in checked.notes[0]
    assert "radians" in checked.doubts[0]


@pytest.mark.parametrize("first", [0, 1])
def test_section_numbers_instead_of_angles_are_refused(first: int) -> None:
    numbers = tuple(np.arange(first, len(BY_5) + first, dtype=float))
    with pytest.raises(ProcessingError, match=r"section numbers.*steps of about 5 degrees"):
        check_geometry(with_angles(numbers)(recorded()))


def test_angles_of_a_wrong_scale_are_doubted() -> None:
    (doubt,) = check_geometry(with_angles(tuple(np.array(BY_5) / 2))(recorded())).doubts
    assert "about 2 times as large" in doubt


def test_rows_that_drift_evenly_say_nothing_about_the_scale(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Row moments of a thick assembly, whose exit side is blurred, move in a straight line."""

    def drifting(images: Float32, sections: NDArray[np.intp]) -> AngleEvidence:
        gains = np.random.default_rng(6).normal(size=images.shape[1])
        noise = np.random.default_rng(7).normal(0, 2.0, images.shape[:2])
        moments = np.array(BY_5)[sections, None] * gains + noise
        return replace(angle_evidence(images, sections), moments=moments)

    monkeypatch.setattr(geometry, "angle_evidence", drifting)
    checked = check_geometry(recorded())
    assert checked.doubts == checked.angle_reasons == ()


@pytest.mark.parametrize("order", ["disordered", "fcc"])
def test_a_slightly_wrong_scale_is_a_reason_but_no_doubt(order: str) -> None:
    series = with_angles(tuple(1.25 * np.array(BY_5) + 7))(recorded(order))
    checked = check_geometry(series)
    assert checked.doubts == ()
    assert "about 0.67 times as large" in checked.angle_reasons[0]


def test_a_series_with_one_angle_is_refused() -> None:
    with pytest.raises(InputFileError, match=r"all 29 tilt angles are 0\.00 degrees"):
        require_tilt_series(with_angles(tuple(np.zeros(29)))(recorded()))


def test_an_axis_that_the_images_do_not_decide_on_stays_with_a_doubt() -> None:
    sections = np.random.default_rng(12).choice(len(BY_5), 12, replace=False)
    given = half_lost(tuple(int(section) for section in sections), seed=5)
    checked = check_geometry(given)
    assert (checked.images is given.images, checked.tilt_axis_deg) == (True, 0.0)
    assert any("--tilt-axis-deg" in doubt for doubt in checked.doubts)


@dataclass(frozen=True)
class WrongAxis:
    name: str
    true_deg: float
    given_deg: float
    packing: str = "disordered"
    counts: float = 1000.0


WRONG_AXES = [
    WrongAxis("a quarter turn", 90.0, 0.0),
    WrongAxis("a quarter turn, a crystal", 90.0, 0.0, "fcc"),
    WrongAxis("a quarter turn back", -90.0, 0.0),
    WrongAxis("oblique", 33.0, 0.0),
    WrongAxis("the given one has the wrong sign", -10.0, 10.0),
    WrongAxis("few electrons", 84.8, 0.0, counts=100.0),
]


@pytest.mark.parametrize("case", WRONG_AXES, ids=lambda case: case.name)
def test_the_tilt_axis_is_found_over_the_half_turn(case: WrongAxis) -> None:
    upright = recorded(case.packing, counts=case.counts)
    quarters = round(case.true_deg / 90)
    images = np.rot90(upright.images, -quarters, axes=(1, 2))
    rest = case.true_deg - 90 * quarters
    if rest:
        images = ndimage.rotate(images, -rest, axes=(1, 2), reshape=False, mode="nearest")
    given = replace(upright, images=images, tilt_axis_deg=case.given_deg)
    checked = check_geometry(given)
    # near enough for the local search of the alignment
    assert checked.tilt_axis_deg == pytest.approx(rest, abs=SEARCH_DEG - 1)
    turns = -1 if (checked.images[0] == np.rot90(given.images[0], -1)).all() else quarters
    # quarter turns are exact; the direction along the axis is free
    np.testing.assert_array_equal(checked.images, np.rot90(given.images, turns, axes=(1, 2)))
    (note,) = checked.notes
    assert "tilt axis" in note
    assert not checked.sense_known
