"""The grid is taken out, turned upside-down and put back; then it is checked that it was."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from controller.errors import SafetyStopError
from controller.events import Checked, FlipChecked, Level, Phase, Prompt
from controller.microscope.interface import Remount, StagePosition
from controller.session.entries import FlipJudged, StepDone
from controller.session.ledger import Ledger
from controller.steps.base import StepData
from controller.steps.context import Context, StopRequestedError
from controller.steps.scan_check import look_at_scan
from controller.steps.tracking import keep_in_view
from processing.errors import ProcessingError
from processing.images.flip import match_flip

NEAR_ZERO_DEG = 4.0
"""Images of A this near to 0 are compared: the seat of the holder tilts by a degree or two."""
LOWEST_SCORE = 0.4
"""Of the better hypothesis: below it the image shows neither side of A's object."""
ZERO_TOLERANCE_DEG = 0.2

MISTAKES = tuple(hands.value for hands in Remount if hands is not Remount.FLIPPED)

INSTRUCTIONS = """\
The beam is blanked and the stage is at zero.
1. Retract the holder and take the grid out.
2. Turn it upside-down: half a turn about an axis in its plane.
3. Put it back, about 90 degrees in its plane from before if you can choose.
4. Insert the holder, bring the same assembly to the middle, eucentric and in focus.
5. Change no scan setting: rotation, mirroring and size stay as in series A."""


class FlipGrid(StepData):
    kind: Literal["flip"] = "flip"
    phase: Phase = Phase.FLIP


REHEARSAL = """
This is a simulator: `done` flips its grid; the choices after `stop` play a mistake instead,
which the check of B's first image must catch."""


def carry_out(step: FlipGrid, context: Context) -> None:
    """Have the grid flipped and go on only with B the mirror image of A, or against a reason."""
    while True:
        if not _flip_confirmed(context.session.ledger):
            _ask_for_it(step, context)
        _let_hands_act(context)
        _check_after(step, context)
        if _checked(step, context):
            context.session.enter(StepDone(step_id=step.id, centre=context.column.stage()))
            return


def _flip_confirmed(ledger: Ledger) -> bool:
    """Tell whether the last word on the flip was that it is done: so it is not asked twice."""
    words = [a.value for a in ledger.answers if a.prompt_id in ("flip", "flip-check")]
    return bool(words) and words[-1] not in ("stop", "back-to-flip")


