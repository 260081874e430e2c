"""Have the grid flipped once for all targets, and find them again from their positions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from controller.common.errors import SafetyStopError
from controller.model.events import Checked, Level
from controller.model.prompts import STOP, FlipCheckAnswer, Prompt, PromptId
from controller.model.protocol import Protocol
from controller.model.steps import FlipForAll
from controller.model.targets import FoundTargets, GridSettings
from controller.procedures.context import Context
from controller.procedures.flip.ask_for_flip import (
    ask_for_flip,
    is_flip_confirmed,
    simulate_remount,
)
from controller.procedures.flip.holder import wait_until_exposable
from controller.procedures.flip.side_by_images import SideByImages, side_by_images
from controller.procedures.flip.survey_grid import survey_grid
from controller.session.entries import StepDone
from controller.session.grid_folder import GridFolder
from processing.images.constellation import find_constellation
from processing.images.placement import Constellation, Recognised, Side, narrow

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
    while True:
        search = TargetSearch(
            grid.read_positions(), survey_grid(context, step.id), context.protocol
        )
        constellation = search.constellation
        accepted, detail = constellation.side in ACCEPTED, search.detail
        if constellation.side is Side.UNCLEAR:
            accepted, detail, constellation = _decide_by_images(step, context, search)
        context.publish(Checked(name="targets", ok=accepted, detail=detail))
        if accepted:
            found = search.found(constellation, detail)
            context.persist(partial(grid.write_found, found), step.id)
            return True
        answer = context.operator.ask(step.id, _prompt(detail))
        if answer.value == STOP:
            raise SafetyStopError(f"flip: {detail}; no series B was recorded")
        if answer.value == FlipCheckAnswer.BACK_TO_FLIP:
            return False


class TargetSearch:
    """Search for the targets among the assemblies of a survey.

    Parameters
    ----------
    positions_nm
        Position (x, y) of each target before the flip.
    seen_nm
        Positions (x, y) of all assemblies on the survey, [m, 2].
    """

    def __init__(
        self,
        positions_nm: Mapping[str, tuple[float, float]],
        seen_nm: NDArray[np.float64],
        protocol: Protocol,
    ) -> None:
        self.names = tuple(positions_nm)
        self._before_nm = np.array(list(positions_nm.values()), float).reshape(-1, 2)
        self._seen_nm = seen_nm
        self._tolerance_nm = (protocol.grid or GridSettings()).tolerance_nm
        self.constellation = find_constellation(self._before_nm, seen_nm, self._tolerance_nm)
        self.detail = describe(self.constellation, len(self.names), len(seen_nm))

    @property
    def places_nm(self) -> dict[str, tuple[tuple[float, float], ...]]:
        """Stage positions (x, y) at which each target may be, the most likely first."""
        return dict(zip(self.names, self.constellation.candidates_nm, strict=True))

    def narrowed(self, decided: SideByImages) -> Constellation | None:
        """Keep what agrees with a flipped target; None if nothing does."""
        if not self.constellation.placements:
            return self.constellation  # a single target: nothing to disagree with
        recognised = Recognised(
            self.names.index(decided.name), decided.place_nm, decided.check.in_plane_deg
        )
        return narrow(
            self.constellation, recognised, self._before_nm, self._seen_nm, self._tolerance_nm
        )

    def found(self, constellation: Constellation, detail: str) -> FoundTargets:
        """Return the places of the targets; with the angle of the grid where it is certain."""
        best = constellation.best
        turn = best if constellation.side is Side.FLIPPED and constellation.has_one_angle else None
        return FoundTargets(
            detail=detail,
            in_plane_deg=turn.angle_deg if turn else None,
            in_plane_limit_deg=turn.angle_limit_deg if turn else 180.0,
            places_nm=dict(zip(self.names, constellation.candidates_nm, strict=True)),
            seen=tuple(self.names[index] for index, _ in best.matches) if best else (),
        )


def _decide_by_images(
    step: FlipForAll, context: Context, search: TargetSearch
) -> tuple[bool, str, Constellation]:
    """Have the image of a target tell the side; return whether B may begin, and the finding.

    Where no image tells it, B begins: each target's own flip check still decides.
    """
    context.alert(Level.WARNING, f"targets: {search.detail}", step.id)
    decided = side_by_images(
        context, step.id, search.places_nm, lambda found: search.narrowed(found) is not None
    )
    if decided is None:
        detail = f"{search.detail}; no image tells it either"
        return True, detail, search.constellation
    detail = f"{search.detail}; the image of {decided.name}: {decided.check.found}"
    if not decided.check.accepted:
        return False, detail, search.constellation
    narrowed = search.narrowed(decided)
    if narrowed is None:
        return True, f"{detail}, which fits no positions of the others", search.constellation
    return True, detail, narrowed


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


def _prompt(detail: str) -> Prompt:
    return Prompt(
        id=PromptId.FLIP_CHECK,
        title="Flip not confirmed",
        text=f"Found: {detail}. Survey the grid again, or flip it again.",
        choices=CHOICES,
    )
