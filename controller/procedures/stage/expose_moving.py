"""A frame exposed while the stage tilts through its angle: no stop, no settling, no shot first."""

from __future__ import annotations

from dataclasses import dataclass

from controller.hardware.interface import Frame, StageError
from controller.model.base import SeriesName
from controller.model.exposures import backlash_start_deg
from controller.model.frames import FrameVerdict
from controller.model.stage import StagePosition
from controller.procedures.context import Context
from controller.procedures.stage.move_to_tilt import SHORT_DEG, go_to
from controller.procedures.tracking.aim import apart_nm
from controller.procedures.tracking.centre import CLOSE_ENOUGH, keep_in_view, limit_px
from controller.procedures.tracking.expect import follow

UNDER_WAY = 0.25
"""Of a sweep: a stage no further from where this one begins is on its way from the one before."""


@dataclass(frozen=True)
class Beginning:
    """Where the stage is when the exposure begins; a target to go to."""

    id: str
    nominal_deg: float
    approach_deg: float | None


def pass_through(context: Context, step_id: str, series: SeriesName, alpha_deg: float) -> Frame:
    """Expose while the stage tilts from half a step before an angle to half a step after it."""
    sweep_deg = context.protocol.series(series).sweep_deg
    begin_deg = alpha_deg - sweep_deg / 2
    stage = context.microscope.stage()
    off_deg = abs(stage.alpha_deg - begin_deg)
    if off_deg > UNDER_WAY * abs(sweep_deg) or _is_lost(context, series):
        _begin(
            context,
            Beginning(step_id, begin_deg, backlash_start_deg(begin_deg, context.protocol, series)),
        )
    else:
        _stay_on(context, step_id, follow(context, series, alpha_deg), stage)
    return context.microscope.acquire_tilting(
        step_id, "frame-0", context.protocol.scan, alpha_deg + sweep_deg / 2
    )


def _is_lost(context: Context, series: SeriesName) -> bool:
    """Whether the last frame did not have the object near its middle."""
    frames = context.session.ledger.frames[series]
    if not (frames and context.protocol.tracking.enabled):
        return False
    return frames[-1].verdict is FrameVerdict.SHIFTED or frames[-1].offset_px is None


def _begin(context: Context, beginning: Beginning) -> None:
    """Take the motion up: go there from behind, settle, look where the object is."""
    reached_deg = go_to(beginning, context, context.session.ledger.centre, [])
    if abs(reached_deg - beginning.nominal_deg) > SHORT_DEG:
        raise StageError(
            f"the stage stays at {reached_deg:+.2f} degrees: the motion cannot begin at "
            f"{beginning.nominal_deg:+g}"
        )
    context.microscope.wait(context.protocol.tracking.settle_s)
    if context.protocol.tracking.enabled:
        keep_in_view(context, beginning.id, "track-0")


def _stay_on(
    context: Context, step_id: str, centre: StagePosition | None, stage: StagePosition
) -> None:
    """Shift the stage where the object would be too far from the middle; it does not tilt back."""
    if centre is None or not context.protocol.tracking.enabled:
        return
    off_nm = apart_nm(centre, stage, stage.alpha_deg)
    if off_nm > CLOSE_ENOUGH * limit_px(context.protocol) * context.protocol.scan.pixel_nm:
        place = {"x_nm": centre.x_nm, "y_nm": centre.y_nm}
        context.microscope.move(step_id, stage.model_copy(update=place))
