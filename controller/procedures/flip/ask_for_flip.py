"""Ask the operator to flip the grid; a simulated operator then puts it back."""

from __future__ import annotations

from controller.model.prompts import STOP, FlipAnswer, FlipCheckAnswer, PromptId
from controller.model.request_ids import RequestName, make_request_id
from controller.model.stage import StagePosition
from controller.procedures.context import Context, StopRequestedError
from controller.procedures.flip.flip_prompts import flip_prompt
from controller.procedures.flip.holder import is_at_zero, wait_until_removable
from controller.procedures.flip.maps import reach_of_map_nm
from controller.rehearsal.operator_actions import OperatorAction
from controller.session.ledger import Ledger


def is_flip_confirmed(ledger: Ledger) -> bool:
    """Tell whether the last answer says that the flip is done, so that it is not asked twice."""
    answers = [
        a.value for a in ledger.answers if a.prompt_id in (PromptId.FLIP, PromptId.FLIP_CHECK)
    ]
    return bool(answers) and answers[-1] not in (STOP, FlipCheckAnswer.BACK_TO_FLIP)


def ask_for_flip(context: Context, step_id: str) -> None:
    """Bring the stage to zero, wait until the holder may come out, then ask for the flip.

    Raises
    ------
    StopRequestedError
        The operator chose to stop.
    """
    status = context.microscope.status()
    if status.valves_open or not is_at_zero(status.stage):  # else the holder may already be out
        context.microscope.move(step_id, StagePosition())
    simulated = context.microscope.description.simulated
    if simulated:
        context.microscope.simulate_operator(
            _action_id(context, "valves"), OperatorAction.CLOSE_VALVES
        )
    seen = wait_until_removable(context, step_id)
    searched_nm = reach_of_map_nm(context.session.ledger)
    prompt = flip_prompt(context.protocol, seen, searched_nm=searched_nm, simulated=simulated)
    answer = context.operator.ask(step_id, prompt)
    if answer.value == STOP:
        raise StopRequestedError(
            f"at the flip, by {answer.by}: {answer.reason or 'no reason given'}"
        )


def simulate_remount(context: Context) -> None:
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
