"""Have the grid taken out, turned upside-down and put back; then check the flip."""

from __future__ import annotations

from controller.common.errors import SafetyStopError
from controller.model.events import Level
from controller.model.prompts import STOP, FlipAnswer, FlipCheckAnswer, PromptId
from controller.model.request_ids import RequestName, make_request_id
from controller.model.stage import StagePosition
from controller.model.steps import FlipGrid
from controller.procedures.context import Context, StopRequestedError
from controller.procedures.flip.check_flip import check_flip, prepare_object
from controller.procedures.flip.flip_prompts import flip_check_prompt, flip_prompt
from controller.procedures.flip.holder import is_at_zero, wait_until_exposable, wait_until_removable
from controller.procedures.flip.maps import survey_before
from controller.procedures.show_image import show_untilted
from controller.rehearsal.operator_actions import OperatorAction
from controller.session.entries import FlipJudged, StepDone
from controller.session.ledger import Ledger


def carry_out(step: FlipGrid, context: Context) -> None:
    """Have the grid flipped; end when B is A's mirror image, or on an override with a reason."""
    while True:
        if not _flip_confirmed(context.session.ledger):
            _ask_for_flip(step, context)
        _simulate_remount(context)
        wait_until_exposable(context, step.id)
        if _check_until_accepted(step, context):
            context.session.enter(StepDone(step_id=step.id, centre=context.microscope.stage()))
            return


def _flip_confirmed(ledger: Ledger) -> bool:
    """Tell whether the last answer says that the flip is done, so that it is not asked twice."""
    answers = [
        a.value for a in ledger.answers if a.prompt_id in (PromptId.FLIP, PromptId.FLIP_CHECK)
    ]
    return bool(answers) and answers[-1] not in (STOP, FlipCheckAnswer.BACK_TO_FLIP)


def _ask_for_flip(step: FlipGrid, context: Context) -> None:
    survey_before(context, step.id)
    context.microscope.blank()
    show_untilted(context, step.id, "A")
    status = context.microscope.status()
    if status.valves_open or not is_at_zero(status.stage):  # else the holder may already be out
        context.microscope.move(step.id, StagePosition())
    simulated = context.microscope.description.simulated
    if simulated:
        context.microscope.simulate_operator(
            _action_id(context, "valves"), OperatorAction.CLOSE_VALVES
        )
    seen = wait_until_removable(context, step.id)
    prompt = flip_prompt(context.protocol, seen, simulated=simulated)
    answer = context.operator.ask(step.id, prompt)
    if answer.value == STOP:
        raise StopRequestedError(
            f"at the flip, by {answer.by}: {answer.reason or 'no reason given'}"
        )


def _simulate_remount(context: Context) -> None:
    """Have a simulated microscope remount its grid; its request id makes it act only once."""
    if not context.microscope.description.simulated:
        return
    answers = _flip_answers(context)
    action = (
        OperatorAction.FLIPPED if answers[-1] == FlipAnswer.DONE else OperatorAction(answers[-1])
    )
    context.microscope.simulate_operator(_action_id(context, "grid"), action)


def _action_id(context: Context, what: str) -> str:
    purpose = f"{what}-{len(_flip_answers(context))}"
    return make_request_id(RequestName(context.session.ledger.session_id, "flip", purpose))


def _flip_answers(context: Context) -> list[str]:
    return [a.value for a in context.session.ledger.answers if a.prompt_id is PromptId.FLIP]


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
