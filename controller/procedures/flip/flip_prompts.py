"""What is asked around the flip, in words; pure. One line an instruction: screens wrap them."""

from __future__ import annotations

from controller.model.events import FlipChecked
from controller.model.prompts import FlipAnswer, FlipCheckAnswer, Prompt, PromptId
from controller.model.protocol import Protocol
from controller.rehearsal.operator_actions import REMOUNTS, OperatorAction

MISTAKES = tuple(
    action.value for action in OperatorAction if action in REMOUNTS - {OperatorAction.FLIPPED}
)

REHEARSAL = (
    "This is a simulator: `done` flips its grid; the choices after `stop` play a mistake instead, "
    "which the check of B's first images must catch."
)


def flip_prompt(protocol: Protocol, seen: str, *, simulated: bool) -> Prompt:
    """Ask for the flip.

    Parameters
    ----------
    seen
        A sentence on beam, stage and valves.
    """
    tilts_deg = protocol.series_a.tilts_deg
    wedge_deg = 180 - (max(tilts_deg) - min(tilts_deg))
    lines = (
        seen,
        "1. Retract the holder and take the grid out.",
        "2. Turn it upside-down: half a turn about an axis in its plane.",
        "3. Put it back, about 90 degrees in its plane from before if you can choose: series B "
        f"then also fills the wedge of {wedge_deg:.0f} degrees that the tilts of A leave out.",
        "4. Insert the holder; when the vacuum is good again, open the valves. Bring the same "
        f"assembly into view{_by_hand(protocol)}.",
        "5. Change no setting of scan or detector: rotation, mirroring, size and gain stay as in "
        "series A.",
        *((REHEARSAL,) if simulated else ()),
    )
    return Prompt(
        id=PromptId.FLIP,
        title="Flip the grid",
        text="\n".join(lines),
        choices=(*FlipAnswer, *(MISTAKES if simulated else ())),
    )


def flip_check_prompt(check: FlipChecked) -> Prompt:
    """Ask what to do with a B that is not what A lets expect; its scores stand beside it."""
    return Prompt(
        id=PromptId.FLIP_CHECK,
        title="B is blocked",
        text=f"Found: {check.found}. Take the images again, flip the grid, or override with a "
        "reason.",
        choices=tuple(FlipCheckAnswer),
        needs_reason=(FlipCheckAnswer.OVERRIDE,),
    )


def _by_hand(protocol: Protocol) -> str:
    """What of the grid's place is left to the operator."""
    left = [
        what
        for what, found in (
            ("eucentric", protocol.eucentric.enabled),
            ("in focus", protocol.focus.before_series),
        )
        if not found
    ]
    return f", {' and '.join(left)}" if left else ": height and focus are then found without you"
