"""Simulated microscope: its state survives the process; images follow stage, flip and dose."""

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

from controller.hardware.interface import (
    AbortedError,
    AcquisitionError,
    Microscope,
    OutOfLimitsError,
    StageState,
    ValvesClosedError,
)
from controller.model.scan import ScanSettings
from controller.model.stage import StagePosition
from controller.rehearsal.operator_actions import OperatorAction
from simulator.microscope import SimulatedMicroscope, create
from simulator.settings import SimulatorSettings
from tests.simulator.specimens import SCAN, error_free_settings, small_settings

RUN = """
import os, signal, sys
from pathlib import Path
from controller.model.stage import StagePosition
from controller.rehearsal.operator_actions import OperatorAction
from simulator.microscope import create
from simulator.settings import SimulatorSettings
from tests.simulator.specimens import SCAN
microscope = create(SimulatorSettings.model_validate_json(sys.argv[1]), Path(sys.argv[2]))
microscope.illuminate("shower", 60.0, 200.0)
microscope.move_stage("tilt", StagePosition(alpha_deg=20.0))
microscope.acquire("one", SCAN)
microscope.simulate_operator("flip", OperatorAction.FLIPPED)
os.kill(os.getpid(), signal.SIGKILL)
"""


def _image(microscope: Microscope, name: str, alpha_deg: float = 0.0) -> NDArray[np.float64]:
    microscope.move_stage(f"to {name}", StagePosition(alpha_deg=alpha_deg))
    return np.asarray(microscope.acquire(name, SCAN).pixels, np.float64)


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
def test_state_survives_a_killed_process(tmp_path: Path) -> None:
    settings, state = small_settings(), tmp_path / "world.json"
    arguments = [sys.executable, "-c", RUN, settings.model_dump_json(), str(state)]
    killed = subprocess.run(arguments, check=False, cwd=Path(__file__).parents[2])
    assert killed.returncode == -signal.SIGKILL

    unbroken = create(settings)
    unbroken.illuminate("shower", 60.0, 200.0)
    unbroken.move_stage("tilt", StagePosition(alpha_deg=20.0))
    unbroken.acquire("one", SCAN)
    unbroken.simulate_operator("flip", OperatorAction.FLIPPED)

    again = create(settings, state)
    again.simulate_operator(
        "flip", OperatorAction.FLIPPED
    )  # repeated by a session that got no reply
    assert again.describe().boot_id != unbroken.describe().boot_id
    assert again.status().time_s == pytest.approx(unbroken.status().time_s)
    np.testing.assert_array_equal(_image(again, "two"), _image(unbroken, "two"))


def test_seed_fixes_the_session_and_each_frame_has_its_own_noise() -> None:
    first, second = create(small_settings()), create(small_settings())
    np.testing.assert_array_equal(_image(first, "a"), _image(second, "a"))
    assert not np.array_equal(_image(first, "b"), _image(first, "c"))


def test_state_with_other_settings_is_refused_with_one_line(tmp_path: Path) -> None:
    state = tmp_path / "world.json"
    create(small_settings(), state)
    with pytest.raises(ValueError, match="other simulator settings") as error:
        create(small_settings(optics={"convergence_mrad": 2.0}), state)
    assert "\n" not in str(error.value)
    state.write_text("{")
    with pytest.raises(ValueError, match="not a simulated world"):
        create(small_settings(), state)


def test_frame_shows_the_assembly_at_its_tilt() -> None:
    microscope = create(error_free_settings())
    flat, steep = _image(microscope, "flat"), _image(microscope, "steep", 70.0)
    columns = np.arange(96) - 47.5
    for image in (flat, steep):
        weight = image - np.median(image[:8])
        # the missing cap moves the centre of mass off the tilt axis by about 1 nm
        assert abs(np.sum(weight * columns) / weight.sum()) < 3.0
    assert _correlation(flat, steep) < 0.98


def test_stage_shift_moves_the_image_by_the_same_distance() -> None:
    microscope = create(error_free_settings())
    before = _image(microscope, "before")
    microscope.move_stage("shift", StagePosition(x_nm=9.0, y_nm=-4.5))
    after = np.asarray(microscope.acquire("after", SCAN).pixels, np.float64)
    assert _correlation(np.roll(before, (-5, 10), (0, 1)), after) > 0.995


