"""The clocks of the shower between two words from the session; what it says of size and drift."""

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
from controller.service import words
from controller.service.foresight import foreseen
from controller.service.status import SessionStatus
from controller.service.status_reducer import next_status
from tests.support import scripted_session as script

BEGUN = datetime.fromisoformat("2026-01-22T19:00:00+01:00")


def showered(angle_elapsed_s: float, **more: Any) -> Showered:
    """At the second of five angles of a minute each."""
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
    """Folded; all of them happen at once."""
    status = SessionStatus()
    for i, event in enumerate(events):
        status = next_status(status, Record(seq=i, at=BEGUN.isoformat(), event=event))
    return status


ON = (
    PhaseStarted(phase=Phase.SHOWER),
    StateChanged(state=State.RUNNING),
    showered(20.0),
    BeamChanged(blanked=False, current_pA=40.0),
    ShowerSliceStarted(duration_s=20.0),
)

CLOCKS: tuple[tuple[str, tuple[Event, ...], float, float], ...] = (
    ("as the slice begins", ON, 0.0, 40.0),
    ("in the midst of it", ON, 7.0, 33.0),
    ("at its end the session's word is waited for", ON, 35.0, 20.0),
    ("a clock that was put back", ON, -5.0, 40.0),
    ("a shot, or a move", ON[:-1], 7.0, 40.0),
    ("the session's word has come", (*ON, showered(40.0)), 7.0, 20.0),
    ("a pause that waits for the slice's end", (*ON, PauseAsked(waiting=True)), 7.0, 33.0),
    ("a stop that does", (*ON, StateChanged(state=State.STOPPING)), 7.0, 33.0),
    ("a pause", (*ON, showered(40.0), StateChanged(state=State.PAUSED)), 7.0, 20.0),
    ("a fault in the midst of it", (*ON, StateChanged(state=State.PAUSED)), 7.0, 40.0),
    (
        "gone on after the fault",
        (*ON, StateChanged(state=State.PAUSED), StateChanged(state=State.RUNNING)),
        7.0,
        40.0,
    ),
    ("taken up again after a crash", (*ON, script.started(Path("/x"))), 7.0, 40.0),
    ("before the first word", ON[-1:], 7.0, 0.0),
)


@pytest.mark.parametrize(
    ("events", "later_s", "left_s"), [case[1:] for case in CLOCKS], ids=[c[0] for c in CLOCKS]
)
def test_time_left_at_an_angle(events: tuple[Event, ...], later_s: float, left_s: float) -> None:
    seen = foreseen(status_after(*events), BEGUN + timedelta(seconds=later_s))
    here_s = [shower.angle_planned_s - shower.angle_elapsed_s for shower in seen.showers[-1:]]
    assert sum(here_s) == pytest.approx(left_s)
    if seen.showers:
        assert seen.left_s == pytest.approx(180.0 + left_s)


def test_looking_ahead_leaves_the_rest_alone() -> None:
    status = status_after(*ON)
    seen = foreseen(status, BEGUN + timedelta(seconds=7))
    again = {"showers": status.showers, "left_s": status.left_s}
    assert seen != status and seen.model_copy(update=again) == status


SIZES: tuple[tuple[str, tuple[tuple[float, float | None], ...], str], ...] = (
    ("not looked at twice", ((0.0, 100.0),), ""),
    ("before and after", ((0.0, 100.0), (0.0, None), (0.0, 98.0)), "-2.0% at +0°"),
    ("at the next angle only once", ((0.0, 100.0), (0.0, 98.0), (30.0, 90.0)), "-2.0% at +0°"),
    ("at the next angle twice", ((0.0, 9.0), (0.0, 8.0), (30.0, 90.0), (30.0, 90.0)), "+0.0% at"),
    ("nothing in view afterwards", ((0.0, 100.0), (0.0, None)), ""),
)


@pytest.mark.parametrize(
    ("looks", "told"), [case[1:] for case in SIZES], ids=[case[0] for case in SIZES]
)
def test_change_of_the_size(looks: tuple[tuple[float, float | None], ...], told: str) -> None:
    showers = tuple(
        showered(0.0).model_copy(update={"alpha_deg": alpha, "size_nm": size})
        for alpha, size in looks
    )
    change = words.size_change(showers)
    assert change.startswith(told) and bool(change) == bool(told)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        pytest.param(
            '{"seq":1,"at":"t","event":{"kind":"showered","alpha_deg":30.0,"elapsed_s":60.0,'
            '"planned_s":300.0,"dose_e_per_A2":1200.0,"size_nm":165.0}}',
            "shower +30°  1:00 of 5:00  dose 1.2 ke/Å²  size 165.0 nm",
            id="of a log from before there were angles and drift",
        ),
        pytest.param(
            RECORD.dump_json(
                Record(seq=1, at="t", event=showered(60.0, drift_nm=1.24, drift_nm_per_s=0.0206))
            ).decode(),
            "shower -30°  2 of 5  2:00 of 5:00  dose 0 ke/Å²  drift 1.2 nm, 0.021 nm/s",
            id="of today's",
        ),
    ],
)
def test_a_line_of_the_log(line: str, told: str) -> None:
    assert words.tell(RECORD.validate_json(line)) == told
