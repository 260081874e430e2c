"""Find one target on the grid that was flipped for all targets, and check its flip."""

from __future__ import annotations

from functools import partial

from controller.common.errors import SafetyStopError
from controller.model.prompts import FlipAnswer, PromptId
from controller.model.stage import StagePosition
from controller.model.steps import FindFlipped
from controller.procedures.context import Context, ContinuesLaterError
from controller.procedures.flip.ask_for_flip import is_flip_confirmed
from controller.procedures.flip.check_flip import check_at_place, own_series_a
from controller.procedures.flip.holder import wait_until_exposable
from controller.procedures.flip.judge_angle import judge_angle
from controller.procedures.flip.seat_tilt import report_seat_tilt
from controller.session.entries import Answered, FlipJudged, StepDone
from controller.session.grid_folder import GridFolder


def carry_out(step: FindFlipped, context: Context) -> None:
    """Compare the target's candidate places in turn; end at the first that is A's mirror image.

    Raises
    ------
    ContinuesLaterError
        The grid was not flipped yet.
    SafetyStopError
        No candidate is the flipped target; B is not recorded.
    """
    found = GridFolder.of_member(context.session.folder.path).read_found()
    if found is None:
        raise ContinuesLaterError(
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
    series_a = partial(own_series_a, context)
    for x_nm, y_nm in found.places_nm.get(context.protocol.target or "", ()):
        place = StagePosition(x_nm=x_nm, y_nm=y_nm)
        check = check_at_place(context, step.id, place, series_a)
        check = judge_angle(check, found, context.protocol.column.tilt_axis_deg)
        context.publish(check)
        if check.accepted:
            context.session.enter(FlipJudged(check=check))
            context.session.enter(StepDone(step_id=step.id, centre=context.microscope.stage()))
            report_seat_tilt(context, step.id)
            return
        if check.found not in refused:
            refused.append(check.found)
    reason = "; ".join(refused) or "the target is not among the assemblies found after the flip"
    raise SafetyStopError(f"flip: {reason}; B was not recorded")
