"""Tests that every microscope must pass, direct or through the bridge.

Derive a class named ``Test...`` and set `fixture_name` to a fixture that returns the microscope.
The fake, the simulator and each adapter run the same tests, direct and through the bridge.
"""

from __future__ import annotations

import uuid
import zlib
from contextlib import suppress

import numpy as np
import pytest

from controller.hardware.interface import (
    AcquisitionError,
    Frame,
    Microscope,
    MicroscopeError,
    NotSupportedError,
    OutOfLimitsError,
    StageState,
    ValvesClosedError,
)
from controller.model.scan import ScanSettings, shower_dose_e_per_A2
from controller.model.stage import StagePosition
from controller.rehearsal.operator_actions import OperatorAction, simulated_operator_at

SCAN = ScanSettings(width_px=96, height_px=64, pixel_nm=1.5, dwell_us=2.0)
CURRENT_PA = 60.0
TILT_TOLERANCE_DEG = 0.5
SHIFT_TOLERANCE_NM = 50.0


def new_id() -> str:
    """Return a new request id."""
    return uuid.uuid4().hex


class MicroscopeContract:
    """Contract tests. All share one microscope, so each test leaves it usable."""

    fixture_name: str
    scan: ScanSettings = SCAN
    """Scan that the microscope offers."""

    @property
    def sweep_scan(self) -> ScanSettings:
        """Scan that is slow enough for the stage to tilt by some degrees during the frame."""
        return self.scan.model_copy(update={"dwell_us": 100.0})

    @pytest.fixture
    def microscope(self, request: pytest.FixtureRequest) -> Microscope:
        """Return the microscope under test."""
        microscope: Microscope = request.getfixturevalue(self.fixture_name)
        return microscope

    @pytest.fixture(autouse=True)
    def _current_is_set(self, microscope: Microscope) -> None:
        microscope.set_current(new_id(), CURRENT_PA)

    def test_is_a_microscope(self, microscope: Microscope) -> None:
        assert isinstance(microscope, Microscope)

    def test_description_is_constant_and_shares_the_boot_id(self, microscope: Microscope) -> None:
        description = microscope.describe()
        assert description == microscope.describe()
        assert microscope.status().boot_id == description.boot_id

    def test_at_rest_it_is_blanked_ready_and_idle(self, microscope: Microscope) -> None:
        status = microscope.status()
        assert status.beam_blanked
        assert status.stage_state is StageState.READY
        assert not status.busy

    @pytest.mark.parametrize(
        "target",
        [
            pytest.param(StagePosition(alpha_deg=-20.0), id="tilt"),
            pytest.param(StagePosition(x_nm=300.0, y_nm=-200.0), id="shift"),
            pytest.param(StagePosition(alpha_deg=10.0, x_nm=50.0, z_nm=100.0), id="all"),
        ],
    )
    def test_stage_reaches_and_reports_its_target(
        self, microscope: Microscope, target: StagePosition
    ) -> None:
        reached = microscope.move_stage(new_id(), target)
        assert reached.alpha_deg == pytest.approx(target.alpha_deg, abs=TILT_TOLERANCE_DEG)
        for axis in ("x_nm", "y_nm", "z_nm"):
            assert getattr(reached, axis) == pytest.approx(
                getattr(target, axis), abs=SHIFT_TOLERANCE_NM
            )
        assert microscope.status().stage_state is StageState.READY

    def test_repeated_move_returns_the_first_outcome(self, microscope: Microscope) -> None:
        first_id, target = new_id(), StagePosition(alpha_deg=5.0)
        first = microscope.move_stage(first_id, target)
        elsewhere = microscope.move_stage(new_id(), StagePosition(alpha_deg=-5.0))
        assert microscope.move_stage(first_id, target) == first
        assert microscope.status().stage.alpha_deg == pytest.approx(elsewhere.alpha_deg, abs=0.1)

    @pytest.mark.parametrize(
        "axis",
        ["alpha_deg", "x_nm", "y_nm", "z_nm"],
    )
    @pytest.mark.parametrize("sign", [-1, 1], ids=["below", "above"])
    def test_target_outside_the_limits_moves_nothing(
        self, microscope: Microscope, axis: str, sign: int
    ) -> None:
        limits = microscope.describe().stage_limits
        reach = {
            "alpha_deg": limits.alpha_max_deg if sign > 0 else -limits.alpha_min_deg,
            "x_nm": limits.xy_max_nm,
            "y_nm": limits.xy_max_nm,
            "z_nm": limits.z_max_nm,
        }
        before = microscope.status().stage.alpha_deg
        with pytest.raises(OutOfLimitsError):
            microscope.move_stage(new_id(), StagePosition(**{axis: sign * (reach[axis] + 1)}))
        assert microscope.status().stage.alpha_deg == pytest.approx(before, abs=0.1)

    @pytest.mark.parametrize("current_pA", [float("nan"), float("inf"), -1.0])
    def test_impossible_current_is_refused(self, microscope: Microscope, current_pA: float) -> None:
        with pytest.raises(OutOfLimitsError):
            microscope.set_current(new_id(), current_pA)

    def test_status_shows_the_current_that_was_set(self, microscope: Microscope) -> None:
        actual_pA = microscope.set_current(new_id(), 70.0)
        assert microscope.status().current_pA == pytest.approx(actual_pA, rel=0.05)

    def test_defocus_is_set_once_per_request_and_within_its_limits(
        self, microscope: Microscope
    ) -> None:
        limits = microscope.describe().defocus_limits_nm
        assert limits is not None
        low, high = limits
        request_id, middle = new_id(), (low + high) / 2
        first = microscope.set_defocus(request_id, middle + 100.0)
        assert first == pytest.approx(middle + 100.0, abs=1.0)
        assert microscope.set_defocus(new_id(), middle) == pytest.approx(middle, abs=1.0)
        assert (
            microscope.set_defocus(request_id, middle + 100.0) == first
        )  # repeated: not set again
        assert microscope.status().defocus_nm == pytest.approx(middle, abs=1.0)
        for beyond in (low - 10.0, high + 10.0, float("nan")):
            with pytest.raises(OutOfLimitsError):
                microscope.set_defocus(new_id(), beyond)
        assert microscope.status().defocus_nm == pytest.approx(middle, abs=1.0)

    def test_frame_agrees_with_its_record(self, microscope: Microscope) -> None:
        request_id = new_id()
        frame = microscope.acquire(request_id, self.scan)
        info = frame.info
        assert frame.pixels.shape == (self.scan.height_px, self.scan.width_px)
        assert frame.pixels.dtype.name == info.dtype
        assert zlib.crc32(np.ascontiguousarray(frame.pixels).tobytes()) == info.crc32
        assert (info.request_id, info.scan) == (request_id, self.scan)
        assert info.dose_e_per_A2 == pytest.approx(
            self.scan.dose_e_per_A2(info.current_pA), rel=0.05
        )

    def test_beam_is_blanked_after_a_frame(self, microscope: Microscope) -> None:
        microscope.acquire(new_id(), self.scan)
        assert microscope.status().beam_blanked

    def test_repeated_exposure_gives_the_same_frame(self, microscope: Microscope) -> None:
        request_id = new_id()
        assert_same(
            microscope.acquire(request_id, self.scan), microscope.acquire(request_id, self.scan)
        )

    def test_frame_can_be_fetched_again(self, microscope: Microscope) -> None:
        request_id = new_id()
        assert_same(microscope.acquire(request_id, self.scan), microscope.fetch_frame(request_id))

    def test_unknown_frame_cannot_be_fetched(self, microscope: Microscope) -> None:
        with pytest.raises(AcquisitionError):
            microscope.fetch_frame(new_id())

    @pytest.mark.parametrize("to_deg", [5.0, -4.0], ids=["up", "down"])
    def test_tilting_frame_has_the_angle_at_mid_exposure(
        self, microscope: Microscope, to_deg: float
    ) -> None:
        request_id = new_id()
        microscope.move_stage(new_id(), StagePosition())
        if microscope.describe().fastest_sweep_deg_per_s is None:
            with pytest.raises(NotSupportedError):
                microscope.acquire_tilting(request_id, self.sweep_scan, to_deg)
            assert microscope.status().stage.alpha_deg == pytest.approx(0.0, abs=0.1)
            return
        first = microscope.acquire_tilting(request_id, self.sweep_scan, to_deg)
        assert first.info.stage.alpha_deg == pytest.approx(to_deg / 2, abs=0.1)
        assert first.info.dose_e_per_A2 == pytest.approx(
            self.sweep_scan.dose_e_per_A2(first.info.current_pA), rel=0.05
        )
        status = microscope.status()
        assert status.stage.alpha_deg == pytest.approx(to_deg, abs=0.1)
        assert status.beam_blanked and status.stage_state is StageState.READY
        assert_same(microscope.acquire_tilting(request_id, self.sweep_scan, to_deg), first)
        assert_same(microscope.fetch_frame(request_id), first)
        assert microscope.status().stage.alpha_deg == pytest.approx(to_deg, abs=0.1)

    @pytest.mark.parametrize("sign", [-1, 1], ids=["below", "above"])
    def test_tilting_frame_beyond_the_limits_leaves_the_stage_in_place(
        self, microscope: Microscope, sign: int
    ) -> None:
        limits = microscope.describe().stage_limits
        end_deg = limits.alpha_max_deg if sign > 0 else limits.alpha_min_deg
        microscope.move_stage(new_id(), StagePosition(alpha_deg=end_deg - sign))
        with pytest.raises((OutOfLimitsError, NotSupportedError)):
            microscope.acquire_tilting(new_id(), self.sweep_scan, end_deg + sign)
        assert microscope.status().stage.alpha_deg == pytest.approx(end_deg - sign, abs=0.1)

    def test_repeated_beam_shower_returns_the_first_dose(self, microscope: Microscope) -> None:
        request_id = new_id()
        expected = shower_dose_e_per_A2(microscope.status().current_pA, 2.0, 500.0)
        dose = microscope.illuminate(request_id, 2.0, 500.0)
        assert dose == pytest.approx(expected, rel=0.05)
        assert microscope.illuminate(request_id, 2.0, 500.0) == dose
        assert microscope.status().beam_blanked

    def test_waiting_advances_the_clock(self, microscope: Microscope) -> None:
        before_s = microscope.status().time_s
        microscope.wait(3.0)
        assert microscope.status().time_s >= before_s + 3.0

    def test_safety_calls_can_be_repeated(self, microscope: Microscope) -> None:
        for _ in range(3):
            microscope.blank()
            microscope.make_safe("a test")
            with suppress(NotSupportedError):  # TEM Scripting cannot stop the stage
                microscope.stop_stage()
        assert microscope.status().beam_blanked

    def test_exposures_work_after_make_safe(self, microscope: Microscope) -> None:
        microscope.make_safe("a test")
        assert microscope.acquire(new_id(), self.scan).pixels.shape == (
            self.scan.height_px,
            self.scan.width_px,
        )

    def test_only_a_simulator_simulates_the_operator(self, microscope: Microscope) -> None:
        if microscope.describe().simulated:
            simulated_operator_at(microscope).simulate_operator(new_id(), OperatorAction.FLIPPED)
        else:
            with pytest.raises(MicroscopeError):
                simulated_operator_at(microscope).simulate_operator(
                    new_id(), OperatorAction.FLIPPED
                )

    def test_nothing_is_exposed_through_valves_closed_by_the_operator(
        self, microscope: Microscope
    ) -> None:
        if not microscope.describe().simulated:
            return
        simulated_operator_at(microscope).simulate_operator(new_id(), OperatorAction.CLOSE_VALVES)
        assert not microscope.status().valves_open
        with pytest.raises(ValvesClosedError):
            microscope.acquire(new_id(), self.scan)
        simulated_operator_at(microscope).simulate_operator(new_id(), OperatorAction.FLIPPED)
        assert microscope.status().valves_open
        microscope.acquire(new_id(), self.scan)


def assert_same(first: Frame, second: Frame) -> None:
    """Check that two frames are the same exposure."""
    assert first.info == second.info
    np.testing.assert_array_equal(first.pixels, second.pixels)