def test_flip_shows_the_rotated_mirror_image() -> None:
    microscope = create(error_free_settings(remount={"in_plane_deg": 30.0}))
    a = _image(microscope, "a")
    microscope.simulate_operator("flip", OperatorAction.FLIPPED)
    b = _image(microscope, "b")
    mirrored = a[::-1]  # flip about x: y is reversed
    flipped, not_flipped = (
        rotate(image, -30.0, reshape=False, order=3, mode="nearest") for image in (mirrored, a)
    )
    assert _correlation(flipped, b) > 0.97
    assert _correlation(flipped, b) > _correlation(not_flipped, b) + 0.02


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (OperatorAction.NOT_FLIPPED, lambda flat, plus, minus: (flat, plus)),
        (OperatorAction.SCAN_CHANGED, lambda flat, plus, minus: (flat[:, ::-1], plus[:, ::-1])),
        (OperatorAction.FLIPPED, lambda flat, plus, minus: (flat[::-1], minus[::-1])),
    ],
    ids=lambda value: value.value if isinstance(value, OperatorAction) else "",
)
def test_images_at_both_tilts_distinguish_a_flip_from_a_mirrored_scan(
    action: OperatorAction, expected: Callable[..., tuple[NDArray[np.float64], NDArray[np.float64]]]
) -> None:
    microscope = create(error_free_settings(remount={"in_plane_deg": 0.0}))
    a = [_image(microscope, f"a{tilt}", tilt) for tilt in (0.0, 30.0, -30.0)]
    microscope.simulate_operator("remount", action)
    at_0, at_plus = expected(*a)
    assert _correlation(_image(microscope, "b0"), at_0) > 0.97
    assert _correlation(_image(microscope, "b+", 30.0), at_plus) > 0.95


def test_mistake_at_the_flip_can_be_corrected() -> None:
    settings = error_free_settings(remount={"in_plane_deg": 30.0})
    wrong_first, right = create(settings), create(settings)
    wrong_first.simulate_operator("wrong", OperatorAction.OTHER_ASSEMBLY)
    wrong_first.simulate_operator("right", OperatorAction.FLIPPED)
    right.simulate_operator("right", OperatorAction.FLIPPED)
    assert _correlation(_image(wrong_first, "b"), _image(right, "b")) > 0.99


def test_beam_shower_completes_the_shrinkage() -> None:
    settings = error_free_settings(
        specimen={
            "shrinkage": 0.05,
            "shrinkage_dose_e_per_A2": 300.0,
            "contamination_nm": 0.0,
        }
    )
    fresh, showered = create(settings), create(settings)
    showered.illuminate("shower", 600.0, 200.0)

    def change(microscope: SimulatedMicroscope) -> float:
        first = _image(microscope, "first")
        for number in range(12):
            last = _image(microscope, f"frame {number}")
        return 1.0 - _correlation(first, last)

    assert change(fresh) > 3.0 * change(showered)


def test_reported_dose_is_the_dose_of_the_exposure() -> None:
    microscope = create(small_settings())
    microscope.set_current("current", 70.0)
    assert microscope.illuminate("shower", 10.0, 100.0) == pytest.approx(4369.0, rel=1e-3)
    info = microscope.acquire("frame", SCAN).info
    assert info.dose_e_per_A2 == pytest.approx(SCAN.dose_e_per_A2(70.0))


def test_virtual_time_includes_moves_exposures_and_waits() -> None:
    microscope = create(small_settings(stage={"tilt_speed_deg_per_s": 10.0, "settling_s": 2.0}))
    started = time.monotonic()
    microscope.move_stage("tilt", StagePosition(alpha_deg=50.0))
    microscope.acquire("frame", SCAN)
    microscope.wait(3600.0)
    expected = 5.0 + 2.0 + SCAN.frame_time_s + 3600.0
    assert microscope.status().time_s == pytest.approx(expected)
    assert time.monotonic() - started < 60.0


def _in_real_time(**changes: dict[str, Any]) -> SimulatedMicroscope:
    settings = error_free_settings(**changes).model_dump() | {"time": "real"}
    return create(SimulatorSettings.model_validate(settings))


@pytest.mark.parametrize("how", ["stop_stage", "make_safe"])
def test_move_in_real_time_can_be_stopped(how: str) -> None:
    microscope = _in_real_time(stage={"tilt_speed_deg_per_s": 1.0})
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
    moving.join(timeout=60.0)
    assert failures and not moving.is_alive()
    assert 0.0 <= microscope.status().stage.alpha_deg < 30.0
    with pytest.raises(AbortedError):
        microscope.move_stage("far", StagePosition(alpha_deg=60.0))


