"""Tracking by prediction, and waiting for the drift to end, on the simulator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.hardware.interface import Microscope
from controller.model.commands import StopWhen
from controller.model.events import Alerted, Event, FrameRecorded, Level, State, StateChanged
from controller.model.frames import RecordedFrame
from controller.model.plan import make_plan
from controller.procedures.tracking.predict import CentredPosition, predict_position
from controller.rehearsal.fault_list import Fault, FaultKind
from controller.rehearsal.faulty_microscope import FaultyMicroscope
from simulator.microscope import SimulatedMicroscope, create
from simulator.settings import SimulatorSettings
from tests.support.small_session import Run, open_session

TILTS = 21
PROTOCOL = """
name = "predicted"
[scan]
width_px = 96
height_px = 96
pixel_nm = 2.0
dwell_us = 40.0
[shower]
enabled = false
[series_a]
start_deg = -40.0
stop_deg = 40.0
step_deg = 4.0
[series_b]
start_deg = -4.0
stop_deg = 4.0
[tracking]
"""
PREDICTED = "shot_above_fraction = 0.13\nmax_shift_fraction = 0.15\n"
ORDERS = ("one-way", "bidirectional", "dose-symmetric")


def simulated(**sections: dict[str, Any]) -> SimulatedMicroscope:
    settings = {
        "seed": 6,
        "specimen": {
            "packing": "disordered",
            "assembly_diameter_nm": 60.0,
            "particle_diameter_nm": 10.0,  # drawn on a coarser grid than small ones
            "other_assemblies_nm": [],
        },
        **sections,
    }
    return create(SimulatorSettings.model_validate(settings), None)


def series_a(folder: Path, protocol: str, microscope: Microscope) -> Run:
    """Run a session until the end of series A."""
    run = Run(open_session(folder, protocol), microscope, answers=[])  # type: ignore[arg-type]
    run.on_event = stop_when_waiting
    assert run.go() is ExitCode.INTERRUPTED
    assert len(frames(run)) == TILTS
    return run


def stop_when_waiting(event: Event, engine: Engine) -> None:
    """Stop at the flip and at every pause."""
    if isinstance(event, StateChanged) and event.state in (State.WAITING, State.PAUSED):
        engine.stop(StopWhen.NOW)


def frames(run: Run) -> list[RecordedFrame]:
    return [event.frame for event in run.of(FrameRecorded) if event.frame.series == "A"]


def tracked_tilts(run: Run, what: str = "track-") -> list[str]:
    """Tilts before which a low-dose shot was taken, in order of recording."""
    shots = (e.intent for e in run.session.ledger.exposures.values())
    return [s.step_id for s in shots if s.purpose.startswith(what) and s.step_id != "A-start"]


def distances_nm(run: Run) -> list[float]:
    recorded = run.session.ledger.frames["A"]
    assert all(frame.offset_px for frame in recorded)
    return [2.0 * math.hypot(*frame.offset_px) for frame in recorded if frame.offset_px]


@pytest.mark.parametrize("order", ORDERS)
def test_no_tracking_shot_where_the_prediction_is_precise(tmp_path: Path, order: str) -> None:
    protocol = PROTOCOL.replace("[series_a]", f'[series_a]\norder = "{order}"') + PREDICTED
    stage = {"eucentric_error_nm": 40.0, "jitter_nm": 3.0}
    run = series_a(tmp_path / "s", protocol, simulated(stage=stage))
    assert {event.verdict for event in frames(run)} == {"ok"}
    assert {"A-001", "A-002", "A-003", "A-004"} <= set(tracked_tilts(run))
    assert len(set(tracked_tilts(run))) <= 2 * TILTS // 3
    assert max(distances_nm(run)) <= 0.15 * 192.0


def test_every_tilt_has_a_tracking_shot_by_default(tmp_path: Path) -> None:
    run = series_a(tmp_path / "s", PROTOCOL, simulated())
    assert len(set(tracked_tilts(run))) == TILTS


def test_an_unpredictable_stage_needs_tracking_shots(tmp_path: Path) -> None:
    """The stage error is about the allowed shift, so a saved shot would cost a frame."""
    run = series_a(tmp_path / "s", PROTOCOL + PREDICTED, simulated(stage={"jitter_nm": 10.0}))
    assert len(set(tracked_tilts(run))) >= TILTS - 4


def test_an_object_lost_without_a_tracking_shot_is_found_again(tmp_path: Path) -> None:
    jump = Fault(kind=FaultKind.OBJECT_DRIFTS, at="A-013", by_nm=150.0)
    column = FaultyMicroscope(simulated(stage={"jitter_nm": 2.0}), (jump,))
    run = series_a(tmp_path / "s", PROTOCOL + PREDICTED, column)
    lost = next(frame for frame in frames(run) if frame.tilt_number == 13)
    assert (lost.verdict, lost.retakes) == ("ok", 1)
    assert max(distances_nm(run)) <= 0.15 * 192.0
    assert {"A-014", "A-015"} <= set(tracked_tilts(run))  # positions before the jump are not used


@dataclass(frozen=True)
class Line:
    name: str
    places: list[CentredPosition]
    at_deg: float
    expected_nm: tuple[float, float]
    error_nm: float


def swinging(x_nm: float, z_nm: float, tilts: list[float]) -> list[CentredPosition]:
    """Places of an object at (x, z) in the tilting plane: -x cos t - z sin t in the image."""
    return [CentredPosition(t, -x_nm - z_nm * math.tan(math.radians(t)), 0.5 * t) for t in tilts]


LINES = [
    Line(
        "off the axis by 100 nm",
        swinging(20.0, 100.0, [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]),
        12.0,
        (-20.0 - 100.0 * math.tan(0.2094), 6.0),
        3.0,
    ),
    Line(
        "the other side's drift does not count",
        [CentredPosition(-60.0 - i, 500.0, -500.0) for i in range(6)]
        + swinging(0.0, 0.0, [2.0 * i for i in range(10)]),
        20.0,
        (0.0, 10.0),
        3.0,
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", LINES, ids=lambda case: case.name)
def test_the_position_is_extrapolated_along_a_line(case: Line) -> None:
    found = predict_position(case.places, case.at_deg, 0.2)
    assert found is not None
    assert (found.position.x_nm, found.position.y_nm) == pytest.approx(case.expected_nm, abs=1.0)
    assert found.error_nm < case.error_nm


def test_the_estimated_error_covers_the_actual_one() -> None:
    rng = np.random.default_rng(3)
    tilts = np.arange(6) * 2.0
    inside = []
    for _ in range(400):
        x, y, new = rng.normal(0.0, 5.0, 6), rng.normal(0.0, 5.0, 6), rng.normal(0.0, 5.0, 2)
        found = predict_position(
            [CentredPosition(*p) for p in zip(tilts, x, y, strict=True)], 12.0, 0.1
        )
        assert found is not None
        off = math.hypot(found.position.x_nm - new[0], found.position.y_nm - new[1])
        inside.append(off <= found.error_nm)
    assert 0.85 < np.mean(inside) < 0.99


def test_few_tilts_give_no_prediction() -> None:
    assert predict_position(swinging(0.0, 0.0, [0.0, 2.0, 4.0]), 6.0, 0.2) is None


def test_the_plan_leaves_out_the_spared_shots(tmp_path: Path) -> None:
    run = series_a(tmp_path / "s", PROTOCOL + PREDICTED, simulated())
    plan = make_plan(run.session.protocol)
    planned = sum(step.dose_e_per_A2 for step in plan.steps if step.phase.value == "A")
    assert run.session.ledger.dose_e_per_A2 == pytest.approx(planned, rel=0.1)


# -- drift ------------------------------------------------------------------------------------

DRIFTING = {"stage": {"drift_nm": 15.0, "drift_decay_s": 10.0, "settling_s": 0.0}}
LIMIT = "drift_limit_nm_per_s = 0.5\n"


def test_the_tilt_waits_until_the_drift_is_small(tmp_path: Path) -> None:
    """A drift of 15 nm in 10 s starts at 1.5 nm/s and falls to 0.5 after 11 s."""
    run = series_a(tmp_path / "s", PROTOCOL + LIMIT, simulated(**DRIFTING))
    shots = tracked_tilts(run, "track-drift")
    assert min(shots.count(event) for event in set(shots)) >= 4
    assert not [alert for alert in run.of(Alerted) if "still drifts" in alert.text]


def test_a_stage_at_rest_needs_two_drift_shots(tmp_path: Path) -> None:
    still = simulated(stage={"drift_nm": 0.5})
    run = series_a(tmp_path / "s", PROTOCOL + LIMIT, still)
    shots = tracked_tilts(run, "track-drift")
    assert len(shots) == 2 * TILTS
    plan = make_plan(run.session.protocol)
    planned = sum(step.dose_e_per_A2 for step in plan.steps if step.phase.value == "A")
    assert run.session.ledger.dose_e_per_A2 == pytest.approx(planned, rel=0.05)


def test_the_wait_for_the_drift_is_limited(tmp_path: Path) -> None:
    """The limit is below the precision of two shots."""
    protocol = PROTOCOL + "drift_limit_nm_per_s = 1e-4\ndrift_within_s = 5.0\n"
    run = series_a(tmp_path / "s", protocol, simulated())
    late = [alert for alert in run.of(Alerted) if "still drifts" in alert.text]
    assert len(late) == TILTS and {alert.level for alert in late} == {Level.WARNING}
    assert (
        max(tracked_tilts(run, "track-drift").count(f"A-{i:03d}") for i in range(1, TILTS + 1)) <= 4
    )
