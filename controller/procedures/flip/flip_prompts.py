"""Texts of the flip's prompts; pure. One instruction per line: screens wrap the lines."""

from __future__ import annotations

from controller.model.events import FlipChecked
from controller.model.prompts import FlipAnswer, FlipCheckAnswer, Prompt, PromptId
from controller.model.protocol import Protocol
from controller.rehearsal.operator_actions import REMOUNTS, OperatorAction

MISTAKES = tuple(
    action.value for action in OperatorAction if action in REMOUNTS - {OperatorAction.FLIPPED}
)

REHEARSAL = (
    "This is a simulator: `done` flips its grid. The mistakes to rehearse put it back wrongly; the "
    "check of B's first images must find that."
)


def flip_prompt(protocol: Protocol, seen: str, *, searched_nm: float, simulated: bool) -> Prompt:
    """Make the prompt that asks for the flip.

    Parameters
    ----------
    seen
        Sentence on beam, stage and valves.
    searched_nm
        Distance from the image centre within which the assembly is searched after the flip; 0 if it
        is not.
    """
    tilts_deg = protocol.series_a.tilts_deg
    wedge_deg = 180 - (max(tilts_deg) - min(tilts_deg))
    lines = (
        seen,
        "1. Retract the holder, take out the grid.",
        "2. Turn it upside-down: half a turn about an axis in its plane.",
        "3. Put it back; if you can, turn it by about 90° in its plane: series B then also fills "
        f"the missing wedge of A ({wedge_deg:.0f}°).",
        f"4. Insert the holder; at good vacuum open the valves. {_view(protocol, searched_nm)}",
        "5. Leave scan and detector as in series A: rotation, mirroring, size, gain.",
        *((REHEARSAL,) if simulated else ()),
    )
    return Prompt(
        id=PromptId.FLIP,
        title="Flip the grid",
        text="\n".join(lines),
        choices=(*FlipAnswer, *(MISTAKES if simulated else ())),
        rehearsed=MISTAKES if simulated else (),
    )


def flip_check_prompt(check: FlipChecked) -> Prompt:
    """Make the prompt that asks what to do when B's images do not match A's."""
    return Prompt(
        id=PromptId.FLIP_CHECK,
        title="Flip not confirmed",
        text=f"Found: {check.found}. Take the images again, flip the grid again, or override with "
        "a reason.",
        choices=_best_first(check),
        needs_reason=(FlipCheckAnswer.OVERRIDE,),
    )


def _best_first(check: FlipChecked) -> tuple[FlipCheckAnswer, ...]:
    """Return the answers; after images of the same side up, flipping again is the first."""
    if check.compared and check.same_side_score > check.flipped_score:
        return tuple(sorted(FlipCheckAnswer, key=lambda each: each != FlipCheckAnswer.BACK_TO_FLIP))
    return tuple(FlipCheckAnswer)


def _view(protocol: Protocol, searched_nm: float) -> str:
    """Say what to bring into view; of several targets none."""
    if protocol.only_flips:
        return "Leave the stage at zero: the targets are searched around it."
    by_hand = _by_hand(protocol)
    itself = "" if by_hand else " Height and focus are set automatically."
    if not searched_nm:
        return f"Bring the same assembly into view{by_hand}.{itself}"
    reach = f"to within {searched_nm / 1000:.2g} µm of the image centre"
    return f"Bring the same assembly {reach}{by_hand}; the session finds it there.{itself}"


def _by_hand(protocol: Protocol) -> str:
    """Say what the operator sets; empty if height and focus are found automatically."""
    left = [
        what
        for what, found in (
            ("eucentric", protocol.eucentric.enabled),
            ("in focus", protocol.focus.before_series),
        )
        if not found
    ]
    return f", {' and '.join(left)}" if left else ""
