"""Have the grid flipped once for all targets, and find them again from their positions."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from controller.common.errors import SafetyStopError
from controller.model.events import Checked, Level
from controller.model.prompts import STOP, FlipCheckAnswer, Prompt, PromptId
from controller.model.steps import FlipForAll
from controller.model.targets import FoundTargets, GridSettings
from controller.procedures.context import Context
from controller.procedures.flip.ask_for_flip import (
    ask_for_flip,
    is_flip_confirmed,
    simulate_remount,
)
from controller.procedures.flip.holder import wait_until_exposable
from controller.procedures.flip.side_by_images import side_by_images
from controller.procedures.flip.survey_grid import survey_grid
from controller.session.entries import StepDone
from controller.session.grid_folder import GridFolder
from processing.images.constellation import Constellation, Side, find_constellation

ACCEPTED = (Side.FLIPPED, Side.UNCLEAR)
"""Sides with which series B may begin; each target's own flip check still decides."""
CHOICES = (FlipCheckAnswer.RETAKE_IMAGE, FlipCheckAnswer.BACK_TO_FLIP, FlipCheckAnswer.STOP)


def carry_out(step: FlipForAll, context: Context) -> None:
    """Have the grid flipped and find the targets; repeat both until the targets are found.

    Raises
    ------
    StopRequestedError
        The operator chose to stop at the flip.
    SafetyStopError
        The operator chose to stop because the targets were not found.
    """
    while True:
        if not is_flip_confirmed(context.session.ledger):
            ask_for_flip(context, step.id)
        simulate_remount(context)
        wait_until_exposable(context, step.id)
        if _find_until_accepted(step, context):
            context.session.enter(StepDone(step_id=step.id))
            return


def _find_until_accepted(step: FlipForAll, context: Context) -> bool:
    """Survey the grid until the targets are found; False if the grid must be flipped again."""
    grid = GridFolder.of_member(context.session.folder.path)
    positions_nm = grid.read_positions()
    before_nm = np.array(list(positions_nm.values()), float).reshape(-1, 2)
    while True:
        constellation, detail = _find(step, context, before_nm)
        found = _found(constellation, tuple(positions_nm), detail)
        accepted = constellation.side in ACCEPTED
        if constellation.side is Side.UNCLEAR:
            accepted, found = _decide_by_images(step, context, found)
        context.publish(Checked(name="targets", ok=accepted, detail=found.detail))
        if accepted:
            context.persist(partial(grid.write_found, found), step.id)
            return True
        answer = context.operator.ask(step.id, _prompt(found.detail))
        if answer.value == STOP:
            raise SafetyStopError(f"flip: {found.detail}; no series B was recorded")
        if answer.value == FlipCheckAnswer.BACK_TO_FLIP:
            return False


def _find(
    step: FlipForAll, context: Context, before_nm: NDArray[np.float64]
) -> tuple[Constellation, str]:
    """Survey the grid; return the finding, and its description in one line.

    Parameters
    ----------
    before_nm
        Positions (x, y) of the targets before the flip, [n, 2].
    """
    tolerance_nm = (context.protocol.grid or GridSettings()).tolerance_nm
    seen_nm = survey_grid(context, step.id)
    constellation = find_constellation(before_nm, seen_nm, tolerance_nm)
    return constellation, describe(constellation, len(before_nm), len(seen_nm))


def _decide_by_images(
    step: FlipForAll, context: Context, found: FoundTargets
) -> tuple[bool, FoundTargets]:
    """Have the image of a target tell the side; return whether B may begin, and the finding.

    Where no image tells it, B begins: each target's own flip check still decides.
    """
    context.alert(Level.WARNING, f"targets: {found.detail}", step.id)
    decided = side_by_images(context, step.id, found.places_nm)
    by = "no image tells it either"
    if decided is not None:
        by = f"the image of {decided.name}: {decided.check.found}"
    finding = found.model_copy(update={"detail": f"{found.detail}; {by}"})
    return decided is None or decided.check.accepted, finding


def describe(constellation: Constellation, targets: int, seen: int) -> str:
    """Return the finding in one line.

    Parameters
    ----------
    targets
        Number of targets before the flip.
    seen
        Number of assemblies found after it.
    """
    best = constellation.best
    matched = len(best.matches) if best else 0
    of = f"{matched} of {targets} targets among {seen} assemblies"
    turned = f"turned by {round(best.angle_deg)} degrees in the plane" if best else ""
    match constellation.side:
        case Side.FLIPPED:
            return f"flipped, {turned}: {of}"
        case Side.SAME_SIDE:
            return f"same side up, {turned}: not flipped ({of})"
        case Side.LOST:
            return f"the targets are not found: {of} fit together"
        case Side.UNCLEAR:
            return (
                f"{seen} assemblies; the positions of {targets} targets alone do not tell the "
                "side, only their images do"
            )


def _found(constellation: Constellation, names: tuple[str, ...], detail: str) -> FoundTargets:
    best = constellation.best
    return FoundTargets(
        detail=detail,
        in_plane_deg=best.angle_deg if best else None,
        places_nm=dict(zip(names, constellation.candidates_nm, strict=True)),
        seen=tuple(names[index] for index, _ in best.matches) if best else (),
    )


def _prompt(detail: str) -> Prompt:
    return Prompt(
        id=PromptId.FLIP_CHECK,
        title="Flip not confirmed",
        text=f"Found: {detail}. Survey the grid again, or flip it again.",
        choices=CHOICES,
    )
