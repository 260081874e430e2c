"""Check that the grid was flipped: compare low-dose images at three tilts with series A."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from numpy.typing import NDArray

from controller.hardware.interface import Frame, OutOfLimitsError
from controller.model.events import Checked, FlipChecked
from controller.model.exposures import flip_check_tilts_deg
from controller.model.protocol import Protocol
from controller.model.scan import FrameInfo
from controller.model.sections.flip import Flip
from controller.model.stage import StagePosition
from controller.procedures.context import Context, TargetLostError
from controller.procedures.eucentric import refine_height
from controller.procedures.flip.check_scan import measure_scan_axes
from controller.procedures.flip.maps import move_to_landmark, survey_after, survey_middle
from controller.procedures.focus import focus_on_specimen
from controller.procedures.show_image import show
from controller.procedures.stage.settle import wait_for_drift_limit
from controller.procedures.tracking.centre import keep_centred, limit_px, take_tracking_shot
from controller.procedures.tracking.locate import locate_object
from controller.session.entries import FrameWritten
from processing.errors import ProcessingError
from processing.images.flip import FlipMatch, match_flip
from processing.images.landmarks import Landmark
from processing.images.upright import turned_upright
from processing.images.views import TiltedViews

SeriesA = tuple[TiltedViews, FrameInfo]
"""Series A to compare with: predicted views, and the record of its frame nearest to 0 degrees."""
ReadSeriesA = Callable[[], SeriesA]


def check_flip(context: Context, step_id: str) -> FlipChecked:
    """Find A's object on the flipped grid and check that it was flipped.

    If the map shows several assemblies, the best candidates are compared in turn until one matches.
    """
    if fault := _scan_fault(context, step_id):
        return not_compared(fault)
    candidates = survey_after(context, step_id)
    series_a = partial(own_series_a, context)
    if not candidates:
        return _check_in_view(context, step_id, series_a)
    checked: list[tuple[FlipChecked, Landmark]] = []
    for candidate in candidates:
        move_to_landmark(context, step_id, candidate)
        check = _check_in_view(context, step_id, series_a)
        if _best_score(check) >= context.protocol.flip.least_score:
            return check
        checked.append((check, candidate))
    best, landmark = max(checked, key=lambda pair: _best_score(pair[0]))
    move_to_landmark(context, step_id, landmark)  # an override records this one
    return best


def check_at_place(
    context: Context, step_id: str, place: StagePosition, series_a: ReadSeriesA
) -> FlipChecked:
    """Check the flip of the object at a place; refuse it if there is none."""
    try:
        context.microscope.move(step_id, place)
        if fault := _scan_fault(context, step_id):
            return not_compared(fault)
        return _check_in_view(context, step_id, series_a)
    except (TargetLostError, OutOfLimitsError) as error:
        return not_compared(str(error).removeprefix(f"{step_id}: "))


def _scan_fault(context: Context, step_id: str) -> str:
    """Set the current of B, tilt to zero, and say what is wrong with the scan; empty if nothing."""
    context.microscope.set_current(step_id, context.protocol.series_b.current_pA)
    _tilt_to(context, step_id, 0.0)
    axes = measure_scan_axes(context, step_id)
    if axes is not None and axes.fault:
        return f"{axes.fault}: restore the scan settings of series A"
    return ""


def prepare_object(context: Context, step_id: str) -> None:
    """Centre the object; as the protocol asks, wait for drift, set eucentric height and focus."""
    protocol = context.protocol
    keep_centred(context, step_id, "look")
    context.microscope.wait(protocol.tracking.settle_s)
    if protocol.flip.drift_limit_nm_per_s:
        context.publish(_check_drift(context, step_id))
    if protocol.eucentric.enabled:
        moved_nm = refine_height(context, step_id, "B")
        detail = "not found: unchanged" if moved_nm is None else f"stage moved {moved_nm:+.0f} nm"
        context.publish(Checked(name="height", ok=moved_nm is not None, detail=detail))
    if protocol.focus.before_series:
        found = focus_on_specimen(context, step_id)
        detail = "not found: unchanged" if found is None else f"at {found.position:+.0f} nm"
        context.publish(Checked(name="focus", ok=found is not None, detail=detail))


def _check_drift(context: Context, step_id: str) -> Checked:
    flip = context.protocol.flip
    drift = wait_for_drift_limit(context, step_id, flip.drift_limit_nm_per_s, flip.drift_within_s)
    return Checked(
        name="drift",
        ok=drift.nm_per_s <= flip.drift_limit_nm_per_s,
        detail=f"{drift.nm_per_s:.2f} nm/s, limit {flip.drift_limit_nm_per_s:g}",
    )


def _best_score(check: FlipChecked) -> float:
    return max(check.flipped_score, check.same_side_score)


def _check_in_view(context: Context, step_id: str, series_a: ReadSeriesA) -> FlipChecked:
    """Compare the object at the image centre with series A."""
    prepare_object(context, step_id)
    survey_middle(context, step_id)
    shots = [
        _shot_at(context, step_id, tilt_deg) for tilt_deg in flip_check_tilts_deg(context.protocol)
    ]
    _tilt_to(context, step_id, 0.0)
    flat = shots[0]
    show(context, step_id, "check-B", flat.pixels, flat.info.scan.pixel_nm, "B at 0°, now")
    try:
        views, reference = series_a()
        pixel_nm = context.protocol.scan.pixel_nm
        tilts_deg = [shot.info.stage.alpha_deg for shot in shots]
        axis_deg = context.protocol.column.tilt_axis_deg
        images = [turned_upright(shot.pixels, axis_deg) for shot in shots]
        match = match_flip(views, images, tilts_deg, pixel_nm)
    except ProcessingError as error:
        return not_compared(str(error))
    exposure_ratio = _charge_per_pixel(shots[0].info) / _charge_per_pixel(reference)
    return judge_flip(match, exposure_ratio, context.protocol.flip)


def judge_flip(match: FlipMatch, exposure_ratio: float, flip: Flip) -> FlipChecked:
    """Judge the match: the finding in words, and whether B may be recorded.

    Parameters
    ----------
    exposure_ratio
        Electrons per pixel in the check's images divided by those in A's.
    """
    pose = match.better.pose
    shrinkage = 1 - match.flipped.pose.scale
    signal_ratio = match.mass_ratio / exposure_ratio
    lead = match.flipped.score - match.same_side.score
    turned = f"turned by {round(pose.in_plane_deg)} degrees in the plane"
    accepted = False
    if match.better.score < flip.least_score:
        found = "neither side of the object of series A: another object, or badly damaged"
    elif lead < 0:
        found = f"same side up, {turned}: not flipped"
    elif lead < flip.margin:
        found = "unclear: the scores of 'flipped' and 'same side up' hardly differ"
    elif match.flipped.score < match.least_certain_score:
        found = (
            f"unclear: flipped fits best, but another crystal of {match.size_nm:.0f} nm could fit "
            f"as well: a score of {match.least_certain_score:.2f} is needed at this size"
        )
    elif abs(shrinkage) > flip.max_shrinkage:
        what = "shrunk" if shrinkage > 0 else "grown"
        found = (
            f"flipped, but {what} by {abs(shrinkage):.1%} since series A, "
            f"flip.max_shrinkage = {flip.max_shrinkage:g}: has the magnification changed?"
        )
    elif abs(signal_ratio - 1) > flip.max_signal_change:
        found = (
            f"flipped, but with {signal_ratio:.0%} of the signal in series A, "
            f"flip.max_signal_change = {flip.max_signal_change:g}: "
            "has the detector's gain changed, or is the object damaged?"
        )
    else:
        accepted, found = True, f"flipped, {turned}"
    return FlipChecked(
        flipped_score=match.flipped.score,
        same_side_score=match.same_side.score,
        runner_up_score=match.runner_up.score,
        in_plane_deg=pose.in_plane_deg,
        seat_deg=pose.seat_deg,
        offset_nm=match.offset_nm,
        shrinkage=shrinkage,
        signal_ratio=signal_ratio,
        accepted=accepted,
        found=found,
    )


def not_compared(found: str) -> FlipChecked:
    """Return a refused check that says why no images were compared."""
    return FlipChecked(
        flipped_score=0.0, same_side_score=0.0, in_plane_deg=0.0, accepted=False, found=found
    )


def _tilt_to(context: Context, step_id: str, alpha_deg: float) -> None:
    """Tilt; leave x, y and z as the operator set them."""
    column = context.microscope
    column.move(step_id, column.stage().model_copy(update={"alpha_deg": alpha_deg}))
    column.wait(context.protocol.tracking.settle_s)


def _shot_at(context: Context, step_id: str, tilt_deg: float) -> Frame:
    """Take one shot at a tilt; if the object is off centre, centre it and take another."""
    _tilt_to(context, step_id, tilt_deg)
    purpose = f"check-{tilt_deg:+g}"
    shot = take_tracking_shot(context, step_id, purpose)
    location = locate_object(shot.pixels)
    if location is not None and location.distance_px <= limit_px(context.protocol):
        return shot
    keep_centred(context, step_id, purpose)
    return take_tracking_shot(context, step_id, purpose)


def own_series_a(context: Context) -> SeriesA:
    """Return series A of this session, to compare with."""
    session = context.session
    frames = session.ledger.usable("A")
    images = (session.image("A", frame.section) for frame in frames)
    return series_a_of(frames, images, context.protocol)


def series_a_of(
    frames: Sequence[FrameWritten], images: Iterable[NDArray[Any]], protocol: Protocol
) -> SeriesA:
    """Return predicted views from images of A, and the record of its frame nearest to 0 degrees."""
    tilts_deg = [frame.info.stage.alpha_deg for frame in frames]
    upright = (turned_upright(image, protocol.column.tilt_axis_deg) for image in images)
    views = TiltedViews(upright, tilts_deg, protocol.scan.pixel_nm)
    return views, min((frame.info for frame in frames), key=_tilt)


def _tilt(info: FrameInfo) -> float:
    return abs(info.stage.alpha_deg)


def _charge_per_pixel(info: FrameInfo) -> float:
    return info.current_pA * info.scan.dwell_us
