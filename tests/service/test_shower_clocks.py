"""Clocks of the shower between two events; size and drift in the log."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.model.events import (
    RECORD,
    BeamChanged,
    Event,
    PauseAsked,
    Phase,
    PhaseStarted,
    Record,
    Showered,
    ShowerSliceStarted,
    State,
    StateChanged,
)
from controller.service import event_text, status_text
from controller.service.session_status import SessionStatus
from controller.service.shower_clocks import advance_shower_clocks
from controller.service.status_reducer import next_status
from tests.support import scripted_session as script

STARTED_AT = datetime.fromisoformat("2026-01-22T19:00:00+01:00")


def showered(angle_elapsed_s: float, **more: Any) -> Showered:
    """Return a report of the shower at the second of five angles of a minute each."""
    return Showered(
        alpha_deg=-30.0,
        elapsed_s=60.0 + angle_elapsed_s,
        planned_s=300.0,
        dose_e_per_A2=0.0,
        angle=2,
        angles=5,
        angle_elapsed_s=angle_elapsed_s,
        angle_planned_s=60.0,
        **more,
    )


def status_after(*events: Event) -> SessionStatus:
    """Return the status after events at the same time."""
    status = SessionStatus()
    for i, event in enumerate(events):
        status = next_status(status, Record(seq=i, at=STARTED_AT.isoformat(), event=event))
    return status


ON = (
    PhaseStarted(phase=Phase.SHOWER),
    StateChanged(state=State.RUNNING),
    showered(20.0),
    BeamChanged(blanked=False, current_pA=40.0),
    ShowerSliceStarted(duration_s=20.0),
)

CLOCKS: tuple[tuple[str, tuple[Event, ...], float, float], ...] = (
    ("at the start of the slice", ON, 0.0, 40.0),
    ("during the slice", ON, 7.0, 33.0),
    ("at its end the clock waits for the session", ON, 35.0, 20.0),
    ("a system clock that was set back", ON, -5.0, 40.0),
    ("a shot or a move", ON[:-1], 7.0, 40.0),
    ("after the session has reported", (*ON, showered(40.0)), 7.0, 20.0),
    ("a pause that waits for the slice's end", (*ON, PauseAsked(waiting=True)), 7.0, 33.0),
    ("a stop that waits for the slice's end", (*ON, StateChanged(state=State.STOPPING)), 7.0, 33.0),
    ("a pause", (*ON, showered(40.0), StateChanged(state=State.PAUSED)), 7.0, 20.0),
    ("a fault during the slice", (*ON, StateChanged(state=State.PAUSED)), 7.0, 40.0),
    (
        "continued after the fault",
        (*ON, StateChanged(state=State.PAUSED), StateChanged(state=State.RUNNING)),
        7.0,
        40.0,
    ),
    ("resumed after a crash", (*ON, script.started(Path("/x"))), 7.0, 40.0),
    ("before the first report", ON[-1:], 7.0, 0.0),
)


@pytest.mark.parametrize(
    ("events", "later_s", "left_s"), [case[1:] for case in CLOCKS], ids=[c[0] for c in CLOCKS]
)
def test_time_left_at_an_angle(events: tuple[Event, ...], later_s: float, left_s: float) -> None:
    seen = advance_shower_clocks(status_after(*events), STARTED_AT + timedelta(seconds=later_s))
    here_s = [shower.angle_planned_s - shower.angle_elapsed_s for shower in seen.showers[-1:]]
    assert sum(here_s) == pytest.approx(left_s)
    if seen.showers:
        assert seen.left_s == pytest.approx(180.0 + left_s)


def test_only_the_clocks_change() -> None:
    status = status_after(*ON)
    seen = advance_shower_clocks(status, STARTED_AT + timedelta(seconds=7))
    again = {"showers": status.showers, "left_s": status.left_s}
    assert seen != status and seen.model_copy(update=again) == status


SIZES: tuple[tuple[str, tuple[tuple[float, float | None], ...], str], ...] = (
    ("only one image", ((0.0, 100.0),), ""),
    ("before and after", ((0.0, 100.0), (0.0, None), (0.0, 98.0)), "-2.0% at +0°"),
    ("at the next angle only once", ((0.0, 100.0), (0.0, 98.0), (30.0, 90.0)), "-2.0% at +0°"),
    ("at the next angle twice", ((0.0, 9.0), (0.0, 8.0), (30.0, 90.0), (30.0, 90.0)), "+0.0% at"),
    ("no object in the second image", ((0.0, 100.0), (0.0, None)), ""),
)


@pytest.mark.parametrize(
    ("sizes", "text"), [case[1:] for case in SIZES], ids=[case[0] for case in SIZES]
)
def test_change_of_the_size(sizes: tuple[tuple[float, float | None], ...], text: str) -> None:
    showers = tuple(
        showered(0.0).model_copy(update={"alpha_deg": alpha, "size_nm": size})
        for alpha, size in sizes
    )
    change = status_text.size_change(showers)
    assert change.startswith(text) and bool(change) == bool(text)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        pytest.param(
            '{"seq":1,"at":"t","event":{"kind":"showered","alpha_deg":30.0,"elapsed_s":60.0,'
            '"planned_s":300.0,"dose_e_per_A2":1200.0,"size_nm":165.0}}',
            "shower +30°  1:00 of 5:00  dose 1.2 ke/Å²  size 165.0 nm",
            id="an old log without angles and drift",
        ),
        pytest.param(
            RECORD.dump_json(
                Record(seq=1, at="t", event=showered(60.0, drift_nm=1.24, drift_nm_per_s=0.0206))
            ).decode(),
            "shower -30°  2 of 5  2:00 of 5:00  dose 0 ke/Å²  drift 1.2 nm, 0.021 nm/s",
            id="a log of today",
        ),
    ],
)
def test_a_line_of_the_log(line: str, text: str) -> None:
    assert event_text.event_line(RECORD.validate_json(line)) == text
