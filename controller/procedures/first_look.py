"""Before the plan's first exposure: a low-dose shot of what is in view, and the word to start."""

from __future__ import annotations

from controller.hardware.interface import Frame
from controller.model.events import Checked
from controller.model.exposures import first_current_pA
from controller.model.prompts import PreflightAnswer, Prompt, PromptId
from controller.model.protocol import Protocol
from controller.model.steps import shower_id
from controller.procedures.context import Context, StopRequestedError
from controller.procedures.show_image import show
from controller.procedures.tracking.centre import limit_px, shoot
from controller.procedures.tracking.locate import sight
from controller.session.ledger import Ledger


def look_and_ask(context: Context, step_id: str, planned: str) -> None:
    """Show what is in view and ask whether to start, as often as the operator wants to look.

    Parameters
    ----------
    planned
        In words: tilts, time and dose of the session.

    Raises
    ------
    StopRequestedError
        The operator rather stops.
    SafetyStopError
        The current cannot be verified, or the dose budget does not cover the shot.
    """
    while True:
        shot = _shoot(context, step_id)
        found = _judge(shot, context.protocol)
        context.publish(found)
        answer = context.operator.ask(step_id, _prompt(shot, found, planned))
        if answer.value == PreflightAnswer.STOP:
            raise StopRequestedError(f"before the start, by {answer.by}")
        if answer.value == PreflightAnswer.START:
            return


def _next_current_pA(protocol: Protocol, ledger: Ledger) -> float:
    """Probe current that the steps to come begin with, so that none is set for the look alone."""
    last_shower = shower_id(len(protocol.shower.tilts_deg))
    showered = last_shower in ledger.completed
    return protocol.series_a.current_pA if showered else first_current_pA(protocol)


def _shoot(context: Context, step_id: str) -> Frame:
    current_pA = _next_current_pA(context.protocol, context.session.ledger)
    context.microscope.have_current(step_id, current_pA)
    shot = shoot(context, step_id, "look")
    caption = f"pre-flight {shot.info.stage.alpha_deg:+.1f}°"
    show(context, step_id, "frame", shot.pixels, caption)
    return shot


def _judge(shot: Frame, protocol: Protocol) -> Checked:
    """Say whether an object is seen, and how far from the middle."""
    sighting = sight(shot.pixels)
    if sighting is None:
        return Checked(name="object", ok=False, detail="none in view: bring it to the middle")
    pixel_nm = shot.info.scan.pixel_nm
    size_nm, off_nm = sighting.size_px * pixel_nm, sighting.distance_px * pixel_nm
    limit_nm = limit_px(protocol) * pixel_nm
    near = off_nm <= limit_nm
    far = "" if near else f", more than {limit_nm:.1f}: bring it to the middle"
    detail = f"{size_nm:.0f} nm across, {off_nm:.1f} nm off the middle{far}"
    return Checked(name="object", ok=near, detail=detail)


def _prompt(shot: Frame, found: Checked, planned: str) -> Prompt:
    """What is advised comes first."""
    start, look, stop = PreflightAnswer
    choices = (start, look, stop) if found.ok else (look, start, stop)
    return Prompt(
        id=PromptId.PREFLIGHT,
        title="Ready to start" if found.ok else "Ready to start, but for what is in view",
        text=f"Every check of the column and the session is good.\n"
        f"Object: {found.detail}.\n"
        f"Planned: {planned}.\n"
        f"`look` takes another shot of {shot.info.dose_e_per_A2:.1f} e/Å².",
        choices=choices,
    )
