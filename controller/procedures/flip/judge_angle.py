"""Compare the rotation that a target's images show with that of the whole grid."""

from __future__ import annotations

from controller.model.events import FlipChecked
from controller.model.targets import FoundTargets


def judge_angle(check: FlipChecked, found: FoundTargets) -> FlipChecked:
    """Refuse a flipped target that is not turned in the plane as the positions of all targets are.

    A grid is rigid: all its assemblies are turned by the same angle. One that is turned by another
    angle is not the target, however much its images look like it.
    """
    if not check.accepted or found.in_plane_deg is None:
        return check
    difference_deg = abs((check.in_plane_deg - found.in_plane_deg + 180) % 360 - 180)
    if difference_deg <= found.in_plane_limit_deg:
        return check
    reason = (
        f"flipped, but turned by {round(check.in_plane_deg)} degrees in the plane, and the grid by "
        f"{round(found.in_plane_deg)}: another assembly that looks like it, or a rotated scan"
    )
    return check.model_copy(update={"accepted": False, "found": reason})
