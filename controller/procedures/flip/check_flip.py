"""Was the grid flipped? Low-dose images at 0 and to either side against what series A tells."""

from __future__ import annotations

from controller.hardware.interface import Frame
from controller.model.events import Checked, FlipChecked
from controller.model.exposures import flip_check_tilts_deg
from controller.model.protocol import Flip
from controller.model.scan import FrameInfo
from controller.procedures.context import Context
from controller.procedures.eucentric import refine_height
from controller.procedures.flip.check_scan import look_at_scan
from controller.procedures.flip.maps import go_to, survey_after, survey_middle
from controller.procedures.focus import focus_on_specimen
from controller.procedures.show_image import show
from controller.procedures.stage.settle import await_rest
from controller.procedures.tracking.centre import keep_in_view, limit_px, shoot
from controller.procedures.tracking.locate import sight
from processing.errors import ProcessingError
from processing.images.flip import FlipMatch, match_flip
from processing.images.landmarks import Landmark
from processing.images.views import TiltedViews


def check_flip(context: Context, step_id: str) -> FlipChecked:
    """Find A's object on the flipped grid and say whether it is that, flipped.

    Where the map shows several assemblies, the likeliest are looked at in turn until one is A's.
    """
    context.microscope.set_current(step_id, context.protocol.series_b.current_pA)
    _tilt_to(context, step_id, 0.0)
    look = look_at_scan(context, step_id)
    if look is not None and look.fault:
        return not_compared(f"{look.fault}: put the scan settings back as they were in series A")
    candidates = survey_after(context, step_id)
    if not candidates:
        return _check_in_view(context, step_id)
    checked: list[tuple[FlipChecked, Landmark]] = []
    for candidate in candidates:
        go_to(context, step_id, candidate)
        check = _check_in_view(context, step_id)
        if _likeness(check) >= context.protocol.flip.least_score:
            return check
        checked.append((check, candidate))
    likest, there = max(checked, key=lambda pair: _likeness(pair[0]))
    go_to(context, step_id, there)  # what an override would record
    return likest


def bring_into_place(context: Context, step_id: str) -> None:
    """Have what is in view in the middle, at rest, on the tilt axis and in focus, as is wanted."""
    protocol = context.protocol
    keep_in_view(context, step_id, "look")
    context.microscope.wait(protocol.tracking.settle_s)
    if protocol.flip.drift_limit_nm_per_s:
        context.publish(_at_rest(context, step_id))
    if protocol.eucentric.enabled:
        moved_nm = refine_height(context, step_id)
        detail = "not found: as it was" if moved_nm is None else f"stage moved {moved_nm:+.0f} nm"
        context.publish(Checked(name="height", ok=moved_nm is not None, detail=detail))
    if protocol.focus.before_series:
        found = focus_on_specimen(context, step_id)
        detail = "not found: as it was" if found is None else f"at {found.position:+.0f} nm"
        context.publish(Checked(name="focus", ok=found is not None, detail=detail))


def _at_rest(context: Context, step_id: str) -> Checked:
    flip = context.protocol.flip
    drift = await_rest(context, step_id, flip.drift_limit_nm_per_s, flip.drift_within_s)
    return Checked(
        name="drift",
        ok=drift.nm_per_s <= flip.drift_limit_nm_per_s,
        detail=f"{drift.nm_per_s:.2f} nm/s, limit {flip.drift_limit_nm_per_s:g}",
    )


def _likeness(check: FlipChecked) -> float:
    return max(check.flipped_score, check.same_side_score)


def _check_in_view(context: Context, step_id: str) -> FlipChecked:
    """Compare what is in the middle of the field with series A."""
    bring_into_place(context, step_id)
    survey_middle(context, step_id)
    shots = [
        _look_from(context, step_id, tilt_deg)
        for tilt_deg in flip_check_tilts_deg(context.protocol)
    ]
    _tilt_to(context, step_id, 0.0)
    show(context, step_id, "check-B", shots[0].pixels, "B at 0°, as it is now")
    try:
        views, reference = _series_a(context)
        pixel_nm = context.protocol.scan.pixel_nm
        tilts_deg = [shot.info.stage.alpha_deg for shot in shots]
        match = match_flip(views, [shot.pixels for shot in shots], tilts_deg, pixel_nm)
    except ProcessingError as error:
        return not_compared(str(error))
    exposure_ratio = _exposure(shots[0].info) / _exposure(reference)
    return judge_flip(match, exposure_ratio, context.protocol.flip)


def judge_flip(match: FlipMatch, exposure_ratio: float, flip: Flip) -> FlipChecked:
    """Say in words what was found, and whether B may be recorded.

    Parameters
    ----------
    exposure_ratio
        Electrons a pixel in the check's images over those in A's.
    """
    pose = match.better.pose
    shrinkage = 1 - match.flipped.pose.scale
    signal_ratio = match.mass_ratio / exposure_ratio
    lead = match.flipped.score - match.same_side.score
    turned = f"turned by {round(pose.in_plane_deg)} degrees in the plane"
    accepted = False
    if match.better.score < flip.least_score:
        found = "not the object of series A, neither side of it, or badly damaged"
    elif lead < 0:
        found = f"same side up, {turned}: not flipped"
    elif lead < flip.margin:
        found = "unclear: 'flipped' is hardly better than 'same side up'"
    elif abs(shrinkage) > flip.max_shrinkage:
        what = "shrunk" if shrinkage > 0 else "grown"
        found = (
            f"flipped, but {what} by {abs(shrinkage):.1%} since series A, "
            f"flip.max_shrinkage = {flip.max_shrinkage:g}: is the magnification as it was?"
        )
    elif abs(signal_ratio - 1) > flip.max_signal_change:
        found = (
            f"flipped, but with {signal_ratio:.0%} of the signal in series A, "
            f"flip.max_signal_change = {flip.max_signal_change:g}: "
            "is the detector's gain another, or the object damaged?"
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
    """Say why no images were compared."""
    return FlipChecked(
        flipped_score=0.0, same_side_score=0.0, in_plane_deg=0.0, accepted=False, found=found
    )


def _tilt_to(context: Context, step_id: str, alpha_deg: float) -> None:
    """Tilt, and leave the other axes where the operator's hands put them."""
    column = context.microscope
    column.move(step_id, column.stage().model_copy(update={"alpha_deg": alpha_deg}))
    column.wait(context.protocol.tracking.settle_s)


def _look_from(context: Context, step_id: str, tilt_deg: float) -> Frame:
    """Take one shot at a tilt; again where the object was not in the middle."""
    _tilt_to(context, step_id, tilt_deg)
    purpose = f"check-{tilt_deg:+g}"
    shot = shoot(context, step_id, purpose)
    seen = sight(shot.pixels)
    if seen is not None and seen.distance_px <= limit_px(context.protocol):
        return shot
    keep_in_view(context, step_id, purpose)
    return shoot(context, step_id, purpose)


def _series_a(context: Context) -> tuple[TiltedViews, FrameInfo]:
    """Return what series A tells of any view, and how its flattest image was taken."""
    session = context.session
    frames = session.ledger.usable("A")
    images = (session.image("A", frame.section) for frame in frames)
    tilts_deg = [frame.info.stage.alpha_deg for frame in frames]
    views = TiltedViews(images, tilts_deg, context.protocol.scan.pixel_nm)
    return views, min((frame.info for frame in frames), key=_tilt)


def _tilt(info: FrameInfo) -> float:
    return abs(info.stage.alpha_deg)


def _exposure(info: FrameInfo) -> float:
    return info.current_pA * info.scan.dwell_us
