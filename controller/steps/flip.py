"""The grid is taken out, turned upside-down and put back; then it is checked that it was."""

from __future__ import annotations

import math
from typing import Literal

from controller.errors import SafetyStopError
from controller.events import FlipChecked, Level, Phase, Prompt
from controller.microscope.interface import REMOUNTS, Hands, StagePosition
from controller.protocol import Protocol
from controller.session.entries import FlipJudged, StepDone
from controller.session.ledger import Ledger
from controller.steps.base import StepData
from controller.steps.context import Context, StopRequestedError
from controller.steps.flip_check import bring_into_place, check_flip
from controller.steps.holder import (
    is_at_zero,
    see_it_may_be_exposed,
    see_it_may_come_out,
)
from controller.steps.maps import survey_before
from controller.steps.showing import show_flattest

MISTAKES = tuple(hands.value for hands in Hands if hands in REMOUNTS - {Hands.FLIPPED})

INSTRUCTIONS = """\
{seen}
1. Retract the holder and take the grid out.
2. Turn it upside-down: half a turn about an axis in its plane.
3. Put it back, about 90 degrees in its plane from before if you can choose: series B then also
   fills the wedge of {wedge_deg:.0f} degrees that the tilts of A leave out.
4. Insert the holder; when the vacuum is good again, open the valves. Bring the same assembly
   into view{by_hand}.
5. Change no setting of scan or detector: rotation, mirroring, size and gain stay as in series A."""


class FlipGrid(StepData):
    kind: Literal["flip"] = "flip"
    phase: Phase = Phase.FLIP


REHEARSAL = """
This is a simulator: `done` flips its grid; the choices after `stop` play a mistake instead,
which the check of B's first images must catch."""


def carry_out(step: FlipGrid, context: Context) -> None:
    """Have the grid flipped and go on only with B the mirror image of A, or against a reason."""
    while True:
        if not _flip_confirmed(context.session.ledger):
            _ask_for_it(step, context)
        _let_hands_act(context)
        see_it_may_be_exposed(context, step.id)
        if _checked(step, context):
            context.session.enter(StepDone(step_id=step.id, centre=context.column.stage()))
            return


def _flip_confirmed(ledger: Ledger) -> bool:
    """Tell whether the last word on the flip was that it is done: so it is not asked twice."""
    words = [a.value for a in ledger.answers if a.prompt_id in ("flip", "flip-check")]
    return bool(words) and words[-1] not in ("stop", "back-to-flip")


def _ask_for_it(step: FlipGrid, context: Context) -> None:
    survey_before(context, step.id)
    context.column.blank()
    show_flattest(context, step.id, "A")
    if not is_at_zero(context.column.stage()):  # resumed with the holder out, nothing may move
        context.column.move(step.id, StagePosition())
    simulated = context.column.description.simulated
    if simulated:
        context.column.rehearse(_hands_id(context, "valves"), Hands.CLOSE_VALVES)
    tilts_deg = context.protocol.series_a.tilts_deg
    instructions = INSTRUCTIONS.format(
        seen=see_it_may_come_out(context, step.id),
        wedge_deg=180 - (max(tilts_deg) - min(tilts_deg)),
        by_hand=_by_hand(context.protocol),
    )
    prompt = Prompt(
        id="flip",
        title="Flip the grid",
        text=instructions + (REHEARSAL if simulated else ""),
        choices=("done", "stop", *(MISTAKES if simulated else ())),
    )
    answer = context.operator.ask(step.id, prompt)
    if answer.value == "stop":
        raise StopRequestedError(
            f"at the flip, by {answer.by}: {answer.reason or 'no reason given'}"
        )


def _let_hands_act(context: Context) -> None:
    """Have a simulated microscope do what the operator's hands did; the id makes it once only."""
    if not context.column.description.simulated:
        return
    told = _told(context)
    hands = Hands.FLIPPED if told[-1] == "done" else Hands(told[-1])
    context.column.rehearse(_hands_id(context, "grid"), hands)


def _hands_id(context: Context, what: str) -> str:
    return f"{context.session.ledger.session_id}/flip/{what}-{len(_told(context))}"


def _told(context: Context) -> list[str]:
    return [a.value for a in context.session.ledger.answers if a.prompt_id == "flip"]


def _by_hand(protocol: Protocol) -> str:
    """What of the grid's place is left to the operator."""
    left = [
        what
        for what, found in (
            ("eucentric", protocol.eucentric.enabled),
            ("in focus", protocol.focus.before_series),
        )
        if not found
    ]
    return f", {' and '.join(left)}" if left else ": height and focus are then found without you"


def _checked(step: FlipGrid, context: Context) -> bool:
    """Compare B's first images with A's; False where the grid has to come out again."""
    while True:
        check = check_flip(context, step.id)
        context.publish(check)
        if check.accepted:
            context.session.enter(FlipJudged(check=check))
            return True
        answer = context.operator.ask(step.id, _check_prompt(check))
        if answer.value == "override":
            bring_into_place(context, step.id)  # what was refused may never have been
            context.session.enter(FlipJudged(check=check, overridden=True))
            context.alert(Level.WARNING, f"flip check overridden: {answer.reason}", step.id)
            return True
        if answer.value == "stop":
            raise SafetyStopError(f"flip: {check.found}; B was not recorded")
        if answer.value == "back-to-flip":
            return False


def _check_prompt(check: FlipChecked) -> Prompt:
    return Prompt(
        id="flip-check",
        title="B is not the mirror image of A",
        text=(
            f"Found: {check.found}.\n"
            f"Score of 'flipped' {check.flipped_score:.2f}, of 'same side up' "
            f"{check.same_side_score:.2f}, runner-up {check.runner_up_score:.2f}.\n"
            f"Turned in the plane by {round(check.in_plane_deg)} degrees, seated "
            f"{check.seat_deg:.1f} degrees off, {math.hypot(*check.offset_nm):.0f} nm off centre.\n"
            "Series B is blocked: take the images again, flip the grid, or override with a reason."
        ),
        choices=("retake-image", "back-to-flip", "override", "stop"),
        needs_reason=("override",),
    )