def test_frame_in_real_time_starts_at_the_request() -> None:
    microscope = _in_real_time()
    time.sleep(0.3)
    info = microscope.acquire("frame", SCAN).info
    assert 0.3 <= info.started_s <= microscope.status().time_s - 0.9 * SCAN.frame_time_s


@pytest.mark.parametrize("how", ["stop_stage", "make_safe", "blank"])
def test_interrupting_a_tilting_frame_stops_the_tilt(how: str) -> None:
    microscope = _in_real_time()
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
    moving.join(timeout=60.0)
    assert failures and not moving.is_alive()
    status = microscope.status()
    assert status.beam_blanked and status.stage_state is StageState.READY
    assert 0.0 <= status.stage.alpha_deg < 10.0


FIVE_DEGREES = ScanSettings(width_px=96, height_px=96, pixel_nm=0.9, dwell_us=100.0)


@pytest.mark.parametrize(
    ("rows", "alpha_deg"),
    [
        pytest.param(slice(20, 32), 22.0 - 10.0 / 4.0, id="first rows"),
        pytest.param(slice(42, 54), 22.0, id="middle rows"),
        pytest.param(slice(64, 76), 22.0 + 10.0 / 4.0, id="last rows"),
    ],
)
def test_each_row_of_a_tilting_frame_shows_its_own_tilt(rows: slice, alpha_deg: float) -> None:
    """Each band correlates best with the still image at its own angle."""
    microscope = create(error_free_settings(stage={"tilt_speed_deg_per_s": 20.0}))
    at_rest = {}
    for tilt in (19.5, 22.0, 24.5):
        microscope.move_stage(f"to {tilt}", StagePosition(alpha_deg=tilt))
        at_rest[tilt] = microscope.acquire(f"at {tilt}", FIVE_DEGREES).pixels.astype(float)
    microscope.move_stage("to 17", StagePosition(alpha_deg=17.0))
    moved = microscope.acquire_tilting("sweep", FIVE_DEGREES, 27.0)
    assert moved.info.stage.alpha_deg == pytest.approx(22.0)
    band = moved.pixels.astype(float)[rows]
    correlations = {tilt: _correlation(band, image[rows]) for tilt, image in at_rest.items()}
    assert max(correlations, key=lambda tilt: correlations[tilt]) == alpha_deg


def test_tilting_frame_takes_one_frame_time() -> None:
    microscope = create(error_free_settings())
    microscope.acquire_tilting("sweep", FIVE_DEGREES, 5.0)
    assert microscope.status().time_s == pytest.approx(FIVE_DEGREES.frame_time_s)
    with pytest.raises(OutOfLimitsError, match="deg/s"):
        microscope.acquire_tilting("too fast", FIVE_DEGREES, 60.0)
    assert microscope.status().stage.alpha_deg == pytest.approx(5.0)


def test_refused_tilting_frame_leaves_the_stage_in_place() -> None:
    microscope = create(error_free_settings())
    microscope.simulate_operator("close", OperatorAction.CLOSE_VALVES)
    with pytest.raises(ValvesClosedError):
        microscope.acquire_tilting("sweep", FIVE_DEGREES, 5.0)
    status = microscope.status()
    assert status.stage == StagePosition() and status.stage_state is StageState.READY


def test_blanking_ends_a_beam_shower() -> None:
    microscope = _in_real_time()
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
    exposing.join(timeout=60.0)
    assert failures and microscope.status().beam_blanked


def test_refusals_name_the_wrong_value() -> None:
    microscope = create(small_settings())
    with pytest.raises(OutOfLimitsError, match="2000 pA"):
        microscope.set_current("current", 2000.0)
    with pytest.raises(AcquisitionError, match="'nothing'"):
        microscope.fetch_frame("nothing")
    with pytest.raises(OutOfLimitsError, match="shower"):
        microscope.illuminate("shower", 10.0, 0.0)


def test_state_file_is_complete_and_alone(tmp_path: Path) -> None:
    state = tmp_path / "world.json"
    microscope = create(small_settings(), state)
    microscope.acquire("frame", SCAN)
    assert [path.name for path in tmp_path.iterdir()] == ["world.json"]
    assert create(small_settings(), state).status().time_s == pytest.approx(SCAN.frame_time_s)
