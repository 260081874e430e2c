"""Faults of the session itself: disk, clock, stops, and devices that refuse a stop."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.model.commands import StopWhen
from controller.model.events import (
    Alerted,
    Checked,
    Event,
    FrameRecorded,
    Level,
    State,
    StateChanged,
)
from controller.model.stage import StagePosition
from controller.session import journal_file
from controller.session.journal import read_journal
from tests.support.fake_microscope import FakeMicroscope
from tests.support.frames import is_frame
from tests.support.small_session import TILTS_A, TILTS_B, Run, open_session


def tilts(path: Path, series: str) -> list[float]:
    return [float(line) for line in (path / f"{series}.rawtlt").read_text().split()]


# -- stops ----------------------------------------------------------------------------------


class SlowStage(FakeMicroscope):
    """Microscope that hangs in one move, with the beam on, until `stop_stage`, which may then fail.

    Attributes
    ----------
    blanked_first
        True if the beam was blanked when the stage was stopped; None before.
    """

    def __init__(self, stop_error: Exception | None = None) -> None:
        super().__init__()
        self.moving, self.stopped = threading.Event(), threading.Event()
        self.blanked_first: bool | None = None
        self._stop_error = stop_error

    def move_stage(self, request_id: str, target: StagePosition) -> StagePosition:
        if "A-003/" in request_id:
            self.blanked = False
            self.moving.set()
            assert self.stopped.wait(60)
        return super().move_stage(request_id, target)

    def stop_stage(self) -> None:
        if self.blanked_first is None:
            self.blanked_first = self.blanked
        self.stopped.set()
        if self._stop_error is not None:
            raise self._stop_error
        super().stop_stage()


@pytest.mark.parametrize(
    "presses",
    [
        pytest.param([StopWhen.NOW], id="once"),
        pytest.param([StopWhen.NOW] * 5, id="again and again"),
        pytest.param(
            [StopWhen.AT_END_OF_SERIES, StopWhen.AFTER_TILT, StopWhen.AFTER_TILT, StopWhen.NOW],
            id="ever more urgent",
        ),
    ],
)
def test_abort_in_a_move_ends_the_session_blanked(tmp_path: Path, presses: list[StopWhen]) -> None:
    stage = SlowStage()
    run = Run(open_session(tmp_path / "s"), stage)
    codes: list[ExitCode] = []
    thread = threading.Thread(target=lambda: codes.append(run.go()))
    thread.start()
    assert stage.moving.wait(60)
    exposures = stage.exposures
    assert not stage.blanked
    for when in presses:
        run.engine.stop(when)
    thread.join(60)
    assert codes == [ExitCode.INTERRUPTED]
    assert stage.blanked_first
    assert run.of(StateChanged)[-1].state is State.STOPPED
    assert stage.blanked
    assert stage.exposures == exposures
    assert len(run.of(FrameRecorded)) == 2


def test_a_stage_that_fails_to_stop_is_named_and_the_rest_is_made_safe(tmp_path: Path) -> None:
    stage = SlowStage(RuntimeError("the stage does not listen"))
    run = Run(open_session(tmp_path / "s"), stage)
    thread = threading.Thread(target=run.go)
    thread.start()
    assert stage.moving.wait(60)
    run.engine.stop(StopWhen.NOW)
    thread.join(60)
    assert stage.blanked
    assert "make-safe" in [name for name, _ in stage.log]
    alarms = [alert.text for alert in run.of(Alerted) if alert.level is Level.ALARM]
    assert alarms and set(alarms) == {"stop_stage: the stage does not listen"}


# -- disk and clock -------------------------------------------------------------------------


def test_a_disk_too_small_is_refused_before_anything_is_exposed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_session(tmp_path / "s")
    used = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: used._replace(free=10_000))
    run = Run(session)
    assert run.go() is ExitCode.SAFETY
    assert [check.name for check in run.of(Checked) if not check.ok] == ["disk"]
    assert run.microscope.exposures == 0


def test_a_jump_of_the_wall_clock_does_not_change_the_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jumps = iter(range(10_000))

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime.now() + timedelta(days=(-1) ** next(jumps) * 400)

    monkeypatch.setattr(journal_file, "datetime", Clock)
    monkeypatch.setattr(time, "time", lambda: float(next(jumps)) * -1e6)
    stop_after_b0 = stop_at("B", 0)
    path = tmp_path / "s"
    world = tmp_path / "flipped"
    first = Run(open_session(path), FakeMicroscope(flipped_file=world), on_event=stop_after_b0)
    assert first.go() is ExitCode.INTERRUPTED
    assert Run(open_session(path), FakeMicroscope(flipped_file=world)).go() is ExitCode.OK
    assert (tilts(path, "A"), tilts(path, "B")) == (TILTS_A, TILTS_B)
    lines = read_journal(path / "journal.jsonl").lines
    times = [line.at for line in lines]
    assert times != sorted(times)
    assert [line.seq for line in lines] == list(range(len(lines)))


def stop_at(series: str, index: int) -> Callable[[Event, Engine], None]:
    def look(event: Event, engine: Engine) -> None:
        if is_frame(event, series, index):
            engine.stop(StopWhen.AFTER_TILT)

    return look
