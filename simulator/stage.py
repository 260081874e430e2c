"""The goniometer: what it reports, where it really is, and how long it takes.

x and y move the grid in its own plane and z along its normal: all three tilt with the holder, so
that what lies on the tilt axis stays there. Reported positions are the ones asked for; the truth
differs by an error of the tilt, a lateral jump with each tilt, backlash, and a drift that decays
after each move.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.microscope.interface import (
    Data,
    OutOfLimitsError,
    StageLimits,
    StagePosition,
)
from simulator.settings import StageSettings

Array = NDArray[np.float64]


class StageTruth(Data):
    """The stage as it is: what it reports, and by how much that is wrong."""

    reported: StagePosition = StagePosition()
    tilt_error_deg: float = 0.0
    jump_nm: tuple[float, float] = (0.0, 0.0)
    """Lateral shift that the last tilt brought."""
    lag: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """1 where alpha, x, y were last approached downwards and backlash holds them back."""
    drift_nm: tuple[float, float] = (0.0, 0.0)
    """Drift still to come at `arrived_s`."""
    arrived_s: float = 0.0


@dataclass(frozen=True)
class Pose:
    """Where the holder really is at one moment."""

    alpha_deg: float
    x_nm: float = 0.0
    y_nm: float = 0.0
    z_nm: float = 0.0
    """Along the axes of the holder, which tilt."""
    seen_nm: tuple[float, float] = (0.0, 0.0)
    """What the goniometer's errors and drift shift the image by, (u, v)."""


def check_limits(target: StagePosition, limits: StageLimits) -> None:
    """Raise OutOfLimitsError, naming every axis, where `target` is beyond the soft limits."""
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
        raise OutOfLimitsError(f"stage target beyond its limits: {'; '.join(wrong)}")


def travel_s(before: StagePosition, target: StagePosition, settings: StageSettings) -> float:
    """Seconds a move takes, settling left out; the axes move together."""
    shift_nm = max(
        abs(target.x_nm - before.x_nm),
        abs(target.y_nm - before.y_nm),
        abs(target.z_nm - before.z_nm),
    )
    tilt_deg = abs(target.alpha_deg - before.alpha_deg)
    return max(tilt_deg / settings.tilt_speed_deg_per_s, shift_nm / settings.shift_speed_nm_per_s)


def between(before: StagePosition, target: StagePosition, share: float) -> StagePosition:
    """Return the position after `share` of the way."""
    start, end = before.model_dump(), target.model_dump()
    return StagePosition(**{axis: start[axis] + share * (end[axis] - start[axis]) for axis in end})


def arrive(
    before: StageTruth,
    target: StagePosition,
    now_s: float,
    settings: StageSettings,
    rng: np.random.Generator,
) -> StageTruth:
    """Return the stage as it is on arriving at `target`."""
    from_, to = before.reported, target
    steps = (to.alpha_deg - from_.alpha_deg, to.x_nm - from_.x_nm, to.y_nm - from_.y_nm)
    if not any(steps) and to.z_nm == from_.z_nm:
        return before
    lag = tuple(
        old if step == 0 else float(step < 0) for old, step in zip(before.lag, steps, strict=True)
    )
    direction = rng.uniform(0.0, 2.0 * np.pi)
    drift = settings.drift_nm * np.array([np.cos(direction), np.sin(direction)])
    tilted = {}
    if steps[0]:
        tilted = {
            "tilt_error_deg": rng.normal(0.0, settings.tilt_error_deg),
            "jump_nm": tuple(rng.normal(0.0, settings.jitter_nm, 2).tolist()),
        }
    moved = {"reported": target, "lag": lag, "drift_nm": tuple(drift.tolist()), "arrived_s": now_s}
    return before.model_copy(update={**moved, **tilted})


def swept(
    before: StageTruth, target: StagePosition, settings: StageSettings, rng: np.random.Generator
) -> StageTruth:
    """Return the stage as it passes `target` in motion: it has not stopped, so no drift begins."""
    there = arrive(before, target, before.arrived_s, settings, rng)
    return there.model_copy(update={"drift_nm": before.drift_nm})


def pose(truth: StageTruth, time_s: float, settings: StageSettings) -> Pose:
    """Say where the holder really is at `time_s`."""
    left = np.exp(-(time_s - truth.arrived_s) / settings.drift_decay_s)
    told = truth.reported
    return Pose(
        alpha_deg=told.alpha_deg + truth.tilt_error_deg + truth.lag[0] * settings.backlash_deg,
        x_nm=told.x_nm + truth.lag[1] * settings.backlash_nm,
        y_nm=told.y_nm + truth.lag[2] * settings.backlash_nm,
        z_nm=told.z_nm,
        seen_nm=(
            truth.jump_nm[0] - truth.drift_nm[0] * left,
            truth.jump_nm[1] - truth.drift_nm[1] * left,
        ),
    )


def tilted(points_nm: Array, where: Pose) -> Array:
    """Bring holder points [n, 3] under the beam: u = x cos t + z sin t, v = y, height."""
    return tilted_on_the_way(points_nm, where, where, np.zeros(len(points_nm)))


def tilted_on_the_way(points_nm: Array, start: Pose, end: Pose, shares: Array) -> Array:
    """Bring each holder point under the beam after its own share [n] of the way."""
    t = np.deg2rad(start.alpha_deg + shares * (end.alpha_deg - start.alpha_deg))
    moved_nm = np.array([start.x_nm, start.y_nm, start.z_nm])
    on_the_way_nm = np.array([end.x_nm, end.y_nm, end.z_nm]) - moved_nm
    x, y, z = (points_nm + moved_nm + shares[:, None] * on_the_way_nm).T
    u_nm, v_nm = (
        begun + shares * (ended - begun)
        for begun, ended in zip(start.seen_nm, end.seen_nm, strict=True)
    )
    u = x * np.cos(t) + z * np.sin(t) + u_nm
    v = y + v_nm
    return np.column_stack([u, v, z * np.cos(t) - x * np.sin(t)])
