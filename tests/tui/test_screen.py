"""What the screen shows, by phase, size and theme; snapshots are injected."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, tzinfo
from itertools import chain

import pytest
from textual.binding import Binding
from textual.pilot import Pilot

from controller.events import (
    Advised,
    Alerted,
    Checked,
    Counted,
    Event,
    Level,
    Phase,
    PhaseStarted,
    ProcessingFailed,
    State,
    StateChanged,
)
from controller.tui import main_screen
from controller.tui.app import SessionApp
from controller.tui.help import PAGES
from controller.tui.messages import PictureArrived, RecordsArrived, StatusArrived, View
from tests.support import scripted_session as script
from tests.tui.support import FOLDER, drive, lines, post, post_pictures, shown

UP_TO_A: tuple[Callable[[], Iterator[Event]], ...] = (script.preflight, script.shower)


BEGUN = PhaseStarted(phase=Phase.A)
LIVE_WORD = (
    Advised(series="A", topic="convergence", text="of the other series", ok=False),
    Advised(series="B", topic="blurred-side", text="neither side is blurred " * 5, ok=True),
    Advised(
        series="B",
        topic="convergence",
        text="count not settled: the last 34 tilts would change it by +210",
        ok=False,
    ),
    Advised(
        series="B",
        topic="retake",
        text="#12 at -52.0°: blurred; take it again",
        ok=False,
        index=11,
    ),
    Counted(which="fused", n=6900, n_low=6840, n_high=6960, tilts_used=113, live=True),
)


def upto_a41() -> list[Event]:
    return [
        script.started(FOLDER),
        *chain.from_iterable(part() for part in UP_TO_A),
        *script.series("A", 41),
    ]


def upto_flip() -> list[Event]:
    return [
        script.started(FOLDER),
        *chain.from_iterable(part() for part in UP_TO_A),
        *script.series("A"),
        *script.reconstructed("A"),
        *script.flip(),
    ]


OFF_REACH = "tilts -74 to +74, reach -60 to +60 degrees"
FAILED_CHECK = (
    Checked(name="stage range", ok=False, detail=OFF_REACH),
    StateChanged(
        state=State.FAILED,
        reason=f"pre-flight: 1 of 14 checks failed: stage range: {OFF_REACH}",
    ),
)


async def until_seen(app: SessionApp, pilot: Pilot[None], text: str) -> None:
    give_up_s = time.monotonic() + 20.0
    while text not in shown(app):
        assert time.monotonic() < give_up_s, shown(app)
        await pilot.pause(0.02)


PHASES: dict[str, tuple[list[Event], tuple[str, ...]]] = {
    "pre-flight": (
        [script.started(FOLDER), *script.preflight()],
        (
            "[ pre ]",
            "✓ bridge",
            "✓ dose ",
            "14 checks good",
            "73 + 74 tilts",
            "37:40",
            "14.5 of 60 ke/Å²",
        ),
    ),
    "pre-flight, a check failed": (
        [script.started(FOLDER), *script.preflight(), *FAILED_CHECK],
        (
            "✗ 1 of 14 checks failed",
            "✗ stage range: tilts -74 to +74, reach",  # in full, and before the good ones
            "-60 to +60 degrees",
            "✓ dose ",
            "✗ failed · dualtilt resume /data/au-assembly takes it up again",
            "■ STOP NOW",
            "■ pre-flight: 1 of 14 checks failed: stage range",
        ),
    ),
    "pre-flight, asked to start": (
        [script.started(FOLDER), *script.preflight(), *script.asked_to_start()],
        (
            "Ready to start",
            "Object: 165.3 nm across, 12.4 nm off",
            "Planned: 73 + 74 tilts, 38 minutes",
            "look ",
            "$ dualtilt answer preflight start",
            "waiting Ready to start",
        ),
    ),
    "shower": (
        [script.started(FOLDER), *script.preflight(), *list(script.shower(4))[:-2]],
        (
            "✓pre",
            "[ shower ]",
            "+30°  4 of 5   this angle 0:00",
            "whole shower 1:00  █████████▋··",
            "beam ON 40 pA",
            "dose 4.3 of 14.5 ke/Å²",
            "size 166.1 nm   -0.6% at +0°",
            "drift 0.5 nm, 0.0086 nm/s at +0°",
            "size/nm vs time",
            "dose/(ke/Å²) vs time",
        ),
    ),
    "series A": (
        upto_a41(),
        (
            "[ A 41/73 ]",
            "SIM",
            "+10.0° 56%  left 2:30  0 behind",
            "beam ON 70 pA",
            "dose 8.2 of 14.5 ke/Å²",
            "residual 0.54 px ok",
            "particles 6669 ± 132   d 6.3 nm",
            "residual/px vs tilt ╌ limit 1",
            "particles vs tilts used",
            "✓ GOOD",
            "A#37 shift 4.1 px > 4.0: retaken",
            "Pause",
            "Detach",
        ),
    ),
    "series A, nothing seen yet": (
        [script.started(FOLDER), *chain.from_iterable(part() for part in UP_TO_A), BEGUN],
        ("[ A 0/73 ]", "particles not counted yet", "nothing yet"),
    ),
    "series B, with advice": (
        [*upto_flip(), *script.flipped(), *script.series("B", 40), *LIVE_WORD],
        (
            "[ B 40/74 ]",
            "! #12 at -52.0°: blurred; take it again",
            "! count not settled: the last 34 tilts",
            "  would change it by +210",
            "fused     6900 ± 60",
            "residual/px vs tilt",
            "particles vs tilts used  A B fused",
        ),
    ),
    "flip": (
        upto_flip(),
        (
            "[ flip ]",
            "beam blanked 70 pA",
            "✓ beam blanked",
            "Flip the grid",
            "1. Retract the holder",
            "done",
            "$ dualtilt answer flip done",
            "? waiting",
            "| B expected",
        ),
    ),
    "flip refused": (
        [*upto_flip(), *script.flip_refused()],
        (
            "✗ REFUSED",
            "same side up",
            "0.83",
            "▲ STOP AT END",
            "▲ retake-image or back-to-flip: same side up",
            "? waiting · dualtilt answer flip-check retake-image ",
            "(1 alert, l)",
            "override",
            "flip-check",
        ),
    ),
    "flip accepted": (
        [*upto_flip(), *list(script.flipped())[:-1]],
        (
            "✓ accepted: flipped, turned by 71",
            "degrees in the plane",
            "same side up  0.22",
            "runner-up     0.34",
            "turned +71°, seat 1.2°, off 5 nm",
            "size -0.4%, signal +2.0% against A",
            "✓ drift",
        ),
    ),
    "fuse": (
        [*upto_flip(), *script.flipped(), *script.series("B"), *script.fuse(0.6)],
        ("[ fuse ]", "fuse: Haar fusion", "60%", "A only", "7061 ± 109"),
    ),
    "report": (
        list(script.whole(FOLDER)),
        ("✓fuse ✓report", "fused", "7116 ± 5", "report.html", "o opens it", "✓ finished"),
    ),
}


@pytest.mark.parametrize(("events", "expected"), PHASES.values(), ids=PHASES)
def test_each_phase_shows_what_matters_in_80_by_24(
    events: list[Event], expected: tuple[str, ...]
) -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, events)
        post_pictures(app)
        await pilot.pause()
        text = shown(app)
        assert [part for part in expected if part not in text] == [], text

    drive(body)


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (120, 40), (200, 50), (250, 70)])
def test_rail_image_state_and_alert_are_always_in_view(size: tuple[int, int]) -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, upto_a41())
        post_pictures(app)
        await pilot.pause()
        rows = lines(app)
        assert "[ A 41/73 ]" in rows[0] and rows[0].rstrip().endswith("au-assembly")
        assert "frame A#41 +10.0°" in rows[1] and "+10.0° 56%" in rows[1]
        image = [row[1:30] for row in rows[2:-5]]
        assert sum(any(block in row for block in "▘▝▀▖▌▞▛▗▚▐▜▄▙▟█") for row in image) > 10
        assert "running" in rows[-3] and rows[-3].rstrip().endswith("GOOD")
        assert re.search(r"! 19:0\d:\d\d A#37 shift", rows[-2])
        assert "q Detach" in rows[-1]
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
        assert "frame A#41" in lines(app)[1] and "q Detach" in lines(app)[-1]

    drive(body)


def test_two_hundred_snapshots_a_millisecond_apart_end_on_the_newest() -> None:
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


@pytest.mark.parametrize("events", [part for part, _ in PHASES.values()], ids=PHASES)
def test_every_phase_can_be_shown_without_colour(
    events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, events)
        await pilot.pause()
        post_pictures(app)
        for key in ("v", "z", "l"):
            await pilot.press(key)
            await pilot.pause()

    drive(body, size=(100, 40))


def test_nothing_is_told_by_colour_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, [*upto_flip(), *script.flip_refused()])
        await pilot.pause()
        text = shown(app)
        drawing = app.export_screenshot().split("</style>", 1)[1]
        window_frame = {"#ff5f57", "#febc2e", "#28c840", "#c5c8c6"}
        colours = set(re.findall(r"#[0-9a-f]{6}", drawing)) - window_frame
        assert {c for c in colours if len({c[1:3], c[3:5], c[5:7]}) > 1} == set()
        for sign in ("✓pre", "[ flip ]", "✗ REFUSED", "▲ STOP AT END", "▲ retake-image or"):
            assert sign in text

    drive(body)


def test_the_shower_s_clock_goes_down_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
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
            await until_seen(app, pilot, f"this angle {left}")
        post(app, [StateChanged(state=State.PAUSED)], 900)
        await until_seen(app, pilot, "this angle 0:20")  # what is sure while nothing is given

    drive(body)


def test_a_lost_session_is_named_and_what_was_known_stays() -> None:
    from controller.tui.messages import Unreachable

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, upto_a41())
        app.post_message(Unreachable(f"{FOLDER}: it is gone; `dualtilt resume {FOLDER}` goes on"))
        await pilot.pause()
        state, advice, _ = lines(app)[-3:]
        assert f"✗ {FOLDER}: it is gone" in state and "LOST" in state and "GOOD" not in state
        assert f"`dualtilt resume {FOLDER}` goes on" in advice
        assert "[ A 41/73 ]" in shown(app)
        app.post_message(StatusArrived(app.status))  # it came back
        await pilot.pause()
        assert "✓ GOOD" in lines(app)[-3]

    drive(body)


def test_views_go_round_and_zoom() -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, upto_a41())
        post_pictures(app)
        await pilot.pause()
        titles = []
        for _ in range(6):
            titles.append(lines(app)[1][:36])
            await pilot.press("v")
            await pilot.pause()
        names = ["frame A#41", "A: x-z", "B: x-z", "fused: x-z", "B - A", "| B expected"]
        assert [name in title for name, title in zip(names, titles, strict=True)] == [True] * 6
        fitted = lines(app)
        await pilot.press("z")
        await pilot.pause()
        assert "1:1" in shown(app) and lines(app)[5] != fitted[5]

    drive(body)


def test_the_palette_has_every_action_and_quits_nothing() -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, upto_a41())
        await pilot.pause()
        titles = {command.title for command in app.get_system_commands(app.screen)}
        assert {"Pause", "Stop…", "Next view", "Zoom", "Log", "Detach", "Theme"} <= titles
        assert not {"Quit", "Go on", "Answer the prompt", "Open report"} & titles

    drive(body)


def test_a_verdict_never_comes_without_its_reason() -> None:
    failed = ProcessingFailed(job="A", reason="out of memory")

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, [*upto_flip(), failed])
        await pilot.pause()
        state, alert, _ = lines(app)[-3:]
        assert "waiting Flip the grid" in state and "▲ STOP AT END" in state
        assert "▲ processing A failed: out of memory" in alert and "(1 alert, l)" in alert

    drive(body)


@pytest.mark.parametrize("size", [(80, 24), (200, 50)], ids=["the log", "the log's tail"])
def test_a_long_line_is_folded_not_cut(size: tuple[int, int]) -> None:
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


def test_the_log_has_no_keys_that_do_nothing_there() -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, upto_a41())
        await pilot.press("l")
        await pilot.pause()
        assert "/ Filter" in lines(app)[-1] and "Zoom" not in lines(app)[-1]
        await pilot.press("escape")
        await pilot.pause()
        assert "Zoom" in lines(app)[-1]

    drive(body)


def test_the_log_is_narrowed_down_by_what_is_typed() -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, upto_a41())
        await pilot.pause()
        await pilot.press("l")
        await pilot.pause()
        assert "A#41 residual" in shown(app)
        await pilot.press("slash", *"retaken")
        await pilot.pause()
        text = shown(app)
        assert "A#37 shift 4.1 px" in text and "residual" not in text
        post(
            app,
            [Alerted(level=Level.INFO, text="retaken again"), StateChanged(state=State.PAUSED)],
            900,
        )
        await pilot.pause()
        assert "retaken again" in shown(app) and "paused" not in shown(app)
        await pilot.press("enter", "escape")
        await pilot.pause()
        assert "[ A 41/73 ]" in shown(app)

    drive(body)


@pytest.mark.parametrize("key", ["question_mark", "f1"])
def test_help_can_be_read_to_its_end_on_a_small_screen(key: str) -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await pilot.press(key)
        await pilot.pause()
        seen = shown(app)
        for _ in range(6):
            await pilot.press("pagedown")
            await pilot.pause(0.05)
            seen += shown(app)
        words = [word for rows in PAGES.values() for word, _ in rows]
        assert [word for word in words if word not in seen] == []

    drive(body)


def test_help_explains_every_key() -> None:
    explained = " ".join(word for word, _ in PAGES["keys"]).replace("?", "question_mark").split()
    keys = {
        key
        for binding in SessionApp.BINDINGS
        if isinstance(binding, Binding)
        for key in binding.key.split(",")
    }
    assert keys <= set(explained)


@pytest.mark.parametrize(
    ("events", "words"),
    [
        pytest.param(
            upto_a41(),
            ("behind", "beam", "counts", "dose", "shift", "residual", "particles", "±", "GOOD"),
            id="series",
        ),
        pytest.param(
            [script.started(FOLDER), *script.preflight(), *script.shower()],
            ("this angle", "size", "drift"),
            id="shower",
        ),
        pytest.param(
            [*upto_flip(), *script.flipped()],
            ("flipped", "same side up", "runner-up", "turned", "seat"),
            id="flip",
        ),
    ],
)
def test_help_explains_what_is_on_the_screen(events: list[Event], words: tuple[str, ...]) -> None:
    explained = " ".join(word for rows in PAGES.values() for word, _ in rows)

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, events)
        await pilot.pause()
        assert [word for word in words if word not in shown(app)] == []
        assert [word for word in words if word not in explained] == []

    drive(body)
