"""Goniometer: reported position, true position, and duration of moves.

x and y move the grid in its plane and z along its normal. All three axes tilt with the holder, so
an object on the tilt axis stays there. The reported position is the target. The true position
differs by a tilt error, a lateral jump with each tilt, backlash, and a drift that decays after
each move.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.hardware.interface import OutOfLimitsError
from controller.model.base import Data
from controller.model.stage import StageLimits, StagePosition
from simulator.settings import StageSettings

Array = NDArray[np.float64]


class StageTruth(Data):
    """Reported position of the stage and its errors."""

    reported: StagePosition = StagePosition()
    tilt_error_deg: float = 0.0
    jump_nm: tuple[float, float] = (0.0, 0.0)
    """Lateral shift caused by the last tilt."""
    lag: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Backlash of alpha, x and y: 1 if the last move was towards smaller values, else 0."""
    drift_nm: tuple[float, float] = (0.0, 0.0)
    """Drift remaining at `arrived_s`."""
    arrived_s: float = 0.0


@dataclass(frozen=True)
class HolderPose:
    """True position of the holder at one moment."""

    alpha_deg: float
    x_nm: float = 0.0
    y_nm: float = 0.0
    z_nm: float = 0.0
    """x, y and z are along the axes of the holder, which tilt."""
    image_shift_nm: tuple[float, float] = (0.0, 0.0)
    """Shift (u, v) of the image by goniometer errors and drift."""


def check_limits(target: StagePosition, limits: StageLimits) -> None:
    """Raise OutOfLimitsError, naming each axis, if `target` is outside the soft limits."""
    ranges = {
        "alpha_deg": (limits.alpha_min_deg, limits.alpha_max_deg),
        "x_nm": (-limits.xy_max_nm, limits.xy_max_nm),
        "y_nm": (-limits.xy_max_nm, limits.xy_max_nm),
        "z_nm": (-limits.z_max_nm, limits.z_max_nm),
    }
    wrong = [
        f"{axis} = {getattr(target, axis):g} is not within {low:g}..{high:g}"
        for axis, (low, high) in ranges.items()
        if not low <= getattr(target, axis) <= high
    ]
    if wrong:
        raise OutOfLimitsError(f"stage target outside its limits: {'; '.join(wrong)}")


def move_duration_s(before: StagePosition, target: StagePosition, settings: StageSettings) -> float:
    """Return the duration of a move without settling, s; all axes move at the same time."""
    shift_nm = max(
        abs(target.x_nm - before.x_nm),
        abs(target.y_nm - before.y_nm),
        abs(target.z_nm - before.z_nm),
    )
    tilt_deg = abs(target.alpha_deg - before.alpha_deg)
    return max(tilt_deg / settings.tilt_speed_deg_per_s, shift_nm / settings.shift_speed_nm_per_s)


def interpolate(before: StagePosition, target: StagePosition, fraction: float) -> StagePosition:
    """Return the position after `fraction` of the move."""
    start, end = before.model_dump(), target.model_dump()
    return StagePosition(
        **{axis: start[axis] + fraction * (end[axis] - start[axis]) for axis in end}
    )


def after_move(
    before: StageTruth,
    target: StagePosition,
    now_s: float,
    settings: StageSettings,
    rng: np.random.Generator,
) -> StageTruth:
    """Return the state of the stage on arrival at `target`."""
    start = before.reported
    steps = (
        target.alpha_deg - start.alpha_deg,
        target.x_nm - start.x_nm,
        target.y_nm - start.y_nm,
    )
    if not any(steps) and target.z_nm == start.z_nm:
        return before
    lag = tuple(
        old if step == 0 else float(step < 0) for old, step in zip(before.lag, steps, strict=True)
    )
    direction = rng.uniform(0.0, 2.0 * np.pi)
    drift = settings.drift_nm * np.array([np.cos(direction), np.sin(direction)])
    tilt_errors = {}
    if steps[0]:
        tilt_errors = {
            "tilt_error_deg": rng.normal(0.0, settings.tilt_error_deg),
            "jump_nm": tuple(rng.normal(0.0, settings.jitter_nm, 2).tolist()),
        }
    moved = {"reported": target, "lag": lag, "drift_nm": tuple(drift.tolist()), "arrived_s": now_s}
    return before.model_copy(update={**moved, **tilt_errors})


def after_sweep(
    before: StageTruth, target: StagePosition, settings: StageSettings, rng: np.random.Generator
) -> StageTruth:
    """Return the state as the stage passes `target` in motion: without a stop no drift begins."""
    stopped = after_move(before, target, before.arrived_s, settings, rng)
    return stopped.model_copy(update={"drift_nm": before.drift_nm})


def true_pose(truth: StageTruth, time_s: float, settings: StageSettings) -> HolderPose:
    """Return the true position of the holder at `time_s`."""
    remaining = np.exp(-(time_s - truth.arrived_s) / settings.drift_decay_s)
    reported = truth.reported
    return HolderPose(
        alpha_deg=reported.alpha_deg + truth.tilt_error_deg + truth.lag[0] * settings.backlash_deg,
        x_nm=reported.x_nm + truth.lag[1] * settings.backlash_nm,
        y_nm=reported.y_nm + truth.lag[2] * settings.backlash_nm,
        z_nm=reported.z_nm,
        image_shift_nm=(
            truth.jump_nm[0] - truth.drift_nm[0] * remaining,
            truth.jump_nm[1] - truth.drift_nm[1] * remaining,
        ),
    )


def holder_to_beam(points_nm: Array, pose: HolderPose) -> Array:
    """Transform holder points [n, 3] to (u, v, height): u = x cos t + z sin t, v = y."""
    return holder_to_beam_in_motion(points_nm, pose, pose, np.zeros(len(points_nm)))


def holder_to_beam_in_motion(
    points_nm: Array, start: HolderPose, end: HolderPose, progress: Array
) -> Array:
    """Transform holder points [n, 3] to (u, v, height) while the stage moves.

    `progress` [n] is the fraction of the move done at each point, 0 to 1.
    """
    t = np.deg2rad(start.alpha_deg + progress * (end.alpha_deg - start.alpha_deg))
    start_nm = np.array([start.x_nm, start.y_nm, start.z_nm])
    move_nm = np.array([end.x_nm, end.y_nm, end.z_nm]) - start_nm
    x, y, z = (points_nm + start_nm + progress[:, None] * move_nm).T
    u_nm, v_nm = (
        first + progress * (last - first)
        for first, last in zip(start.image_shift_nm, end.image_shift_nm, strict=True)
    )
    u = x * np.cos(t) + z * np.sin(t) + u_nm
    v = y + v_nm
    return np.column_stack([u, v, z * np.cos(t) - x * np.sin(t)])
