"""Before the plan's first exposure: show a low-dose shot and ask whether to start."""

from __future__ import annotations

from controller.hardware.interface import Frame
from controller.model.events import Checked
from controller.model.exposures import first_current_pA
from controller.model.prompts import PreflightAnswer, Prompt, PromptId
from controller.model.protocol import Protocol
from controller.model.steps import shower_id
from controller.procedures.context import Context, StopRequestedError
from controller.procedures.show_image import show
from controller.procedures.tracking.centre import limit_px, take_tracking_shot
from controller.procedures.tracking.locate import locate_object
from controller.session.ledger import Ledger


def confirm_start(context: Context, step_id: str, planned: str) -> None:
    """Show a low-dose shot and ask whether to start; repeat while the operator asks for a shot.

    Parameters
    ----------
    planned
        Tilts, time and dose of the session, in words.

    Raises
    ------
    StopRequestedError
        The operator chose to stop.
    SafetyStopError
        The current cannot be verified, or the dose budget does not cover the shot.
    """
    while True:
        shot = _take_shot(context, step_id)
        found = _judge(shot, context.protocol)
        context.publish(found)
        answer = context.operator.ask(step_id, _prompt(shot, found, planned))
        if answer.value == PreflightAnswer.STOP:
            raise StopRequestedError(f"before the start, by {answer.by}")
        if answer.value == PreflightAnswer.START:
            return


def _next_current_pA(protocol: Protocol, ledger: Ledger) -> float:
    """Return the probe current of the next step, so that none is set for the shot alone."""
    last_shower = shower_id(len(protocol.shower.tilts_deg))
    showered = last_shower in ledger.completed
    return protocol.series_a.current_pA if showered else first_current_pA(protocol)


def _take_shot(context: Context, step_id: str) -> Frame:
    current_pA = _next_current_pA(context.protocol, context.session.ledger)
    context.microscope.ensure_current(step_id, current_pA)
    shot = take_tracking_shot(context, step_id, "look")
    caption = f"pre-flight {shot.info.stage.alpha_deg:+.1f}°"
    show(context, step_id, "frame", shot.pixels, shot.info.scan.pixel_nm, caption)
    return shot


def _judge(shot: Frame, protocol: Protocol) -> Checked:
    """Check that an object is in view and near the image centre."""
    location = locate_object(shot.pixels)
    if location is None:
        return Checked(name="object", ok=False, detail="none in view: centre it by hand")
    pixel_nm = shot.info.scan.pixel_nm
    size_nm, off_nm = location.size_px * pixel_nm, location.distance_px * pixel_nm
    limit_nm = limit_px(protocol) * pixel_nm
    near = off_nm <= limit_nm
    far = "" if near else f", more than {limit_nm:.1f}: centre it by hand"
    detail = f"{size_nm:.0f} nm across, {off_nm:.1f} nm off centre{far}"
    return Checked(name="object", ok=near, detail=detail)


def _prompt(shot: Frame, found: Checked, planned: str) -> Prompt:
    """Make the prompt; the advised choice comes first."""
    start, look, stop = PreflightAnswer
    choices = (start, look, stop) if found.ok else (look, start, stop)
    return Prompt(
        id=PromptId.PREFLIGHT,
        title="Ready to start" if found.ok else "Check the object before the start",
        text=f"All checks of the column and the session passed.\n"
        f"Object: {found.detail}.\n"
        f"Planned: {planned}.\n"
        f"`look` takes another low-dose shot of {shot.info.dose_e_per_A2:.1f} e/Å².",
        choices=choices,
    )
