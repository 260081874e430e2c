"""Retake: the operator has the last tilts recorded again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.model.commands import StopWhen
from controller.model.events import Event, FrameRecorded, Record, State, StateChanged
from controller.service.session_status import SessionStatus
from controller.service.status_reducer import next_status
from processing.files.mdoc import read_mdoc
from tests.support.fake_microscope import FakeMicroscope
from tests.support.frames import is_frame
from tests.support.small_session import PROTOCOL, TILTS_A, Run, open_session


def after(index: int, act: Callable[[Engine], None]) -> Callable[[Event, Engine], None]:
    """Act after the frame of A at this place in the stack."""

    def look(event: Event, engine: Engine) -> None:
        if is_frame(event, "A", index):
            act(engine)

    return look


def recorded(run: Run) -> list[float]:
    return [event.frame.nominal_deg for event in run.of(FrameRecorded) if event.frame.series == "A"]


def excluded(folder: Path) -> list[int]:
    return [s.section for s in read_mdoc(folder / "A.mrc.mdoc").sections if s.excluded]


@pytest.mark.parametrize(
    ("index", "count", "order", "left_out"),
    [
        (1, 1, [-20.0, -10.0, -10.0, 0.0, 10.0, 20.0], [1]),
        (2, 2, [-20.0, -10.0, 0.0, -10.0, 0.0, 10.0, 20.0], [1, 2]),
        (4, 1, [*TILTS_A, 20.0], [4]),
    ],
    ids=["the last", "the last two", "at the end of the series"],
)
def test_tilts_are_recorded_again_and_the_old_frames_left_out(
    tmp_path: Path, index: int, count: int, order: list[float], left_out: list[int]
) -> None:
    run = Run(open_session(tmp_path / "s"), on_event=after(index, lambda e: e.retake(count)))
    assert run.go() is ExitCode.OK
    assert recorded(run) == order
    assert excluded(tmp_path / "s") == left_out
    assert run.session.missing_frames == 0


def test_the_screen_shows_the_planned_number_of_tilts(tmp_path: Path) -> None:
    run = Run(open_session(tmp_path / "s"), on_event=after(2, lambda e: e.retake(2)))
    run.go()
    status = SessionStatus()
    for seq, event in enumerate(run.events):
        record = Record(seq=seq, at="2026-01-22T19:00:00.000+01:00", event=event)
        status = next_status(status, record)
    assert [tilt.frame.nominal_deg for tilt in status.series["A"].tilts] == [
        -20.0,
        -10.0,
        0.0,
        10.0,
        20.0,
    ]
    assert status.series["A"].planned == 5


def test_a_retake_requested_in_a_pause_follows_the_pause(tmp_path: Path) -> None:
    def look(event: Event, engine: Engine) -> None:
        after(1, lambda e: e.pause())(event, engine)
        if isinstance(event, StateChanged) and event.state is State.PAUSED:
            engine.retake(1)
            engine.go_on()

    run = Run(open_session(tmp_path / "s"), on_event=look)
    assert run.go() is ExitCode.OK
    assert recorded(run) == [-20.0, -10.0, -10.0, 0.0, 10.0, 20.0]


def test_a_retaken_tilt_is_approached_from_its_backlash_start(tmp_path: Path) -> None:
    run = Run(open_session(tmp_path / "s"), on_event=after(2, lambda e: e.retake(1)))
    moves: list[float] = []
    plain = FakeMicroscope.move_stage

    class Watched(FakeMicroscope):
        def move_stage(self, request_id, target):  # type: ignore[no-untyped-def]
            moves.append(target.alpha_deg)
            return plain(self, request_id, target)

    run.microscope = Watched()
    assert run.go() is ExitCode.OK
    third = moves.index(0.0, moves.index(-10.0))
    assert -3.0 in moves[third:] and moves[moves.index(-3.0, third) + 1] == 0.0


def test_retakes_before_a_stop_are_done_after_the_resume(tmp_path: Path) -> None:
    def look(event: Event, engine: Engine) -> None:
        if is_frame(event, "A", 2):
            engine.retake(2)
            engine.stop(StopWhen.AFTER_TILT)

    first = Run(open_session(tmp_path / "s"), on_event=look)
    assert first.go() is ExitCode.INTERRUPTED
    assert recorded(first) == [-20.0, -10.0, 0.0]
    again = Run(open_session(tmp_path / "s"))
    assert again.go() is ExitCode.OK
    assert recorded(again) == [-10.0, 0.0, 10.0, 20.0]
    assert excluded(tmp_path / "s") == [1, 2]


@pytest.mark.parametrize("count", [0, -1, 3])
def test_a_retake_of_more_tilts_than_recorded_is_refused(tmp_path: Path, count: int) -> None:
    said: list[str] = []

    def ask(engine: Engine) -> None:
        with pytest.raises(UsageError) as refused:
            engine.retake(count)
        said.append(str(refused.value))

    run = Run(open_session(tmp_path / "s"), on_event=after(1, ask))
    assert run.go() is ExitCode.OK
    assert "2 are recorded" in said[0]
    assert recorded(run) == TILTS_A


def test_a_retake_outside_a_series_is_refused(tmp_path: Path) -> None:
    run = Run(open_session(tmp_path / "s", PROTOCOL))
    with pytest.raises(UsageError, match="no series is being recorded"):
        run.engine.retake(1)
    run.session.close()
