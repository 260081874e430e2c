"""Predict the stage position that centres the object at the next tilt, from the frames so far."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from controller.model.base import SeriesName
from controller.model.stage import StagePosition
from controller.procedures.context import Context
from controller.procedures.tracking.centre import limit_px
from controller.procedures.tracking.predict import CentredPosition, predict_position
from controller.procedures.tracking.stage_image import centring_position


@dataclass(frozen=True)
class PredictedCentre:
    """Stage position predicted for a tilt.

    Attributes
    ----------
    centre
        Stage position that should centre the object; its `alpha_deg` is ignored.
    sure
        True if the prediction is good enough to need no tracking shot.
    """

    centre: StagePosition
    sure: bool


def predict_centre(context: Context, series: SeriesName, alpha_deg: float) -> PredictedCentre:
    """Predict the position from the series' own frames; else return the last centred position."""
    scan, tracking = context.protocol.scan, context.protocol.tracking
    last = context.session.ledger.centre
    field_nm = min(scan.width_px, scan.height_px) * scan.pixel_nm
    found = predict_position(list(_centred_positions(context, series)), alpha_deg, scan.pixel_nm)
    if found is None or found.error_nm > tracking.shot_above_fraction * field_nm:
        return PredictedCentre(last, sure=False)
    place = {"x_nm": found.position.x_nm, "y_nm": found.position.y_nm}
    return PredictedCentre(last.model_copy(update=place), sure=True)


def predict_from_frames(
    context: Context, series: SeriesName, alpha_deg: float
) -> StagePosition | None:
    """Predict the stage position that centres the object, from the frames alone.

    The line through the neighbouring tilts is used if its error is small enough, else the position
    in the last frame.

    Returns
    -------
    StagePosition or None
        Its `alpha_deg` is ignored. None before the first frame that shows the object.
    """
    known = list(_centred_positions(context, series))
    if not known:
        return None
    pixel_nm = context.protocol.scan.pixel_nm
    found = predict_position(known, alpha_deg, pixel_nm)
    sure = found is not None and found.error_nm <= limit_px(context.protocol) * pixel_nm
    place = found.position if found is not None and sure else known[-1]
    return context.session.ledger.centre.model_copy(update={"x_nm": place.x_nm, "y_nm": place.y_nm})


def _centred_positions(context: Context, series: SeriesName) -> Iterator[CentredPosition]:
    """Yield, for each usable frame, the stage position that would have centred the object."""
    axis_deg = context.protocol.column.tilt_axis_deg
    for frame in context.session.ledger.frames_with_object(series):
        if frame.offset_px is None:
            continue
        pixel_nm = frame.info.scan.pixel_nm
        there = centring_position(frame.info.stage, frame.offset_px, pixel_nm, axis_deg)
        yield CentredPosition(there.alpha_deg, there.x_nm, there.y_nm)
