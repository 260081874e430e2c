"""Find one target on the grid that was flipped for all targets, and check its flip."""

from __future__ import annotations

from controller.common.errors import SafetyStopError
from controller.hardware.interface import OutOfLimitsError
from controller.model.events import FlipChecked
from controller.model.prompts import FlipAnswer, PromptId
from controller.model.stage import StagePosition
from controller.model.steps import FindFlipped
from controller.procedures.context import Context, TargetLostError, WaitsForFlipError
from controller.procedures.flip.ask_for_flip import is_flip_confirmed
from controller.procedures.flip.check_flip import check_at_stage, not_compared
from controller.procedures.flip.holder import wait_until_exposable
from controller.session.entries import Answered, FlipJudged, StepDone
from controller.session.grid_folder import GridFolder


def carry_out(step: FindFlipped, context: Context) -> None:
    """Compare the target's candidate places in turn; end at the first that is A's mirror image.

    Raises
    ------
    WaitsForFlipError
        The grid was not flipped yet.
    SafetyStopError
        No candidate is the flipped target; B is not recorded.
    """
    found = GridFolder.of_member(context.session.folder.path).read_found()
    if found is None:
        raise WaitsForFlipError(
            "series A is recorded; series B follows when the grid was flipped for all targets"
        )
    if not is_flip_confirmed(context.session.ledger):
        answer = FlipAnswer.DONE
        context.session.enter(
            Answered(
                step_id=step.id, prompt_id=PromptId.FLIP, value=answer, reason="", by="the grid"
            )
        )
    wait_until_exposable(context, step.id)
    refused: list[str] = []
    for x_nm, y_nm in found.places_nm.get(context.protocol.target or "", ()):
        check = _check_at(context, step.id, StagePosition(x_nm=x_nm, y_nm=y_nm))
        context.publish(check)
        if check.accepted:
            context.session.enter(FlipJudged(check=check))
            context.session.enter(StepDone(step_id=step.id, centre=context.microscope.stage()))
            return
        if check.found not in refused:
            refused.append(check.found)
    reason = "; ".join(refused) or "the target is not among the assemblies found after the flip"
    raise SafetyStopError(f"flip: {reason}; B was not recorded")


def _check_at(context: Context, step_id: str, place: StagePosition) -> FlipChecked:
    """Check the flip of the object at a place; refuse it if there is none."""
    try:
        context.microscope.move(step_id, place)
        return check_at_stage(context, step_id)
    except (TargetLostError, OutOfLimitsError) as error:
        return not_compared(str(error).removeprefix(f"{step_id}: "))
