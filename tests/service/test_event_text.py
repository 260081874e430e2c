"""Lines of text for status and events."""

from __future__ import annotations

import pytest

from controller.model.count_verdict import CountVerdict, Trust
from controller.model.events import (
    Alerted,
    Checked,
    Counted,
    Event,
    Level,
    ProcessingFailed,
    PromptAnswered,
    PromptOpened,
    Record,
)
from controller.service import status_text
from controller.service.event_text import event_line, mark
from controller.service.session_status import CountPoint, CountStatus, SessionStatus
from controller.service.status_text import count_so_far, frames_behind
from tests.support import scripted_session as script
from tests.support.status_events import count, ended_early, frame, judged, status_after

ALARM = Alerted(level=Level.ALARM, text="stage stuck")


@pytest.mark.parametrize(
    ("state", "text"),
    [
        pytest.param(Trust.TRUSTED, "6744 ± 6", id="trusted: with its interval"),
        pytest.param(Trust.DOUBTFUL, "6744 doubtful", id="doubtful: without an interval"),
        pytest.param(Trust.REFUSED, "refused", id="refused: without a number"),
    ],
)
def test_a_count_shows_what_its_verdict_allows(state: Trust, text: str) -> None:
    verdict = CountVerdict(state=state, reasons=("several sizes",))
    counted = Counted(
        which="A", n=6744, n_low=6738, n_high=6750, tilts_used=73, live=False, verdict=verdict
    )
    assert status_text.count(counted) == text
    assert f"particles A: {text}" in event_line(Record(seq=0, at="", event=counted))
    assert status_text.count(status_after(counted).counts["A"].latest) == text


@pytest.mark.parametrize(
    ("events", "text"),
    [
        pytest.param((), "0 behind", id="nothing recorded"),
        pytest.param((frame(0), judged(0, 0.5)), "0 behind", id="none"),
        pytest.param((frame(0),), "1 behind", id="one, just recorded"),
        pytest.param((frame(0), frame(1, planned=7)), "2 behind (4 s)", id="two, 2 s each"),
        pytest.param((frame(0), frame(1, left_s=0.0)), "2 behind", id="at the series' end"),
    ],
)
def test_frames_behind_have_a_number_and_a_time(events: tuple[Event, ...], text: str) -> None:
    assert frames_behind(status_after(*events)) == text


@pytest.mark.parametrize(
    ("spent", "planned", "budget", "text"),
    [
        pytest.param(4300, 14_500, 60_000, "4.3 ke/Å² of 14.5 planned, 60 max", id="in the plan"),
        pytest.param(20_100, 16_100, 24_200, "20.1 ke/Å², 4 over plan, 24.2 max", id="retakes"),
        pytest.param(16_120, 16_100, 0, "16.1 ke/Å² of 16.1 planned", id="as planned, rounded"),
    ],
)
def test_dose_beyond_the_plan_is_named(
    spent: float, planned: float, budget: float, text: str
) -> None:
    status = SessionStatus(
        dose_e_per_A2=spent, planned_dose_e_per_A2=planned, dose_budget_e_per_A2=budget
    )
    assert status_text.dose(status) == text


@pytest.mark.parametrize(
    ("event", "sign", "line"),
    [
        (frame(40), "", "A#41/73 +10.0°  counts 400  dose 4.1 ke/Å²  ok"),
        (
            frame(40, offset_px=(3.0, -4.0)),
            "",
            "A#41/73 +10.0°  counts 400  off centre 5.0 px  dose 4.1 ke/Å²  ok",
        ),
        (Alerted(level=Level.WARNING, text="slow", where="A-037"), "!", "slow (A-037)"),
        (ALARM, "!!", "stage stuck"),
        (
            ended_early(40, 31),
            "",
            "series A ends after 40 of 71 tilts: 201 particles (200 to 202), settled;"
            " saves 5.2 ke/Å² and 2:34",
        ),
        (count(5830, 40), "", "particles A: 5830 ± 9 after 40 tilts"),
        (
            Counted(which="A", n=50, n_low=20, n_high=55, tilts_used=9, live=False),
            "",
            "particles A: 50 (20–55)",
        ),
        (
            PromptOpened(prompt=script.FLIP_PROMPT),
            "?",
            "Flip the grid: dualtilt answer flip done | stop",
        ),
        (
            PromptAnswered(prompt_id="flip-check", value="override", reason="seen", by="operator"),
            "?",
            "flip-check answered override by operator: seen",
        ),
        (
            ProcessingFailed(job="fuse", reason="B is A", refused=True),
            "!!",
            "fuse refused: B is A",
        ),
        (Checked(name="disk", ok=False, detail="full"), "!", "✗ disk: full"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_line_of_an_event(event: Event, sign: str, line: str) -> None:
    record = Record(seq=0, at="2026-01-22T19:02:11+01:00", event=event)
    assert (mark(record), event_line(record)) == (sign, line)


@pytest.mark.parametrize(
    ("half", "live", "text"),
    [
        pytest.param(205, True, "5830 ± 205", id="narrow"),
        pytest.param(3340, True, "too early to say", id="wide"),
        pytest.param(3340, False, "5830 ± 3340", id="wide, but final"),
    ],
)
def test_a_live_count_with_a_wide_interval_is_hidden(half: int, live: bool, text: str) -> None:
    point = CountPoint(tilts_used=50, n=5830, n_low=5830 - half, n_high=5830 + half)
    assert count_so_far(CountStatus(points=(point,), live=live)) == text