def _ask_for_it(step: FlipGrid, context: Context) -> None:
    context.column.blank()
    _check_before(context.column.move(step.id, StagePosition()), context)
    simulated = context.column.description.simulated
    prompt = Prompt(
        id="flip",
        title="Flip the grid",
        text=INSTRUCTIONS + (REHEARSAL if simulated else ""),
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
    told = [a.value for a in context.session.ledger.answers if a.prompt_id == "flip"]
    hands = Remount.FLIPPED if told[-1] == "done" else Remount(told[-1])
    context.column.rehearse(f"{context.session.ledger.session_id}/flip/{len(told)}", hands)


def _check_before(stage: StagePosition, context: Context) -> None:
    status = context.column.microscope.status()
    at_zero = abs(stage.alpha_deg) <= ZERO_TOLERANCE_DEG
    for name, ok, detail in (
        ("beam blanked", status.beam_blanked, "blanked" if status.beam_blanked else "NOT blanked"),
        ("stage at zero", at_zero, f"alpha {stage.alpha_deg:+.2f} degrees"),
    ):
        context.publish(Checked(name=name, ok=ok, detail=detail))


def _checked(step: FlipGrid, context: Context) -> bool:
    """Compare B's first image with A's; False where the grid has to come out again."""
    while True:
        check = _compare(step, context)
        context.publish(check)
        if check.accepted:
            context.session.enter(FlipJudged(check=check))
            return True
        answer = context.operator.ask(step.id, _check_prompt(check))
        if answer.value == "override":
            context.session.enter(FlipJudged(check=check, overridden=True))
            context.alert(Level.WARNING, f"flip check overridden: {answer.reason}", step.id)
            return True
        if answer.value == "stop":
            raise SafetyStopError(f"flip: {check.found}; B was not recorded")
        if answer.value == "back-to-flip":
            return False


def _check_after(step: FlipGrid, context: Context) -> None:
    """See that the column may be exposed again; wait for the vacuum where it has to recover."""

    def status_is_good() -> bool:
        status = context.column.microscope.status()
        return status.vacuum_ok and status.valves_open

    good = status_is_good()
    detail = "good, valves open" if good else "not good enough to expose, or valves closed"
    context.publish(Checked(name="vacuum after the flip", ok=good, detail=detail))
    if not good:
        context.operator.suspend(f"{step.id}: vacuum {detail}; goes on when it is", status_is_good)


def _compare(step: FlipGrid, context: Context) -> FlipChecked:
    protocol, column = context.protocol, context.column
    column.move(step.id, StagePosition())
    look = look_at_scan(context, step.id)
    if look is not None and look.fault:
        found = f"{look.fault}: put the scan settings back as they were in series A"
        return _not_accepted(found)
    keep_in_view(context, step.id, f"look-{_looks(context.session.ledger)}")
    frame = column.acquire(step.id, "check", protocol.scan)
    column.settle(frame)
    return match_images(
        _images_near_zero(context), frame.pixels, protocol.scan.pixel_nm, protocol.flip.margin
    )


def _looks(ledger: Ledger) -> int:
    return ledger.attempts("flip", "check")


def _images_near_zero(context: Context) -> list[NDArray[Any]]:
    ledger = context.session.ledger
    usable = [frame for frame in ledger.frames["A"] if not ledger.unusable(frame)]
    tilt = {frame.section: abs(frame.info.stage.alpha_deg) for frame in usable}
    reach = max(NEAR_ZERO_DEG, min(tilt.values(), default=0.0))
    return [context.session.image("A", n) for n, alpha in tilt.items() if alpha <= reach + 0.1]


def match_images(
    images_a: list[NDArray[Any]], image_b: NDArray[Any], pixel_nm: float, margin: float
) -> FlipChecked:
    """Say which side of A's object, seen in images near 0 degrees, an image of B at 0 shows."""
    try:
        if not images_a:
            raise ProcessingError("series A has no usable image to compare with")
        match = match_flip(
            np.asarray(images_a, np.float32), np.asarray(image_b, np.float32), pixel_nm
        )
    except ProcessingError as error:
        return _not_accepted(str(error))
    flipped, same = float(match.flipped_score), float(match.same_score)
    in_plane_deg = float(match.in_plane_deg)
    recognised = max(flipped, same) >= LOWEST_SCORE
    accepted = recognised and flipped - same >= margin
    if accepted:
        found = f"flipped, turned by {in_plane_deg:.0f} degrees in the plane"
    elif not recognised:
        found = "not the object of series A, neither side of it"
    elif same > flipped:
        found = f"same side up, turned by {in_plane_deg:.0f} degrees in the plane: not flipped"
    else:
        found = "unclear: 'flipped' is hardly better than 'same side up'"
    return FlipChecked(
        flipped_score=flipped,
        same_side_score=same,
        in_plane_deg=in_plane_deg,
        accepted=accepted,
        found=found,
    )


def _not_accepted(found: str) -> FlipChecked:
    """Say why no images were compared."""
    return FlipChecked(
        flipped_score=0.0, same_side_score=0.0, in_plane_deg=0.0, accepted=False, found=found
    )


def _check_prompt(check: FlipChecked) -> Prompt:
    return Prompt(
        id="flip-check",
        title="B is not the mirror image of A",
        text=(
            f"Found: {check.found}.\n"
            f"Score of 'flipped' {check.flipped_score:.2f}, "
            f"of 'same side up' {check.same_side_score:.2f}.\n"
            "Series B is blocked: take the image again, flip the grid, or override with a reason."
        ),
        choices=("retake-image", "back-to-flip", "override", "stop"),
        needs_reason=("override",),
    )
