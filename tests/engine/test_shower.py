"""Beam shower: each slice given once, angles and times, size and drift of the object."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.hardware.interface import BeamLostError, ValvesClosedError
from controller.model.commands import StopWhen
from controller.model.events import (
    Event,
    Phase,
    PhaseFinished,
    Showered,
    ShowerSliceStarted,
    StateChanged,
)
from tests.support.fake_microscope import FakeMicroscope
from tests.support.small_session import Run, open_session


def after_the_shower(event: Event, engine: Engine) -> None:
    if event == PhaseFinished(phase=Phase.SHOWER):
        engine.stop(StopWhen.NOW)


def run_shower(path: Path, microscope: FakeMicroscope) -> Run:
    run = Run(open_session(path), microscope, on_event=after_the_shower)
    run.go()
    return run


def slices(microscope: FakeMicroscope) -> list[str]:
    return [request.split("/", 1)[1] for what, request in microscope.log if what == "illuminate"]


ONCE_EACH = [f"shower-{angle}/slice-{i}/0" for angle in (1, 2) for i in (0, 1)]


def test_events_give_the_time_of_each_angle_and_of_the_shower(tmp_path: Path) -> None:
    run = run_shower(tmp_path / "s", FakeMicroscope())
    times = [
        (s.angle, s.angles, s.angle_elapsed_s, s.angle_planned_s, s.elapsed_s)
        for s in run.of(Showered)
    ]
    assert times == [
        (1, 2, 0.0, 30.0, 0.0),
        (1, 2, 15.0, 30.0, 15.0),
        (1, 2, 30.0, 30.0, 30.0),
        (2, 2, 0.0, 30.0, 30.0),
        (2, 2, 15.0, 30.0, 45.0),
        (2, 2, 30.0, 30.0, 60.0),
    ]
    assert [started.duration_s for started in run.of(ShowerSliceStarted)] == [15.0] * 4
    assert slices(run.microscope) == ONCE_EACH


@pytest.mark.parametrize(
    ("nm_per_slice", "moved_nm"),
    [
        pytest.param(0.0, 0.0, id="at rest"),
        pytest.param(1.5, 3.0, id="drifting"),
    ],
)
def test_drift_between_the_shots_at_an_angle(
    tmp_path: Path, nm_per_slice: float, moved_nm: float
) -> None:
    microscope = FakeMicroscope()

    def drift(action: str, request_id: str) -> None:
        if action == "illuminate":
            x_nm, y_nm = microscope.drift_nm
            microscope.drift_nm = (x_nm + nm_per_slice, y_nm)

    microscope.fault = drift
    shots_before = microscope.exposures
    run = run_shower(tmp_path / "s", microscope)
    ends = [s for s in run.of(Showered) if s.angle_elapsed_s == s.angle_planned_s]
    assert [s.drift_nm for s in ends] == pytest.approx([moved_nm] * 2, abs=0.2)
    assert [s.drift_nm_per_s for s in ends] == pytest.approx([moved_nm / 30.0] * 2, abs=0.01)
    assert [s for s in run.of(Showered) if s.drift_nm is not None] == ends
    assert (
        microscope.exposures - shots_before == 4
    )  # two shots at each angle, none more for the drift


def test_without_an_assembly_there_is_neither_size_nor_drift(tmp_path: Path) -> None:
    microscope = FakeMicroscope()
    microscope.gain = 0.0
    run = run_shower(tmp_path / "s", microscope)
    assert {(s.size_nm, s.drift_nm, s.drift_nm_per_s) for s in run.of(Showered)} == {
        (None, None, None)
    }


@pytest.mark.parametrize(
    ("error", "again"),
    [
        pytest.param(ValvesClosedError("closed"), 1, id="refused before the beam was on"),
        pytest.param(BeamLostError("lost"), 0, id="may have been given"),
    ],
)
def test_a_slice_is_repeated_only_if_the_beam_was_not_on(
    tmp_path: Path, error: Exception, again: int
) -> None:
    def fail_once(action: str, request_id: str) -> None:
        if action == "illuminate" and request_id.endswith("shower-1/slice-1/0"):
            raise error

    def go_on(event: Event, engine: Engine) -> None:
        if isinstance(event, StateChanged) and event.state == "paused":
            engine.go_on()
        after_the_shower(event, engine)

    run = Run(open_session(tmp_path / "s"), FakeMicroscope(fault=fail_once), on_event=go_on)
    assert run.go() is ExitCode.INTERRUPTED
    given = [name for name in slices(run.microscope) if name.startswith("shower-1")]
    assert given == ["shower-1/slice-0/0", "shower-1/slice-1/1"][: 1 + again]
    # the illumination before the fault counts in the events after it
    resumed = [s.angle_elapsed_s for s in run.of(Showered) if s.angle == 1 and s.size_nm]
    assert resumed == [0.0, 15.0 if again else 30.0, 30.0]
