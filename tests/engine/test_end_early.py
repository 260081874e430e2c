"""Series that end as soon as their live count is settled: frames, journal, resume, the operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import mrcfile
import pytest

from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.model.commands import StopWhen
from controller.model.events import Event, FrameRecorded, Phase, PhaseStarted, SeriesEndedEarly
from controller.model.more_tilts import MoreTilts
from controller.model.plan import make_plan
from controller.session.folder import SessionFolder
from controller.session.rebuild import rebuild_journal
from controller.session.restore_left_out import restore_left_out
from tests.session.test_rebuild import damage
from tests.support.fake_microscope import FakeMicroscope
from tests.support.frames import is_frame
from tests.support.small_session import PROTOCOL, FakeJobs, Run, open_session

SETTLED = PROTOCOL.replace("[series_a]", '[series_a]\nend_when = "settled"').replace(
    "[series_b]", '[series_b]\nend_when = "settled"'
)
ENOUGH = MoreTilts(
    tilts_used=3,
    tilts_left=2,
    n=100,
    n_low=98,
    n_high=102,
    change=1,
    change_low=-2,
    change_high=2,
    missing="",
)
NOT_YET = ENOUGH.model_copy(update={"missing": "1 more counts"})
AFTER_3 = {("A", 3): ENOUGH}
Act = Callable[[Event, Engine], None]


class Killed(BaseException):
    """Ends a run at a crash point, as kill -9 does."""


def tilts(run: Run, series: str = "A") -> list[int]:
    return [e.frame.tilt_number for e in run.of(FrameRecorded) if e.frame.series == series]


def session(folder: Path, judged: dict[tuple[str, int], MoreTilts], act: Act | None = None) -> Run:
    run = Run(open_session(folder, SETTLED), jobs=FakeJobs(judged=judged))
    run.on_event = act or run.on_event
    return run


@dataclass(frozen=True)
class Case:
    name: str
    protocol: str
    judged: dict[tuple[str, int], MoreTilts] = field(default_factory=dict)
    a: int = 5
    b: int = 4


@pytest.mark.parametrize(
    "case",
    [
        Case("A ends, B does not", SETTLED, AFTER_3, a=3),
        Case("both end", SETTLED, AFTER_3 | {("B", 2): ENOUGH}, a=3, b=2),
        Case("advice alone ends nothing", PROTOCOL, AFTER_3),
        Case("not enough yet", SETTLED, {("A", 3): NOT_YET}),
        Case("no live count, as of a child that is dead", SETTLED),
        Case("enough after the last tilt", SETTLED, {("A", 5): ENOUGH}),
    ],
    ids=lambda case: case.name,
)
def test_a_settled_series_ends_between_two_tilts(tmp_path: Path, case: Case) -> None:
    run = Run(open_session(tmp_path / "s", case.protocol), jobs=FakeJobs(judged=case.judged))
    assert run.go() is ExitCode.OK
    assert (len(tilts(run)), len(tilts(run, "B"))) == (case.a, case.b)
    assert (len(mrcfile.read(tmp_path / "s" / "A.mrc")), run.session.missing_frames) == (case.a, 0)
    ended = {event.series: event.left_out for event in run.of(SeriesEndedEarly)}
    assert ended == {name: n for name, n in (("A", 5 - case.a), ("B", 4 - case.b)) if n}
    assert run.jobs.submitted == ["A", "B", "fuse"]


def test_the_plan_tells_what_an_early_end_saves(tmp_path: Path) -> None:
    run = session(tmp_path / "s", AFTER_3)
    run.go()
    plan = make_plan(run.session.protocol)
    left = [step for step in plan.steps if step.id in ("A-004", "A-005")]
    (ended,) = run.of(SeriesEndedEarly)
    assert ended.saved_dose_e_per_A2 == sum(step.dose_e_per_A2 for step in left) > 0
    assert ended.saved_s == sum(step.duration_s for step in left) > 0
    assert run.jobs.tilts_left[3] == 0  # the live volume and count take the series as complete


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_session_killed_at_the_decision_is_resumed_without_a_lost_or_doubled_frame(
    tmp_path: Path, moment: str
) -> None:
    def crash(name: str) -> None:
        if name.startswith(moment) and name.endswith("tilts-left-out"):
            raise Killed

    killed = Run(open_session(tmp_path / "s", SETTLED, crash), jobs=FakeJobs(judged=AFTER_3))
    with pytest.raises(Killed):
        killed.go()
    again = session(tmp_path / "s", {})  # no live count says anything yet
    assert again.go() is ExitCode.OK
    kept = moment == "after"
    assert tilts(killed) + tilts(again) == ([1, 2, 3] if kept else [1, 2, 3, 4, 5])
    assert [event.left_out for event in again.of(SeriesEndedEarly)] == [2] * kept


def on_frame(section: int, act: Callable[[Engine], None]) -> Act:
    return lambda event, engine: act(engine) if is_frame(event, "A", section) else None


def test_the_operator_may_have_all_tilts_recorded(tmp_path: Path) -> None:
    always = {("A", n): ENOUGH for n in range(3, 6)} | {("B", 2): ENOUGH}
    run = session(tmp_path / "s", always, on_frame(2, lambda engine: engine.complete()))
    assert run.go() is ExitCode.OK
    assert (len(tilts(run)), len(tilts(run, "B"))) == (5, 2)


def test_all_tilts_stay_asked_for_after_a_resume(tmp_path: Path) -> None:
    def act(engine: Engine) -> None:
        engine.complete() if len(tilts(first)) == 3 else engine.stop(StopWhen.AFTER_TILT)

    frame = (FrameRecorded,)
    first = session(
        tmp_path / "s",
        AFTER_3,
        lambda event, engine: (
            act(engine) if isinstance(event, frame) and len(tilts(first)) > 2 else None
        ),
    )
    assert first.go() is ExitCode.INTERRUPTED
    again = session(tmp_path / "s", {("A", 4): ENOUGH})
    assert again.go() is ExitCode.OK
    assert tilts(first) + tilts(again) == [1, 2, 3, 4, 5]


def test_a_tilt_of_an_ended_series_can_be_recorded_again(tmp_path: Path) -> None:
    run = session(
        tmp_path / "s",
        AFTER_3,
        lambda event, engine: engine.retake(1) if isinstance(event, SeriesEndedEarly) else None,
    )
    assert run.go() is ExitCode.OK
    assert tilts(run) == [1, 2, 3, 3]


def test_a_tilt_to_be_recorded_again_is_recorded_after_a_kill(tmp_path: Path) -> None:
    def crash(name: str) -> None:
        if name.startswith("after") and name.endswith("tilt-reopened"):
            raise Killed

    killed = Run(open_session(tmp_path / "s", SETTLED, crash), jobs=FakeJobs(judged=AFTER_3))
    killed.on_event = lambda event, engine: (
        engine.retake(1) if isinstance(event, SeriesEndedEarly) else None
    )
    with pytest.raises(Killed):
        killed.go()
    again = session(tmp_path / "s", {})
    assert again.go() is ExitCode.OK
    assert (tilts(killed), tilts(again)) == ([1, 2, 3], [3])


def flip_is_next(act: Callable[[Engine], None]) -> Act:
    def look(event: Event, engine: Engine) -> None:
        if isinstance(event, PhaseStarted) and event.phase is Phase.FLIP:
            act(engine)

    return look


def test_before_the_flip_the_left_out_tilts_can_be_recorded_after_all(tmp_path: Path) -> None:
    run = session(tmp_path / "s", AFTER_3, flip_is_next(lambda e: e.stop(StopWhen.NOW)))
    assert run.go() is ExitCode.INTERRUPTED
    restore_left_out(SessionFolder.open(tmp_path / "s"), "A")
    again = session(tmp_path / "s", AFTER_3)
    assert again.go() is ExitCode.OK
    assert tilts(run) + tilts(again) == [1, 2, 3, 4, 5]
    assert again.jobs.submitted == ["A", "B", "fuse"]


def test_after_the_flip_the_tilts_of_a_cannot_be_recorded_any_more(tmp_path: Path) -> None:
    def act(event: Event, engine: Engine) -> None:
        if is_frame(event, "B", 0):
            engine.stop(StopWhen.AFTER_TILT)

    assert session(tmp_path / "s", AFTER_3, act).go() is ExitCode.INTERRUPTED
    with pytest.raises(UsageError, match="series A cannot be continued: the grid is flipped"):
        restore_left_out(SessionFolder.open(tmp_path / "s"), "A")
    with pytest.raises(UsageError, match="series B has not ended early"):
        restore_left_out(SessionFolder.open(tmp_path / "s"), "B")


def test_a_lost_line_does_not_bring_tilts_of_a_to_the_flipped_grid(tmp_path: Path) -> None:
    def act(event: Event, engine: Engine) -> None:
        if is_frame(event, "B", 0):
            engine.stop(StopWhen.AFTER_TILT)

    microscope = FakeMicroscope(flipped_file=tmp_path / "flipped")
    first = Run(open_session(tmp_path / "s", SETTLED), microscope, FakeJobs(judged=AFTER_3))
    first.on_event = act
    assert first.go() is ExitCode.INTERRUPTED
    damage(tmp_path / "s", "tilts-left-out")
    folder = SessionFolder.open(tmp_path / "s")
    rebuild_journal(folder, make_plan(folder.read_protocol()))
    again = Run(
        open_session(tmp_path / "s"), FakeMicroscope("boot-2", flipped_file=tmp_path / "flipped")
    )
    assert again.go() is ExitCode.OK
    assert (tilts(again), tilts(again, "B")) == ([], [2, 3, 4])
