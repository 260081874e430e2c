"""Where a tilt's object is expected, and whether that is sure enough to go without a look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from controller.model.base import SeriesName
from controller.model.stage import StagePosition
from controller.procedures.context import Context
from controller.procedures.tracking.aim import aimed_at
from controller.procedures.tracking.centre import limit_px
from controller.procedures.tracking.predict import Place, predict


@dataclass(frozen=True)
class Expectation:
    """What is thought of the object's place before a tilt is gone to.

    Attributes
    ----------
    centre
        Stage position that should have it in the middle; its tilt counts for nothing.
    sure
        True where no tracking shot is needed.
    """

    centre: StagePosition
    sure: bool


def expect(context: Context, series: SeriesName, alpha_deg: float) -> Expectation:
    """Predict the place from the series' own frames, or take where it was last in view."""
    scan, tracking = context.protocol.scan, context.protocol.tracking
    last = context.session.ledger.centre
    field_nm = min(scan.width_px, scan.height_px) * scan.pixel_nm
    found = predict(list(_known(context, series)), alpha_deg, scan.pixel_nm)
    if found is None or found.error_nm > tracking.shot_above_fraction * field_nm:
        return Expectation(last, sure=False)
    place = {"x_nm": found.place.x_nm, "y_nm": found.place.y_nm}
    return Expectation(last.model_copy(update=place), sure=True)


def follow(context: Context, series: SeriesName, alpha_deg: float) -> StagePosition | None:
    """Say where the object will be in the middle, from the frames alone.

    On the line through the neighbouring tilts where it is sure enough, else where the last frame
    had it.

    Returns
    -------
    StagePosition or None
        Its tilt counts for nothing; None before the first frame that shows the object.
    """
    known = list(_known(context, series))
    if not known:
        return None
    pixel_nm = context.protocol.scan.pixel_nm
    found = predict(known, alpha_deg, pixel_nm)
    sure = found is not None and found.error_nm <= limit_px(context.protocol) * pixel_nm
    place = found.place if found is not None and sure else known[-1]
    return context.session.ledger.centre.model_copy(update={"x_nm": place.x_nm, "y_nm": place.y_nm})


def _known(context: Context, series: SeriesName) -> Iterator[Place]:
    """Stage positions that would have had the object in the middle of the frames recorded."""
    for frame in context.session.ledger.frames_with_object(series):
        if frame.offset_px is None:
            continue
        there = aimed_at(frame.info.stage, frame.offset_px, frame.info.scan.pixel_nm)
        yield Place(there.alpha_deg, there.x_nm, there.y_nm)
