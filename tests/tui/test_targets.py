"""The queue of targets on the screen: present target, table, and a stop after it."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from controller.model.events import State
from controller.service.queue_status import QueueStatus, QueueView, TargetRow, queue_around
from controller.service.session_status import CountPoint, CountStatus, SessionStatus
from controller.ui.tui.screen_messages import QueueArrived
from controller.ui.tui.session_app import SessionApp
from tests.tui.phases import upto_a41
from tests.tui.sessions import lines_with_keys, until_shown
from tests.tui.support import drive, lines, post, post_pictures, shown

LOST = "no object where the others put it"
ROWS = (
    TargetRow(
        name="centre",
        state="done",
        folder="sessions/centre",
        count_a=294,
        count_b=295,
        count_fused=295,
        fused_low=294,
        fused_high=296,
        verdict="trusted",
    ),
    TargetRow(
        name="south",
        state="done",
        folder="sessions/south",
        count_a=280,
        count_b=291,
        count_fused=288,
        fused_low=270,
        fused_high=300,
        verdict="doubtful",
    ),
    TargetRow(name="loose", state="set aside", folder="sessions/loose", reason=LOST),
    TargetRow(name="east", state="A recorded", folder="sessions/east"),
    *(TargetRow(name=f"far-{n}", state="waiting", folder=f"sessions/far-{n}") for n in range(20)),
)


def queue(rows: tuple[TargetRow, ...], *, stops: bool = False) -> QueueView:
    status = QueueStatus(
        name="grid",
        flip="flipped, turned by 144 degrees",
        seat_tilt="a seat tilt of 1.08 degrees",
        targets=rows,
    )
    return QueueView(status=status, present="east", stops=stops)


@pytest.mark.parametrize(("size", "list_beside"), [((80, 24), False), ((120, 40), True)])
def test_first_line_and_list_show_the_present_target(
    size: tuple[int, int], *, list_beside: bool
) -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, upto_a41())
        post_pictures(app)
        app.post_message(QueueArrived(queue(ROWS[:4])))
        await until_shown(app, pilot, "grid · east 4/4")
        rows = await lines_with_keys(app, "t Targets", "q Leave")
        assert "[ A 41/73 ]" in rows[0]
        assert any("▶ east" in row and "A 41/73" in row for row in rows) == list_beside
        assert any("✗ loose" in row and "set aside" in row for row in rows) == list_beside
        assert sum("┤" in row for row in rows) > 2  # the plots keep their room

    drive(body, size=size)


def test_the_table_has_states_counts_verdicts_and_reasons() -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, upto_a41())
        app.post_message(QueueArrived(queue(ROWS[:4])))
        await until_shown(app, pilot, "east 4/4")
        await pilot.press("t")
        await until_shown(app, pilot, "grid: 4 targets")
        text = shown(app)
        for part in ("295 (294 to 296)", "trusted", "288 (no interval)", "doubtful", "A 41/73"):
            assert part in text
        assert f"loose: {LOST}" in text and "turned by 144 degrees" in text
        assert "a seat tilt of 1.08 degrees" in text

    drive(body)


def test_many_targets_leave_room_for_the_plots() -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, upto_a41())
        app.post_message(QueueArrived(queue(ROWS)))
        await until_shown(app, pilot, "▶ east")
        assert "more: t" in shown(app)
        assert sum("┤" in row for row in lines(app)) > 2

    drive(body, size=(120, 40))


def test_the_queue_is_asked_to_stop_after_the_target_and_not_to(tmp_path: Path) -> None:
    session = tmp_path / "sessions" / "east"
    session.mkdir(parents=True)
    (tmp_path / "queue-status.json").write_text(queue(ROWS[:4]).status.model_dump_json())

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, upto_a41())
        for key, stops in ("x", True), ("s", False), ("s", True):
            known = queue_around(session)
            assert known is not None and known.present == "east" and known.stops is not stops
            app.post_message(QueueArrived(known))
            await pilot.pause()
            await pilot.press(*(["x", "end", "enter", "t"] if key == "x" else [key]))
            await pilot.pause()
            asked = queue_around(session)
            assert asked is not None and asked.stops is stops
        app.post_message(QueueArrived(asked))
        await until_shown(app, pilot, "stops after this target")
        assert "last: east 4/4" in lines(app)[0]

    drive(body, SessionApp(session, follow=False))


@pytest.mark.parametrize(
    ("state", "shown_as"),
    [
        pytest.param(State.STOPPED, "B recorded", id="its results wait"),
        pytest.param(State.RUNNING, "fusing", id="its results are being made"),
    ],
)
def test_the_results_of_a_target_are_shown_beside_the_present_one(
    state: State, shown_as: str, tmp_path: Path
) -> None:
    session, other = tmp_path / "sessions" / "east", tmp_path / "sessions" / "west"
    session.mkdir(parents=True)
    other.mkdir()
    point = CountPoint(tilts_used=48, n=291, n_low=290, n_high=292)
    results = SessionStatus(state=state, counts={"A": CountStatus(points=(point,), live=False)})
    (other / "status.json").write_text(results.model_dump_json())
    rows = (*ROWS[:4], TargetRow(name="west", state="B recorded", folder="sessions/west"))
    (tmp_path / "queue-status.json").write_text(queue(rows).status.model_dump_json())

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, upto_a41())
        known = queue_around(session)
        assert known is not None
        app.post_message(QueueArrived(known))
        await until_shown(app, pilot, "east 4/5")
        await pilot.press("t")
        await until_shown(app, pilot, "grid: 5 targets")
        row = next(row for row in lines(app) if "· west" in row)
        assert shown_as in row and "291" in row
        assert "A 41/73" in shown(app)

    drive(body, SessionApp(session, follow=False))


def test_a_single_session_has_no_targets(tmp_path: Path) -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, upto_a41())
        await pilot.press("x")
        await until_shown(app, pilot, "at the end of the series")
        assert "target" not in shown(app).lower()

    assert queue_around(tmp_path) is None
    drive(body, SessionApp(tmp_path, follow=False))
