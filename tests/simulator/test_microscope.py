"""The twin as a microscope: its world outlives the process, its images show what was done."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import rotate

from controller.microscope.interface import (
    AbortedError,
    AcquisitionError,
    Hands,
    Microscope,
    OutOfLimitsError,
    ScanSettings,
    StagePosition,
    StageState,
)
from simulator.microscope import SimulatedMicroscope, create
from simulator.settings import SimulatorSettings
from tests.simulator.specimens import SCAN, settings, still

RUN = """
import os, signal, sys
from pathlib import Path
from controller.microscope.interface import Hands, StagePosition
from simulator.microscope import create
from simulator.settings import SimulatorSettings
from tests.simulator.specimens import SCAN
microscope = create(SimulatorSettings.model_validate_json(sys.argv[1]), Path(sys.argv[2]))
microscope.illuminate("shower", 60.0, 200.0)
microscope.move_stage("tilt", StagePosition(alpha_deg=20.0))
microscope.acquire("one", SCAN)
microscope.rehearse("flip", Hands.FLIPPED)
os.kill(os.getpid(), signal.SIGKILL)
"""


def _image(microscope: Microscope, name: str, alpha_deg: float = 0.0) -> NDArray[np.float64]:
    microscope.move_stage(f"to {name}", StagePosition(alpha_deg=alpha_deg))
    return np.asarray(microscope.acquire(name, SCAN).pixels, np.float64)


def _alike(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
def test_kill_loses_nothing_of_the_world(tmp_path: Path) -> None:
    told, state = settings(), tmp_path / "world.json"
    arguments = [sys.executable, "-c", RUN, told.model_dump_json(), str(state)]
    killed = subprocess.run(arguments, check=False, cwd=Path(__file__).parents[2])
    assert killed.returncode == -signal.SIGKILL

    unbroken = create(told)
    unbroken.illuminate("shower", 60.0, 200.0)
    unbroken.move_stage("tilt", StagePosition(alpha_deg=20.0))
    unbroken.acquire("one", SCAN)
    unbroken.rehearse("flip", Hands.FLIPPED)

    again = create(told, state)
    again.rehearse("flip", Hands.FLIPPED)  # asked once more by a session that never heard
    assert again.describe().boot_id != unbroken.describe().boot_id
    assert again.status().time_s == pytest.approx(unbroken.status().time_s)
    np.testing.assert_array_equal(_image(again, "two"), _image(unbroken, "two"))


def test_same_seed_same_session_another_noise_each_frame() -> None:
    first, second = create(settings()), create(settings())
    np.testing.assert_array_equal(_image(first, "a"), _image(second, "a"))
    assert not np.array_equal(_image(first, "b"), _image(first, "c"))


def test_state_of_other_settings_is_refused_in_one_line(tmp_path: Path) -> None:
    state = tmp_path / "world.json"
    create(settings(), state)
    with pytest.raises(ValueError, match="other simulator settings") as error:
        create(settings(optics={"convergence_mrad": 2.0}), state)
    assert "\n" not in str(error.value)
    state.write_text("{")
    with pytest.raises(ValueError, match="not a simulated world"):
        create(settings(), state)


def test_frame_shows_what_is_true_at_its_tilt() -> None:
    microscope = create(still())
    flat, steep = _image(microscope, "flat"), _image(microscope, "steep", 70.0)
    columns = np.arange(96) - 47.5
    for image in (flat, steep):
        weight = image - np.median(image[:8])
        # the missing cap takes the centre of mass off the axis when tilted, by about 1 nm
        assert abs(np.sum(weight * columns) / weight.sum()) < 3.0
    assert _alike(flat, steep) < 0.98


def test_stage_shift_moves_the_image_by_as_much() -> None:
    microscope = create(still())
    before = _image(microscope, "before")
    microscope.move_stage("aside", StagePosition(x_nm=9.0, y_nm=-4.5))
    after = np.asarray(microscope.acquire("after", SCAN).pixels, np.float64)
    assert _alike(np.roll(before, (-5, 10), (0, 1)), after) > 0.995


def test_flip_shows_the_mirror_image_turned() -> None:
    microscope = create(still(remount={"in_plane_deg": 30.0}))
    a = _image(microscope, "a")
    microscope.rehearse("flip", Hands.FLIPPED)
    b = _image(microscope, "b")
    mirrored = a[::-1]  # about x: y is turned over
    turned = [rotate(one, -30.0, reshape=False, order=3, mode="nearest") for one in (mirrored, a)]
    assert _alike(turned[0], b) > 0.97
    assert _alike(turned[0], b) > _alike(turned[1], b) + 0.02


@pytest.mark.parametrize(
    ("hands", "expected"),
    [
        (Hands.NOT_FLIPPED, lambda flat, plus, minus: (flat, plus)),
        (Hands.SCAN_CHANGED, lambda flat, plus, minus: (flat[:, ::-1], plus[:, ::-1])),
        (Hands.FLIPPED, lambda flat, plus, minus: (flat[::-1], minus[::-1])),
    ],
    ids=lambda value: value.value if isinstance(value, Hands) else "",
)
def test_plus_and_minus_tilt_tell_a_flip_from_a_mirrored_scan(
    hands: Hands, expected: Callable[..., tuple[NDArray[np.float64], NDArray[np.float64]]]
) -> None:
    microscope = create(still(remount={"in_plane_deg": 0.0}))
    a = [_image(microscope, f"a{tilt}", tilt) for tilt in (0.0, 30.0, -30.0)]
    microscope.rehearse("hands", hands)
    at_0, at_plus = expected(*a)
    assert _alike(_image(microscope, "b0"), at_0) > 0.97
    assert _alike(_image(microscope, "b+", 30.0), at_plus) > 0.95


def test_mistake_can_be_made_good() -> None:
    told = still(remount={"in_plane_deg": 30.0})
    wrong_first, right = create(told), create(told)
    wrong_first.rehearse("wrong", Hands.OTHER_ASSEMBLY)
    wrong_first.rehearse("right", Hands.FLIPPED)
    right.rehearse("right", Hands.FLIPPED)
    assert _alike(_image(wrong_first, "b"), _image(right, "b")) > 0.99


def test_shower_shrinks_now_what_would_shrink_later() -> None:
    told = still(
        specimen={
            "shrinkage": 0.05,
            "shrinkage_dose_e_per_A2": 300.0,
            "contamination_nm": 0.0,
        }
    )
    fresh, showered = create(told), create(told)
    showered.illuminate("shower", 600.0, 200.0)

    def change(microscope: SimulatedMicroscope) -> float:
        first = _image(microscope, "first")
        for number in range(12):
            last = _image(microscope, f"frame {number}")
        return 1.0 - _alike(first, last)

    assert change(fresh) > 3.0 * change(showered)


def test_dose_is_reported_as_charged() -> None:
    microscope = create(settings())
    microscope.set_current("current", 70.0)
    assert microscope.illuminate("shower", 10.0, 100.0) == pytest.approx(4369.0, rel=1e-3)
    info = microscope.acquire("frame", SCAN).info
    assert info.dose_e_per_A2 == pytest.approx(SCAN.dose_e_per_A2(70.0))


def test_virtual_time_counts_moves_exposures_and_waits() -> None:
    microscope = create(settings(stage={"tilt_speed_deg_per_s": 10.0, "settling_s": 2.0}))
    begun = time.monotonic()
    microscope.move_stage("tilt", StagePosition(alpha_deg=50.0))
    microscope.acquire("frame", SCAN)
    microscope.wait(3600.0)
    expected = 5.0 + 2.0 + SCAN.frame_time_s + 3600.0
    assert microscope.status().time_s == pytest.approx(expected)
    assert time.monotonic() - begun < 60.0


def _real(**changes: dict[str, Any]) -> SimulatedMicroscope:
    told = still(**changes).model_dump() | {"time": "real"}
    return create(SimulatorSettings.model_validate(told))


@pytest.mark.parametrize("how", ["stop_stage", "make_safe"])
def test_move_in_real_time_can_be_stopped(how: str) -> None:
    microscope = _real(stage={"tilt_speed_deg_per_s": 1.0})
    failures: list[Exception] = []

    def move() -> None:
        try:
            microscope.move_stage("far", StagePosition(alpha_deg=60.0))
        except AbortedError as error:
            failures.append(error)

    moving = threading.Thread(target=move)
    moving.start()
    while microscope.status().stage_state is not StageState.MOVING:
        time.sleep(0.005)
    if how == "stop_stage":
        microscope.stop_stage()
    else:
        microscope.make_safe("test")
    moving.join(timeout=5.0)
    assert failures and not moving.is_alive()
    assert 0.0 <= microscope.status().stage.alpha_deg < 30.0
    with pytest.raises(AbortedError):
        microscope.move_stage("far", StagePosition(alpha_deg=60.0))


def test_frame_in_real_time_starts_when_it_is_asked_for() -> None:
    microscope = _real()
    time.sleep(0.3)
    info = microscope.acquire("frame", SCAN).info
    assert 0.3 <= info.started_s <= microscope.status().time_s - 0.9 * SCAN.frame_time_s


@pytest.mark.parametrize("how", ["stop_stage", "make_safe", "blank"])
def test_what_ends_a_frame_in_motion_ends_the_motion(how: str) -> None:
    microscope = _real()
    slow = SCAN.model_copy(update={"dwell_us": 1000.0})  # 11 s
    failures: list[Exception] = []

    def sweep() -> None:
        try:
            microscope.acquire_tilting("sweep", slow, 20.0)
        except AbortedError as error:
            failures.append(error)

    moving = threading.Thread(target=sweep)
    moving.start()
    while microscope.status().stage_state is not StageState.MOVING:
        time.sleep(0.005)
    while microscope.status().beam_blanked:
        time.sleep(0.005)
    {
        "stop_stage": microscope.stop_stage,
        "make_safe": lambda: microscope.make_safe("test"),
        "blank": microscope.blank,
    }[how]()
    moving.join(timeout=5.0)
    assert failures and not moving.is_alive()
    status = microscope.status()
    assert status.beam_blanked and status.stage_state is StageState.READY
    assert 0.0 <= status.stage.alpha_deg < 10.0


FIVE_DEGREES = ScanSettings(width_px=96, height_px=96, pixel_nm=0.9, dwell_us=100.0)


@pytest.mark.parametrize(
    ("rows", "alpha_deg"),
    [
        pytest.param(slice(20, 32), 22.0 - 10.0 / 4.0, id="before the middle"),
        pytest.param(slice(42, 54), 22.0, id="in the middle"),
        pytest.param(slice(64, 76), 22.0 + 10.0 / 4.0, id="after the middle"),
    ],
)
def test_rows_of_a_frame_in_motion_see_their_own_tilts(rows: slice, alpha_deg: float) -> None:
    """Each band is liker to an image at rest at its own angle than at the others'."""
    microscope = create(still(stage={"tilt_speed_deg_per_s": 20.0}))
    at_rest = {}
    for tilt in (19.5, 22.0, 24.5):
        microscope.move_stage(f"to {tilt}", StagePosition(alpha_deg=tilt))
        at_rest[tilt] = microscope.acquire(f"at {tilt}", FIVE_DEGREES).pixels.astype(float)
    microscope.move_stage("to 17", StagePosition(alpha_deg=17.0))
    moved = microscope.acquire_tilting("sweep", FIVE_DEGREES, 27.0)
    assert moved.info.stage.alpha_deg == pytest.approx(22.0)
    band = moved.pixels.astype(float)[rows]
    likeness = {tilt: _alike(band, image[rows]) for tilt, image in at_rest.items()}
    assert max(likeness, key=lambda tilt: likeness[tilt]) == alpha_deg


