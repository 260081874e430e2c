"""Advice to the operator: a table of named cases."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from controller.model.count_verdict import CountVerdict, Trust
from controller.model.events import (
    Alerted,
    Counted,
    Event,
    Level,
    OperatorState,
    PauseCause,
    Phase,
    PhaseFinished,
    PhaseStarted,
    ProcessingFailed,
    PromptAnswered,
    PromptOpened,
    State,
    StateChanged,
)
from controller.service.residual_verdict import FIRST_TILTS
from tests.support import scripted_session as script
from tests.support.status_events import advised, count, frame, judged, status_after


def plan(dose: float, budget: float) -> Event:
    return script.started(Path("/x")).model_copy(
        update={"planned_dose_e_per_A2": dose, "dose_budget_e_per_A2": budget}
    )


def answered(value: str) -> PromptAnswered:
    return PromptAnswered(prompt_id="flip-check", value=value, by="operator")


def paused(reason: str, cause: PauseCause) -> StateChanged:
    return StateChanged(state=State.PAUSED, reason=reason, pause_cause=cause)


DOUBT = advised("B", "fit")
ALARM = Alerted(level=Level.ALARM, text="stage stuck")
REFUSED_FLIP = (PhaseStarted(phase=Phase.FLIP), *script.flip_refused())
OVERRIDDEN = (*REFUSED_FLIP, answered("override"), PhaseFinished(phase=Phase.FLIP))


def final(residual_px: float) -> Counted:
    """Return the final count of A, with the residual of its alignment."""
    return Counted(
        which="A",
        n=100,
        n_low=99,
        n_high=101,
        tilts_used=3,
        live=False,
        final_residual_px=residual_px,
    )


def judged_count(state: Trust) -> Counted:
    """Return a final count of A with its verdict."""
    verdict = CountVerdict(state=state, reasons=("most are noise",))
    return final(0.1).model_copy(update={"verdict": verdict})


FITTING = (0.1,) * FIRST_TILTS
MISALIGNED = "live residual above 1 px for 3 tilts: look at these frames"


def aligned(*residuals_px: float) -> tuple[Event, ...]:
    """Return recorded frames with their live residuals."""
    return tuple(event for i, px in enumerate(residuals_px) for event in (frame(i), judged(i, px)))


CASES: tuple[tuple[str, Iterable[Event], OperatorState, str], ...] = (
    ("an untouched session", (), OperatorState.GOOD, ""),
    ("a whole good session", tuple(script.whole(Path("/x"))), OperatorState.GOOD, ""),
    ("two bad frames", (frame(0, "dim"), frame(1, "dim")), OperatorState.GOOD, ""),
    (
        "three bad frames",
        (frame(0, "dim"), frame(1, "dim"), frame(2, "dim")),
        OperatorState.STOP_NOW,
        "the last 3 frames are dim",
    ),
    (
        "three bad frames and a good one",
        (frame(0, "dim"), frame(1, "dim"), frame(2, "dim"), frame(3)),
        OperatorState.GOOD,
        "",
    ),
    (
        "residuals above the limit",
        aligned(*FITTING, 1.5, 1.5, 1.5),
        OperatorState.STOP_AT_END,
        MISALIGNED,
    ),
    ("two residuals above the limit", aligned(*FITTING, 1.5, 1.5), OperatorState.GOOD, ""),
    (
        "the first tilts above the limit: the live volume has few images to compare with",
        aligned(0, 0, 0, 0, 2.2, 2.2, 1.9, 1.7),
        OperatorState.GOOD,
        "",
    ),
    (
        "residuals above the limit, and a frame without a residual yet",
        (*aligned(*FITTING, 1.5, 1.5, 1.5), frame(11)),
        OperatorState.STOP_AT_END,
        MISALIGNED,
    ),
    (
        "residuals above the limit, and two that fit",
        aligned(*FITTING, 1.5, 1.5, 1.5, 0.1, 0.1),
        OperatorState.STOP_AT_END,
        MISALIGNED,
    ),
    (
        "residuals above the limit, and three that fit",
        aligned(*FITTING, 1.5, 1.5, 1.5, 0.1, 0.1, 0.1),
        OperatorState.GOOD,
        "",
    ),
    (
        "live residuals above the limit, and a final one below it",
        (*aligned(*FITTING, 1.5, 1.5, 1.5), final(0.02)),
        OperatorState.GOOD,
        "",
    ),
    (
        "a final residual above the limit",
        (*(frame(i) for i in range(3)), final(1.3)),
        OperatorState.STOP_AT_END,
        "final residual of A 1.30 px, above 1 px: find the worst tilts with dualtilt inspect",
    ),
    (
        "a tilt recorded again after the final alignment",
        (*(frame(i) for i in range(3)), final(1.3), frame(2)),
        OperatorState.GOOD,
        "",
    ),
    (
        "the dose budget is used up",
        (plan(900.0, 1000.0), frame(0, dose_e_per_A2=1000.0)),
        OperatorState.STOP_NOW,
        "dose budget used up",
    ),
    (
        "the plan needs more dose than the budget",
        (plan(1100.0, 1000.0), frame(0, dose_e_per_A2=10.0)),
        OperatorState.STOP_AT_END,
        "the plan needs more dose than its budget: plan fewer tilts",
    ),
    ("B does not fit A", (PhaseStarted(phase=Phase.B), DOUBT), OperatorState.STOP_NOW, "why"),
    (
        "B fits A after all",
        (PhaseStarted(phase=Phase.B), DOUBT, DOUBT.model_copy(update={"ok": True})),
        OperatorState.GOOD,
        "",
    ),
    ("an alarm", (ALARM,), OperatorState.STOP_NOW, "stage stuck"),
    (
        "a warning after the alarm does not hide it",
        (ALARM, Alerted(level=Level.WARNING, text="slow")),
        OperatorState.STOP_NOW,
        "stage stuck",
    ),
    (
        "a final count that is refused",
        (judged_count(Trust.REFUSED),),
        OperatorState.STOP_AT_END,
        "count of A refused: most are noise",
    ),
    ("a final count that is doubtful", (judged_count(Trust.DOUBTFUL),), OperatorState.GOOD, ""),
    (
        "a pause that ends when somebody has done something",
        (paused("the valves are open", PauseCause.HANDS),),
        OperatorState.YOUR_TURN,
        "the valves are open",
    ),
    (
        "a pause that ends by itself",
        (paused("no beam", PauseCause.PASSING),),
        OperatorState.WAIT,
        "no beam",
    ),
    (
        "a pause for a person",
        (paused("valves closed", PauseCause.FAULT),),
        OperatorState.YOUR_TURN,
        "valves closed",
    ),
    (
        "a pause that has ended by itself",
        (paused("no beam", PauseCause.PASSING), StateChanged(state=State.RUNNING)),
        OperatorState.GOOD,
        "",
    ),
    ("an alarm that is over", (ALARM, StateChanged(state=State.RUNNING)), OperatorState.GOOD, ""),
    (
        "a refused flip, its prompt open",
        REFUSED_FLIP,
        OperatorState.STOP_AT_END,
        "back-to-flip or retake-image: same side up, turned by 4 degrees in the plane: not flipped",
    ),
    (
        "a refused flip, the grid being flipped again",
        (*REFUSED_FLIP, answered("back-to-flip"), PromptOpened(prompt=script.FLIP_PROMPT)),
        OperatorState.YOUR_TURN,
        script.FLIP_PROMPT.title,
    ),
    (
        "a refused flip, accepted on the second image",
        (*REFUSED_FLIP, answered("retake-image"), *script.flipped()),
        OperatorState.GOOD,
        "",
    ),
    (
        "a refused flip, the session failed",
        (*REFUSED_FLIP, StateChanged(state=State.FAILED, reason="flip: same side up")),
        OperatorState.STOP_NOW,
        "flip: same side up",
    ),
    (
        "a refused flip, overridden",
        OVERRIDDEN,
        OperatorState.STOP_AT_END,
        "flip check overridden: same side up, turned by 4 degrees in the plane: not flipped",
    ),
    (
        "a refused flip, overridden, and B recorded badly",
        (*OVERRIDDEN, *(frame(i, "dim", series="B") for i in range(3))),
        OperatorState.STOP_NOW,
        "the last 3 frames are dim",
    ),
    (
        "a refused flip, overridden, and B merged",
        (
            *OVERRIDDEN,
            Counted(which="fused", n=70, n_low=60, n_high=80, tilts_used=9, live=False),
        ),
        OperatorState.GOOD,
        "",
    ),
    (
        "a refused flip, overridden, and the merge refused",
        (*OVERRIDDEN, ProcessingFailed(job="fuse", reason="B is A again", refused=True)),
        OperatorState.STOP_NOW,
        "B is A again",
    ),
    (
        "processing failed",
        (ProcessingFailed(job="A", reason="no memory"),),
        OperatorState.STOP_AT_END,
        "processing A failed: no memory",
    ),
    (
        "live processing failed, the final count came",
        (ProcessingFailed(job="live-A", reason="killed"), count(300, 73, live=False)),
        OperatorState.GOOD,
        "",
    ),
    (
        "live processing failed, the live count came before",
        (count(300, 73), ProcessingFailed(job="live-A", reason="killed")),
        OperatorState.STOP_AT_END,
        "processing live-A failed: killed",
    ),
    (
        "the merge was refused",
        (ProcessingFailed(job="fuse", reason="B is another object", refused=True),),
        OperatorState.STOP_NOW,
        "B is another object",
    ),
    (
        "failed",
        (StateChanged(state=State.FAILED, reason="vacuum"),),
        OperatorState.STOP_NOW,
        "vacuum",
    ),
)


@pytest.mark.parametrize(
    ("events", "state", "reason"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_the_operator_is_advised(
    events: Iterable[Event], state: OperatorState, reason: str
) -> None:
    status = status_after(*events)
    assert (status.operator_state, status.operator_reason) == (state, reason)
