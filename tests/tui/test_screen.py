"""Text on the screen by phase, size and theme, from posted events."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime, timedelta, tzinfo

import pytest
from textual.pilot import Pilot

from controller.model.events import (
    Alerted,
    Event,
    Level,
    PauseAsked,
    ProcessingFailed,
    ProcessingProgressed,
    PromptAnswered,
    State,
    StateChanged,
)
from controller.ui.tui import main_screen
from controller.ui.tui.screen_messages import PictureArrived, RecordsArrived, StatusArrived, View
from controller.ui.tui.session_app import SessionApp
from tests.support import scripted_session as script
from tests.tui.phases import PHASES, upto_a41, upto_flip
from tests.tui.sessions import lines_with_keys, until_shown
from tests.tui.support import FOLDER, drive, lines, post, post_pictures, shown


@pytest.mark.parametrize(("events", "expected"), PHASES.values(), ids=PHASES)
def test_each_phase_shows_its_text_in_80_by_24_and_all_its_views_without_colour(
    events: list[Event], expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, events)
        post_pictures(app)
        for part in expected:
            await until_shown(app, pilot, part)
        await pilot.resize_terminal(100, 40)
        await pilot.pause()
        for key in ("v", "z", "l"):
            await pilot.press(key)
            await pilot.pause()

    drive(body)


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (120, 40), (200, 50), (250, 70)])
def test_phases_image_state_and_alert_are_always_in_view(size: tuple[int, int]) -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, upto_a41())
        post_pictures(app)
        await pilot.pause()
        rows = await lines_with_keys(app, "q Leave")
        assert "[ A 41/73 ]" in rows[0] and rows[0].rstrip().endswith("au-assembly")
        assert "frame A#41 +10.0°" in rows[1] and "+10.0° 56%" in rows[1]
        image = [row[1:30] for row in rows[2:-5]]
        assert sum(any(block in row for block in "▘▝▀▖▌▞▛▗▚▐▜▄▙▟█") for row in image) > 10
        assert "running" in rows[-3] and rows[-3].rstrip().endswith("GOOD")
        assert re.search(r"! 19:0\d:\d\d frame is off the centre by 4.1 px", rows[-2])
        assert any("log" in row and "─" in row for row in rows) == (size[0] >= 200)

    drive(body, size=size)


def test_it_follows_a_changed_size() -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, upto_a41())
        post_pictures(app)
        await pilot.resize_terminal(200, 50)
        await pilot.pause()
        wide = lines(app)
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert "log" in wide[1] and len(wide[1]) == 200
        assert "frame A#41" in (await lines_with_keys(app, "q Leave"))[1]

    drive(body)


def test_the_newest_of_two_hundred_fast_updates_is_shown() -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, upto_a41())
        await pilot.pause()
        start = app.status.seq + 1
        pixels = script.picture(176)
        status = app.status
        for i in range(200):
            reason = f"number {i}"
            event = Alerted(level=Level.WARNING, text=reason)
            [record] = script.records(iter([event]), start + i)
            app.post_message(RecordsArrived([record]))
            status = status.model_copy(
                update={"seq": start + i, "state": State.PAUSED, "reason": reason}
            )
            app.post_message(StatusArrived(status))
            app.post_message(PictureArrived(View("frame", f"frame {i}", pixels, pixels)))
            await asyncio.sleep(0.001)
        await pilot.pause()
        assert "paused: number 199" in shown(app) and "frame 199" in lines(app)[1]
        await pilot.press("l")
        await pilot.pause()
        for i in range(180, 200):  # log lines are never replaced
            assert f"number {i}" in shown(app)

    drive(body)


def test_no_meaning_is_in_colour_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, [*upto_flip(), *script.flip_refused()])
        await pilot.pause()
        text = shown(app)
        drawing = app.export_screenshot().split("</style>", 1)[1]
        window_frame = {"#ff5f57", "#febc2e", "#28c840", "#c5c8c6"}
        colours = set(re.findall(r"#[0-9a-f]{6}", drawing)) - window_frame
        assert {c for c in colours if len({c[1:3], c[3:5], c[5:7]}) > 1} == set()
        for sign in ("✓pre", "[ flip ]", "✗ NOT CONFIRMED", "▲ STOP AT END", "▲ back-to-flip or"):
            assert sign in text

    drive(body)


def test_the_clock_of_the_shower_runs_between_events(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        by_now = datetime.fromisoformat("2026-01-22T19:00:00+01:00")

        @classmethod
        def now(cls, zone: tzinfo) -> datetime:
            return cls.by_now.astimezone(zone)

    monkeypatch.setattr(main_screen, "datetime", Clock)
    monkeypatch.setattr(main_screen, "TICK_S", 0.01)
    events = [script.started(FOLDER), *script.preflight(), *list(script.shower(1))[:-2]]
    [*_, last] = script.records(iter(events))
    begun = datetime.fromisoformat(last.at)

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, events)
        for gone_s, left in ((0, "0:20"), (7, "0:13"), (19, "0:01"), (60, "0:00")):
            Clock.by_now = begun + timedelta(seconds=gone_s)
            await until_shown(app, pilot, f"this angle {left}")
        post(app, [StateChanged(state=State.PAUSED)], 900)
        await until_shown(app, pilot, "this angle 0:20")  # time left as last reported

    drive(body)


def test_a_lost_session_is_named_and_the_rest_of_the_screen_stays() -> None:
    from controller.ui.tui.screen_messages import Unreachable

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, upto_a41())
        app.post_message(Unreachable(f"{FOLDER}: it is gone", f"`dualtilt resume {FOLDER}`"))
        await pilot.pause()
        state, advice, _ = lines(app)[-3:]
        assert f"✗ {FOLDER}: it is gone" in state and "LOST" in state and "GOOD" not in state
        assert f"`dualtilt resume {FOLDER}`" in advice
        assert "[ A 41/73 ]" in shown(app)
        assert "beam not known" in shown(app)
        app.post_message(StatusArrived(app.status))  # it answers again
        await pilot.pause()
        assert "✓ GOOD" in lines(app)[-3]

    drive(body)


def test_views_change_in_a_cycle_and_zoom() -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, upto_a41())
        post_pictures(app)
        await pilot.pause()
        titles = []
        for _ in range(8):
            titles.append(lines(app)[1][:36])
            await pilot.press("v")
            await pilot.pause()
        names = ["frame A#41", "A: x-z", "B: x-z", "fused: x-z", "B - A", "| B expected"]
        names += ["B at 0°", "power spectrum"]
        assert [name in title for name, title in zip(names, titles, strict=True)] == [True] * 8
        fitted = lines(app)
        await pilot.press("z")
        await pilot.pause()
        assert "1:1" in shown(app) and lines(app)[5] != fitted[5]

    drive(body)


def test_the_palette_has_every_action_but_quit() -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, upto_a41())
        await pilot.pause()
        titles = {command.title for command in app.get_system_commands(app.screen)}
        assert {"Pause", "Stop…", "Next view", "Zoom", "Log", "Leave", "Theme"} <= titles
        assert not {"Quit", "Go on", "Answer the prompt", "Open report"} & titles

    drive(body)


def test_advice_has_its_reason() -> None:
    failed = ProcessingFailed(job="A", reason="out of memory")

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, [*upto_flip(), failed])
        await pilot.pause()
        state, alert, _ = lines(app)[-3:]
        assert "asks you: Flip the grid" in state and "▲ STOP AT END" in state
        assert "▲ processing A failed: out of memory" in alert and "(1 alert, l)" in alert

    drive(body)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        pytest.param((), " no alerts", id="neither"),
        pytest.param((Level.INFO,), r" i \d\d:\d\d:\d\d message 1", id="news, and no alert"),
        pytest.param(
            (Level.WARNING, Level.INFO),
            r" i \d\d:\d\d:\d\d message 2  \(1 alert, l\)",
            id="news after a warning, which is counted",
        ),
        pytest.param(
            (Level.INFO, Level.WARNING), r" ! \d\d:\d\d:\d\d message 2", id="a newer warning"
        ),
        pytest.param(
            (Level.ALARM, Level.INFO), r" !! \d\d:\d\d:\d\d message 1", id="an alarm stays"
        ),
    ],
)
def test_the_line_of_alerts_shows_what_is_of_now(levels: tuple[Level, ...], expected: str) -> None:
    messages = [Alerted(level=level, text=f"message {n}") for n, level in enumerate(levels, 1)]

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, [script.started(FOLDER), *messages, StateChanged(state=State.RUNNING)])
        await until_shown(app, pilot, "running")
        assert re.fullmatch(expected, lines(app)[-2].rstrip())

    drive(body)


@pytest.mark.parametrize("size", [(80, 24), (200, 50)], ids=["log screen", "newest lines"])
def test_a_long_line_is_wrapped(size: tuple[int, int]) -> None:
    words = [f"word{number}" for number in range(40)]

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, [*upto_a41(), Alerted(level=Level.INFO, text=" ".join(words))])
        await pilot.pause()
        if size[0] < 200:
            await pilot.press("l")
            await pilot.pause()
        text = shown(app)
        assert [word for word in words if not re.search(rf"\b{word}\b", text)] == []

    drive(body, size=size)


def test_the_log_shows_only_keys_that_work_there() -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, upto_a41())
        await pilot.press("l")
        assert "Zoom" not in (await lines_with_keys(app, "/ Filter"))[-1]
        await pilot.press("escape")
        await lines_with_keys(app, "Zoom")

    drive(body)


def test_typed_text_filters_the_log() -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, upto_a41())
        await pilot.pause()
        await pilot.press("l")
        await pilot.pause()
        assert "A#41 live residual" in shown(app)
        await pilot.press("slash", *"retaking")
        await pilot.pause()
        text = shown(app)
        assert "off the centre by 4.1 px" in text and "residual" not in text
        post(
            app,
            [Alerted(level=Level.INFO, text="retaking again"), StateChanged(state=State.PAUSED)],
            900,
        )
        await pilot.pause()
        assert "retaking again" in shown(app) and "paused" not in shown(app)
        await pilot.press("enter", "escape")
        await pilot.pause()
        assert "[ A 41/73 ]" in shown(app)

    drive(body)


@pytest.mark.parametrize(
    ("words", "is_shown", "is_hidden"),
    [
        pytest.param("", "A#41 live residual", "beam ON", id="beam on and off are hidden at first"),
        pytest.param("beam", "beam ON", "residual", id="a word shows them"),
        pytest.param("a#41", "A#41 live residual", "A#37", id="any case"),
        pytest.param("a# -residual", "A#41/73", "residual", id="a minus sign leaves out"),
        pytest.param("-", "A#41 live residual", "beam ON", id="a minus sign alone, while typing"),
        pytest.param("", "A#41 live residual", "SIRT", id="progress is hidden at first"),
        pytest.param("sirt", "A: SIRT 50%", "residual", id="a word shows progress"),
    ],
)
def test_words_select_lines_of_the_log(words: str, is_shown: str, is_hidden: str) -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, [*upto_a41(), ProcessingProgressed(job="A", stage="SIRT", fraction=0.5)])
        await pilot.pause()
        await pilot.press("l")
        await pilot.pause()
        if words:
            await pilot.press("slash", *words)
            await pilot.pause()
        text = "\n".join(lines(app)[2:])  # without title and filter
        assert is_shown in text and is_hidden not in text

    drive(body)


OUT_OF_VIEW = (
    "A#13: the object does not stay in view after 3 corrections; centre it by hand, then go on"
)


def test_the_long_reason_of_a_pause_is_shown_in_full() -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, [*upto_a41(), StateChanged(state=State.PAUSED, reason=OUT_OF_VIEW)])
        await pilot.pause()
        side = " ".join(" ".join(row[20:].split()) for row in lines(app)[1:5])
        assert OUT_OF_VIEW in side
        assert "? YOUR TURN" in lines(app)[-3] and "GOOD" not in shown(app)
        post(app, [PauseAsked(waiting=True)], 900)  # `dualtilt pause` once more
        await pilot.pause()
        assert "‖ paused: A#13" in lines(app)[-3] and "pausing" not in shown(app)

    drive(body)


def test_the_image_of_the_flip_check_is_shown_until_the_next_flip() -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, upto_flip())
        post_pictures(app)
        await until_shown(app, pilot, "frame A#41 +10.0° | B expected")
        post(app, script.flip_refused(), 900)
        post_pictures(app)
        await until_shown(app, pilot, "B at 0°, now | expected")
        again = PromptAnswered(prompt_id="flip-check", value="back-to-flip", by="operator")
        post(app, [again, *list(script.flip())[2:]], 950)
        await until_shown(app, pilot, "frame A#41 +10.0° | B expected")

    drive(body)


def test_the_log_may_be_opened_while_the_screen_closes() -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, upto_a41())
        await pilot.pause()
        app.action_detach()
        app.action_log()
        await pilot.pause()

    drive(body)
