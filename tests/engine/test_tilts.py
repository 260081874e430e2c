"""Tilts with bad frames, stage faults or a drifting object."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.hardware.interface import StageError
from controller.model.events import Alerted, Event, FrameRecorded, Level, State, StateChanged
from controller.model.frames import RecordedFrame
from controller.model.stage import StagePosition
from tests.support.fake_microscope import FakeMicroscope, Spoil
from tests.support.frames import is_frame
from tests.support.small_session import PROTOCOL, TILTS_A, Run, open_session

Pixels = NDArray[np.uint16]
Change = Callable[[Pixels], NDArray[np.generic]]


def go_on_when_paused(event: Event, run: Run) -> None:
    if isinstance(event, StateChanged) and event.state is State.PAUSED:
        threading.Timer(0.02, run.engine.go_on).start()


def run_with(tmp_path: Path, microscope: FakeMicroscope, protocol: str = PROTOCOL) -> Run:
    run = Run(open_session(tmp_path / "s", protocol), microscope)
    run.on_event = lambda event, engine: go_on_when_paused(event, run)
    return run


def frame_a(run: Run, section: int) -> RecordedFrame:
    return next(e.frame for e in run.of(FrameRecorded) if is_frame(e, "A", section))


def first_frames_of(
    tilt: str, times: int, change: Callable[[Pixels], NDArray[np.generic]]
) -> Spoil:
    """Spoil the first frames of one tilt."""
    left = [times]

    def spoil(request_id: str, pixels: Pixels) -> NDArray[np.generic]:
        if f"/{tilt}/frame" not in request_id or left[0] == 0:
            return pixels
        left[0] -= 1
        return change(pixels)

    return spoil


@dataclass(frozen=True)
class Spoiled:
    name: str
    times: int
    change: Change
    verdict: str
    retakes: int
    pauses: int = 0


SPOILED = [
    Spoiled("blank once", 1, lambda p: np.full_like(p, 7), "ok", 1),
    Spoiled("always blank", -1, lambda p: np.full_like(p, 7), "invalid", 1),
    Spoiled("dim once", 1, lambda p: p // 20, "ok", 1),
    Spoiled("dim until the operator goes on", 2, lambda p: p // 20, "ok", 2, pauses=1),
    Spoiled(
        "saturated", -1, lambda p: np.where(p > 300, 65535, p).astype(np.uint16), "saturated", 0
    ),
]


@pytest.mark.parametrize("case", SPOILED, ids=lambda case: case.name)
def test_a_bad_frame_is_taken_again_or_marked(tmp_path: Path, case: Spoiled) -> None:
    microscope = FakeMicroscope()
    microscope.spoil = first_frames_of("A-002", case.times, case.change)
    run = run_with(tmp_path, microscope)
    assert run.go() is ExitCode.OK
    frame = frame_a(run, 1)
    assert (frame.verdict, frame.retakes) == (case.verdict, case.retakes)
    assert {alert.where for alert in run.of(Alerted)} == {frame.name} == {"A#2"}
    assert len(list((tmp_path / "s").glob("rejected/*.npy"))) == case.retakes
    assert [e.state for e in run.of(StateChanged)].count(State.PAUSED) == case.pauses
    assert len(run.of(FrameRecorded)) == 9


def test_a_frame_with_nan_pixels_is_kept_and_marked(tmp_path: Path) -> None:
    microscope = FakeMicroscope()

    def spoil(request_id: str, pixels: Pixels) -> NDArray[np.generic]:
        real = pixels.astype(np.float32)
        if "/A-002/frame" in request_id:
            real[3, 4] = np.nan
        return real

    microscope.spoil = spoil
    run = run_with(tmp_path, microscope)
    assert run.go() is ExitCode.OK
    assert frame_a(run, 1).verdict == "invalid"
    assert np.isfinite(frame_a(run, 1).mean_counts)


def test_a_stuck_detector_raises_an_alarm(tmp_path: Path) -> None:
    microscope = FakeMicroscope()
    seen: list[Pixels] = []

    def stuck(request_id: str, pixels: Pixels) -> NDArray[np.generic]:
        seen.append(pixels)
        return next(p for p in seen if p.shape == pixels.shape) if "frame" in request_id else pixels

    microscope.spoil = stuck
    run = run_with(tmp_path, microscope)
    run.go()
    assert frame_a(run, 2).verdict == "invalid"
    assert any("detector stuck" in alert.text for alert in run.of(Alerted))


# -- the object -----------------------------------------------------------------------------


@pytest.mark.parametrize("drift_nm", [(8.0, 0.0), (0.0, -9.0), (6.0, 6.0), (4.0, 0.0)], ids=str)
def test_a_drifting_object_is_brought_back(tmp_path: Path, drift_nm: tuple[float, float]) -> None:
    microscope = FakeMicroscope()

    def drift(action: str, request_id: str) -> None:
        if action == "move" and "/A-003/" in request_id and microscope.drift_nm == (0.0, 0.0):
            microscope.drift_nm = drift_nm

    microscope.fault = drift
    run = run_with(tmp_path, microscope)
    assert run.go() is ExitCode.OK
    stage = run.session.ledger.frames["A"][2].info.stage
    assert (stage.x_nm, stage.y_nm) == pytest.approx((-drift_nm[0], -drift_nm[1]), abs=1.5)
    assert frame_a(run, 3).verdict == "ok"


def test_an_object_out_of_view_is_found_again(tmp_path: Path) -> None:
    microscope = FakeMicroscope()

    def jump(action: str, request_id: str) -> None:
        if action == "move" and "/A-003/" in request_id and microscope.drift_nm == (0.0, 0.0):
            microscope.drift_nm = (60.0, -50.0)

    microscope.fault = jump
    run = run_with(tmp_path, microscope)
    assert run.go() is ExitCode.OK
    assert any("found in a wide shot" in alert.text for alert in run.of(Alerted))
    stage = run.session.ledger.frames["A"][2].info.stage
    assert (stage.x_nm, stage.y_nm) == pytest.approx((-60.0, 50.0), abs=4.0)


def test_an_object_that_is_not_found_pauses_the_session(tmp_path: Path) -> None:
    microscope = FakeMicroscope()

    def lose(action: str, request_id: str) -> None:
        if action == "move" and "/A-003/" in request_id:
            microscope.drift_nm = (9_000.0, 0.0)

    microscope.fault = lose
    run = Run(open_session(tmp_path / "s"), microscope)

    def bring_it_back(event: Event, engine: object) -> None:
        if isinstance(event, StateChanged) and event.state is State.PAUSED:
            assert "no object" in event.reason
            microscope.fault = lambda action, request_id: None
            microscope.drift_nm = (0.0, 0.0)
        go_on_when_paused(event, run)

    run.on_event = bring_it_back
    assert run.go() is ExitCode.OK
    assert [e.state for e in run.of(StateChanged)].count(State.PAUSED) == 1


# -- the stage ------------------------------------------------------------------------------


def test_a_move_refused_once_is_repeated(tmp_path: Path) -> None:
    microscope = FakeMicroscope()
    refused: list[str] = []

    def refuse(action: str, request_id: str) -> None:
        if action == "move" and "/A-003/" in request_id and not refused:
            refused.append(request_id)
            raise StageError("the stage is busy")

    microscope.fault = refuse
    run = run_with(tmp_path, microscope)
    assert run.go() is ExitCode.OK
    assert len(run.of(FrameRecorded)) == 9
    assert any("; retrying" in alert.text for alert in run.of(Alerted))


def test_a_stuck_stage_pauses_the_session_blanked(tmp_path: Path) -> None:
    microscope = FakeMicroscope()
    moves: list[str] = []

    def stick(action: str, request_id: str) -> None:
        if action == "move" and "/A-003/" in request_id:
            moves.append(request_id)
            microscope.blanked = False  # the engine must blank the beam again
            raise StageError("the stage is stuck at -10.0 degrees")

    microscope.fault = stick
    run = Run(open_session(tmp_path / "s"), microscope)
    seen: list[tuple[bool, int]] = []

    def free(event: Event, engine: Engine) -> None:
        if isinstance(event, StateChanged) and event.state is State.PAUSED:
            microscope.fault = lambda action, request_id: None
            seen.append((microscope.blanked, microscope.exposures))
            threading.Timer(0.3, go_on).start()

    def go_on() -> None:
        seen.append((microscope.blanked, microscope.exposures))
        run.engine.go_on()

    run.on_event = free
    assert run.go() is ExitCode.OK
    assert len(moves) == 2  # one retry before the operator is asked
    (why,) = [e.reason for e in run.of(StateChanged) if e.state is State.PAUSED]
    assert why.startswith("A#3: ") and "the stage is stuck" in why
    assert "resumed automatically" not in [e.reason for e in run.of(StateChanged)]
    at_first, at_last = seen
    assert at_first == at_last and at_first[0]
    assert len(run.of(FrameRecorded)) == 9


def test_a_stage_that_falls_short_skips_the_tilt(tmp_path: Path) -> None:
    class Short(FakeMicroscope):
        def move_stage(self, request_id: str, target: StagePosition) -> StagePosition:
            reach = target.model_copy(update={"alpha_deg": min(target.alpha_deg, 12.0)})
            return super().move_stage(request_id, reach if "/A-" in request_id else target)

    run = run_with(tmp_path, Short())
    assert run.go() is ExitCode.OK
    angles = [e.frame.nominal_deg for e in run.of(FrameRecorded) if e.frame.series == "A"]
    assert angles == TILTS_A[:-1]
    skipped = [e for e in run.of(Alerted) if "skipped" in e.text]
    assert [(e.level, e.where) for e in skipped] == [(Level.WARNING, "A#5")]
