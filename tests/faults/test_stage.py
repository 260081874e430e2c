"""Stage faults: refused, stuck and short moves, and wrong read-backs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from controller.model.commands import Answer
from controller.model.events import Alerted, Level, PauseCause
from controller.model.stage import StagePosition
from controller.rehearsal.fault_list import Fault, FaultKind
from controller.rehearsal.load_microscope import load_microscope
from tests.faults.run_with_faults import DONE, alerts, at, pause_causes, pauses, run_with, tilts
from tests.support.fake_microscope import FakeMicroscope
from tests.support.small_session import PROTOCOL, TILTS_A, TILTS_B


@pytest.mark.parametrize("kind", [FaultKind.STAGE_REFUSES, FaultKind.STAGE_STUCK], ids=str)
@pytest.mark.parametrize("policy", ["pause", "skip"])
def test_a_tilt_that_is_refused_twice_pauses_or_is_left_out(
    tmp_path: Path, kind: FaultKind, policy: str
) -> None:
    protocol = PROTOCOL + f'unreachable_tilt = "{policy}"\n'
    run = run_with(tmp_path / "s", at(kind, times=2), protocol=protocol)
    assert len(alerts(run, "; retrying")) == 1
    if policy == "pause":
        assert pause_causes(run) == [PauseCause.FAULT]
        assert tilts(tmp_path / "s") == TILTS_A
    else:
        assert pauses(run) == []
        assert tilts(tmp_path / "s") == [-20.0, 0.0, 10.0, 20.0]


@pytest.mark.parametrize(
    ("fault", "recorded"),
    [
        pytest.param(at(FaultKind.STAGE_OVERSHOOTS, by_deg=3.0), TILTS_A, id="overshoots once"),
        pytest.param(
            at(FaultKind.STAGE_FALLS_SHORT, times=2, by_deg=3.0),
            [-20.0, -13.0, 0.0, 10.0, 20.0],
            id="a little short, twice",
        ),
        pytest.param(
            at(FaultKind.STAGE_FALLS_SHORT, "A-004", times=2, by_deg=7.0),
            [-20.0, -10.0, 0.0, 20.0],
            id="far short, twice: left out",
        ),
    ],
)
def test_a_stage_error_is_corrected_or_recorded_at_the_actual_angle(
    tmp_path: Path, fault: Fault, recorded: Sequence[float]
) -> None:
    run = run_with(tmp_path / "s", fault)
    assert tilts(tmp_path / "s") == recorded
    assert pauses(run) == []
    assert tilts(tmp_path / "s", "B") == TILTS_B


class Short(FakeMicroscope):
    """Microscope whose stage stops at +1 degree in series A."""

    def move_stage(self, request_id: str, target: StagePosition) -> StagePosition:
        reach = 1.0 if "/A-" in request_id else 90.0
        reached = target.model_copy(update={"alpha_deg": min(target.alpha_deg, reach)})
        return super().move_stage(request_id, reached)


def test_a_stage_that_stops_twice_at_one_angle_is_not_moved_beyond_it(tmp_path: Path) -> None:
    stage = Short()
    run = run_with(
        tmp_path / "s",
        microscope=stage,
        protocol=PROTOCOL.replace("step_deg = 10.0", "step_deg = 5.0"),
    )
    assert tilts(tmp_path / "s") == [-20.0, -15.0, -10.0, -5.0, 0.0]
    moved_for = {request_id.split("/")[1] for name, request_id in stage.log if name == "move"}
    assert {"A-006", "A-007"} < moved_for
    assert not {"A-008", "A-009"} & moved_for
    assert len(alerts(run, "where the stage stopped before")) == 2
    assert pauses(run) == []
    assert tilts(tmp_path / "s", "B") == [-20.0, -15.0, -10.0, -5.0, 0.0, 5.0, 10.0]


def test_a_move_beyond_the_protocols_limits_is_refused_in_the_session(tmp_path: Path) -> None:
    microscope = FakeMicroscope()
    protocol = PROTOCOL + "[limits.stage]\nxy_max_nm = 20.0\n"
    mended: list[bool] = []

    def drift_away(action: str, request_id: str) -> None:
        if action == "move" and "A-003" in request_id:
            microscope.drift_nm = (0.0, 0.0) if mended else (60.0, 0.0)

    microscope.fault = drift_away
    run = run_with(
        tmp_path / "s",
        microscope=microscope,
        protocol=protocol,
        mend=lambda: mended.append(True),
    )
    assert any("outside -20 to 20" in reason for reason in pauses(run))
    assert abs(microscope.stage.x_nm) <= 20.0


TURNING = """
name = "turning"
[scan]
width_px = 96
height_px = 96
pixel_nm = 0.9
dwell_us = 5.0
[shower]
enabled = false
[series_a]
start_deg = -20.0
stop_deg = 10.0
[series_b]
start_deg = -4.0
stop_deg = 4.0
[flip]
unanswered = "stop"
unanswered_after_s = 2.0
"""
SIMULATOR = {
    "seed": 5,
    "specimen": {
        "packing": "disordered",
        "assembly_diameter_nm": 60.0,
        "other_assemblies_nm": [],
    },
}


@pytest.mark.parametrize(
    ("fault", "alarms"),
    [
        pytest.param(
            at(FaultKind.NOT_FINITE, "A-011", times=2), [], id="honest, but one bad frame"
        ),
        # with the step of 2 degrees both rotate the object by 12 degrees between two images
        pytest.param(at(FaultKind.STAGE_LIES, "A-011", by_deg=10.0), ["A#11"], id="10 degrees off"),
        pytest.param(
            at(FaultKind.STAGE_LIES, "A-013", by_deg=-14.0), ["A#13"], id="14 degrees back"
        ),
    ],
)
def test_a_wrong_reported_angle_is_detected_in_the_images(
    tmp_path: Path, fault: Fault, alarms: list[str]
) -> None:
    simulator = load_microscope("simulator", SIMULATOR, None, real_time=False)
    # after such a series A the flip of a small object cannot be confirmed
    anyway = Answer(prompt_id="flip-check", value="override", reason="rehearsed")
    run = run_with(
        tmp_path / "s", fault, protocol=TURNING, microscope=simulator, answers=[DONE, anyway]
    )
    raised = [alert.where for alert in run.of(Alerted) if alert.level is Level.ALARM]
    assert raised == alarms
