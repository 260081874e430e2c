"""Focus: where a small defocus series of low-dose shots is sharpest.

On the specimen before a series, at 0 degrees; during the series on an area of its own beside it
along the tilt axis. There the beam meets the film, which lies h over the specimen's middle at 0
degrees and h / cos t along the beam at a tilt t: h is measured before the series.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from controller.model.events import Level
from controller.model.exposures import FOCUS_PLACES
from controller.model.protocol import Protocol
from controller.model.stage import StagePosition
from controller.model.steps import Autofocus
from controller.procedures.context import Context
from controller.procedures.tracking.centre import keep_in_view, shoot
from controller.session.entries import Focused, StepDone
from processing.images.focus import Peak, fit_peak, sharpness

COARSE, FINE = 2.0, 1.0
"""A step, in what blurs the probe by one pixel on either side."""
MOST_SERIES = 4
"""In a row, whose sharpest image lay off the middle."""
CENTRED = 1.5
"""Steps from the middle within which a maximum is believed."""


def carry_out(step: Autofocus, context: Context) -> None:
    """Verify the current, go to 0 degrees, focus on the specimen."""
    context.microscope.have_current(step.id, step.current_pA)
    centre = context.session.ledger.centre.model_copy(update={"alpha_deg": 0.0})
    context.microscope.move(step.id, centre)
    context.microscope.wait(context.protocol.tracking.settle_s)
    keep_in_view(context, step.id, "track-view")
    focus_on_specimen(context, step.id)
    context.session.enter(StepDone(step_id=step.id, centre=context.microscope.stage()))


def focus_on_specimen(context: Context, step_id: str) -> Peak | None:
    """Focus on what is in view, at 0 degrees; compare with the area beside it where it is used.

    Leaves the defocus as it was, with a warning, and returns None where no focus is found.
    """
    _remember(context, step_id)
    found = _search(context, step_id, "track-focus", (COARSE, FINE))
    beside_nm = 0.0
    if found is not None and context.protocol.focus.every_deg:
        context.microscope.set_defocus(step_id, found.position)
        with _beside(context, step_id):
            beside = _search(context, step_id, "track-focus-beside", (FINE,))
        beside_nm = beside.position - found.position if beside is not None else 0.0
    _set(context, step_id, found.position if found is not None else None, beside_nm)
    _tell(context, step_id, found)
    return found


def focus_beside(context: Context, step_id: str) -> None:
    """Focus on the area beside the specimen, which is spared, at the tilt the stage is at.

    The specimen is brought to the middle first: the film is as tilted as the stage, and each nm
    across the axis is tan t nm of height.
    """
    known = _remember(context, step_id)
    if context.protocol.tracking.enabled:
        keep_in_view(context, step_id, "track-view")
    with _beside(context, step_id) as there:
        found = _search(context, step_id, "track-focus-beside", (FINE,))
    higher_nm = known.beside_nm / math.cos(math.radians(there.alpha_deg))
    focus_nm = found.position - higher_nm if found is not None else None
    _set(context, step_id, focus_nm, known.beside_nm)
    _tell(context, step_id, found)


def focus_again(context: Context, step_id: str) -> None:
    """Set what was found last: a crash in a defocus series leaves the column anywhere in it."""
    known = context.session.ledger.focus
    if known is not None:
        context.microscope.set_defocus(step_id, known.defocus_nm)


def beside_nm(protocol: Protocol) -> float:
    """How far along the tilt axis the area beside the specimen lies."""
    scan = protocol.scan
    return protocol.focus.beside_fields * scan.height_px * scan.pixel_nm


def _remember(context: Context, step_id: str) -> Focused:
    """Journal the defocus as found, where nothing is known of it yet."""
    known = context.session.ledger.focus
    if known is None:
        known = Focused(step_id=step_id, defocus_nm=context.microscope.defocus_nm())
        context.session.enter(known)
    return known


def _search(context: Context, step_id: str, purpose: str, steps: tuple[float, ...]) -> Peak | None:
    """Find the focus with ever finer steps; None where a maximum is not even found by moving on."""
    mrad = context.microscope.description.convergence_mrad
    one_pixel_nm = context.protocol.scan.pixel_nm / mrad * 1e3
    middle_nm, found = context.microscope.defocus_nm(), None
    for number, step in enumerate(steps):
        found = _climb(context, step_id, f"{purpose}-{number}", middle_nm, step * one_pixel_nm)
        if found is None:
            return None
        middle_nm = found.position
    return found


def _climb(
    context: Context, step_id: str, purpose: str, middle_nm: float, step_nm: float
) -> Peak | None:
    """Take defocus series, each about the sharpest place of the last, until one has its maximum."""
    for number in range(MOST_SERIES):
        places_nm = [middle_nm + place * step_nm for place in FOCUS_PLACES]
        if not _within_reach(places_nm, context):
            return None
        heights = [
            _sharpness_at(place_nm, context, step_id, f"{purpose}-{number}-{i}")
            for i, place_nm in enumerate(places_nm)
        ]
        found = fit_peak(places_nm, heights)
        if found is not None and abs(found.position - middle_nm) <= CENTRED * step_nm:
            return found
        sharpest_nm = places_nm[heights.index(max(heights))]
        if sharpest_nm == middle_nm:
            return None
        middle_nm = sharpest_nm
    return None


def _within_reach(places_nm: list[float], context: Context) -> bool:
    low_nm, high_nm = context.microscope.description.defocus_limits_nm or (0.0, 0.0)
    return low_nm <= min(places_nm) and max(places_nm) <= high_nm


def _sharpness_at(defocus_nm: float, context: Context, step_id: str, purpose: str) -> float:
    context.microscope.set_defocus(step_id, defocus_nm)
    return sharpness(shoot(context, step_id, purpose).pixels)


def _set(context: Context, step_id: str, defocus_nm: float | None, beside_nm: float) -> None:
    """Set and journal a defocus, or the one known before."""
    known = context.session.ledger.focus
    if defocus_nm is None and known is not None:
        defocus_nm, beside_nm = known.defocus_nm, known.beside_nm
    assert defocus_nm is not None
    actual_nm = context.microscope.set_defocus(step_id, defocus_nm)
    context.session.enter(Focused(step_id=step_id, defocus_nm=actual_nm, beside_nm=beside_nm))


def _tell(context: Context, step_id: str, found: Peak | None) -> None:
    now_nm = context.microscope.defocus_nm()
    if found is None:
        text = f"no focus found: left at {now_nm:+.0f} nm; focus by hand where images are blurred"
        context.alert(Level.WARNING, text, step_id)
    else:
        text = f"focus at {now_nm:+.0f} nm, to {found.error:.0f} nm"
        context.alert(Level.INFO, text, step_id)


@contextmanager
def _beside(context: Context, step_id: str) -> Iterator[StagePosition]:
    """Have the area beside the specimen in view; then the specimen again."""
    stage = context.microscope.stage()
    aside = stage.model_copy(update={"y_nm": stage.y_nm - beside_nm(context.protocol)})
    context.microscope.move(step_id, aside)
    context.microscope.wait(context.protocol.tracking.settle_s)
    yield stage
    context.microscope.move(step_id, stage)
    context.microscope.wait(context.protocol.tracking.settle_s)
