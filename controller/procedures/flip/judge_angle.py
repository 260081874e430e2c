"""Compare the rotation that a target's images show with that of the whole grid."""

from __future__ import annotations

from controller.model.events import FlipChecked
from controller.model.targets import FoundTargets


def judge_angle(check: FlipChecked, found: FoundTargets, tilt_axis_deg: float) -> FlipChecked:
    """Refuse a flipped target that is not turned in the plane as the positions of all targets are.

    A grid is rigid: all its assemblies are turned by the same angle. One that is turned by another
    angle is not the target, however much its images look like it.

    Parameters
    ----------
    tilt_axis_deg
        Direction of the tilt axis in the images, with which they were compared. An error of it is
        doubled in the angle, because the flip reverses the scan's own rotation.
    """
    if not check.accepted or found.in_plane_deg is None:
        return check
    difference_deg = (check.in_plane_deg - found.in_plane_deg + 180) % 360 - 180
    if abs(difference_deg) <= found.in_plane_limit_deg:
        return check
    explained_deg = tilt_axis_deg + difference_deg / 2
    reason = (
        f"flipped, but turned by {round(check.in_plane_deg)} degrees in the plane, and the grid by "
        f"{round(found.in_plane_deg)}: another assembly that looks like it, or a rotated scan "
        f"(if other targets say the same: column.tilt_axis_deg = {round(explained_deg)})"
    )
    return check.model_copy(update={"accepted": False, "found": reason})
