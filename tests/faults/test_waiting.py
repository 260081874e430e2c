"""Pauses that end by themselves: when the bridge answers, or the beam has been back for a while."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest

from controller.common.exit_codes import ExitCode
from controller.engine import control as control_module
from controller.engine import recovery
from controller.hardware.interface import BeamLostError, ConnectionLostError, Status
from controller.model.events import PauseCause, State, StateChanged
from controller.procedures import guarded_microscope as microscope_module
from tests.support.fake_microscope import FakeMicroscope
from tests.support.small_session import Run, open_session


@pytest.fixture(autouse=True)
def ticks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Clock that advances by 0.1 s at each reading; yields its latest time."""
    now_s = [0.0]
    counted = itertools.count()

    def monotonic() -> float:
        now_s[0] = next(counted) * 0.1
        return now_s[0]

    clock = SimpleNamespace(monotonic=monotonic)
    monkeypatch.setattr(microscope_module, "time", clock)
    monkeypatch.setattr(recovery, "time", clock)
    monkeypatch.setattr(control_module, "POLL_INTERVAL_S", 0.001)
    return now_s


def test_reconnection_attempts_become_less_frequent(tmp_path: Path, ticks: list[float]) -> None:
    looked_s: list[float] = []

    def gone_for_a_while(action: str, request_id: str) -> None:
        if action == "acquire" and "A-003/frame" in request_id and not looked_s:
            raise ConnectionLostError("no answer")
        if action == "status" and paused(run) and len(looked_s) < 6:
            looked_s.append(ticks[0])
            raise ConnectionLostError("no answer")

    def nobody() -> FakeMicroscope:
        if paused(run):
            raise ConnectionLostError("nothing listens there")
        return microscope

    microscope = FakeMicroscope(fault=gone_for_a_while)
    run = Run(open_session(tmp_path / "s"), connect=nobody)
    assert run.go() is ExitCode.OK
    gaps_s = [after - before for before, after in itertools.pairwise(looked_s)]
    assert len(gaps_s) == 5
    assert all(after > 1.5 * before for before, after in itertools.pairwise(gaps_s))


def test_a_flickering_beam_does_not_end_the_pause(tmp_path: Path, ticks: list[float]) -> None:
    """If the beam is lost again before it counts as stable, the wait starts again."""
    beam = iter([False, *[True] * 8, False, *[True] * 100])
    on_since_s: list[float] = []

    class Flickering(FakeMicroscope):
        def status(self) -> Status:
            status = super().status()
            if not paused(run):
                return status
            if not next(beam):
                on_since_s.clear()
                return status.model_copy(update={"current_pA": 0.0})
            on_since_s.append(ticks[0])
            return status.model_copy(update={"current_pA": 70.0})

    microscope = Flickering(fault=lambda action, request_id: lose_once(request_id))
    run = Run(open_session(tmp_path / "s"), microscope)
    lost: list[str] = []

    def lose_once(request_id: str) -> None:
        if "A-003/frame" in request_id and not lost:
            lost.append(request_id)
            raise BeamLostError("no emission")

    assert run.go() is ExitCode.OK
    assert on_since_s[-1] - on_since_s[0] >= recovery.BEAM_STABLE_S - 0.3  # a few ticks
    assert [change.pause_cause for change in pauses(run)] == [PauseCause.PASSING]


def pauses(run: Run) -> list[StateChanged]:
    return [change for change in run.of(StateChanged) if change.state is State.PAUSED]


def paused(run: Run) -> bool:
    changes = run.of(StateChanged)
    return bool(changes) and changes[-1].state is State.PAUSED
