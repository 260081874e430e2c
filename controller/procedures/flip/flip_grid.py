"""Have the grid taken out, turned upside-down and put back; then check the flip."""

from __future__ import annotations

from controller.common.errors import SafetyStopError
from controller.model.events import Level
from controller.model.prompts import STOP, FlipCheckAnswer
from controller.model.steps import FlipGrid
from controller.procedures.context import Context
from controller.procedures.flip.ask_for_flip import (
    ask_for_flip,
    is_flip_confirmed,
    simulate_remount,
)
from controller.procedures.flip.check_flip import check_flip, prepare_object
from controller.procedures.flip.flip_prompts import flip_check_prompt
from controller.procedures.flip.holder import wait_until_exposable
from controller.procedures.flip.maps import survey_before
from controller.procedures.show_image import show_untilted
from controller.session.entries import FlipJudged, StepDone


def carry_out(step: FlipGrid, context: Context) -> None:
    """Have the grid flipped; end when B is A's mirror image, or on an override with a reason."""
    while True:
        if not is_flip_confirmed(context.session.ledger):
            survey_before(context, step.id)
            context.microscope.blank()
            show_untilted(context, step.id, "A")
            ask_for_flip(context, step.id)
        simulate_remount(context)
        wait_until_exposable(context, step.id)
        if _check_until_accepted(step, context):
            context.session.enter(StepDone(step_id=step.id, centre=context.microscope.stage()))
            return


def _check_until_accepted(step: FlipGrid, context: Context) -> bool:
    """Compare B's first images with A's until accepted; False if the grid has to come out again."""
    while True:
        check = check_flip(context, step.id)
        context.publish(check)
        if check.accepted:
            context.session.enter(FlipJudged(check=check))
            return True
        answer = context.operator.ask(step.id, flip_check_prompt(check))
        if answer.value == FlipCheckAnswer.OVERRIDE:
            prepare_object(context, step.id)  # a refused check may have skipped this
            context.session.enter(FlipJudged(check=check, overridden=True))
            context.alert(Level.WARNING, f"flip check overridden: {answer.reason}", step.id)
            return True
        if answer.value == STOP:
            raise SafetyStopError(f"flip: {check.found}; B was not recorded")
        if answer.value == FlipCheckAnswer.BACK_TO_FLIP:
            return False