def test_a_frame_in_motion_takes_the_time_of_a_frame() -> None:
    microscope = create(still())
    microscope.acquire_tilting("sweep", FIVE_DEGREES, 5.0)
    assert microscope.status().time_s == pytest.approx(FIVE_DEGREES.frame_time_s)
    with pytest.raises(OutOfLimitsError, match="deg/s"):
        microscope.acquire_tilting("too fast", FIVE_DEGREES, 60.0)
    assert microscope.status().stage.alpha_deg == pytest.approx(5.0)


def test_blanking_ends_a_shower_and_charges_what_was_given() -> None:
    microscope = _real()
    failures: list[Exception] = []

    def shower() -> None:
        try:
            microscope.illuminate("shower", 60.0, 200.0)
        except AbortedError as error:
            failures.append(error)

    exposing = threading.Thread(target=shower)
    exposing.start()
    while microscope.status().beam_blanked:
        time.sleep(0.005)
    microscope.blank()
    exposing.join(timeout=5.0)
    assert failures and microscope.status().beam_blanked


def test_refusals_name_what_is_wrong() -> None:
    microscope = create(settings())
    with pytest.raises(OutOfLimitsError, match="2000 pA"):
        microscope.set_current("current", 2000.0)
    with pytest.raises(AcquisitionError, match="'nothing'"):
        microscope.fetch_frame("nothing")
    with pytest.raises(OutOfLimitsError, match="shower"):
        microscope.illuminate("shower", 10.0, 0.0)


def test_state_is_whole_at_any_moment(tmp_path: Path) -> None:
    state = tmp_path / "world.json"
    microscope = create(settings(), state)
    microscope.acquire("frame", SCAN)
    assert [path.name for path in tmp_path.iterdir()] == ["world.json"]
    assert create(settings(), state).status().time_s == pytest.approx(SCAN.frame_time_s)
