"""Autofocus: the sharpest defocus in small defocus series of low-dose shots.

Before a series it focuses on the specimen at 0 degrees; during the series on a focus area beside
it along the tilt axis. There the beam meets the film, which lies h above the specimen's centre at 0
degrees, and h / cos t along the beam at a tilt t. h is measured before the series.
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
from controller.procedures.tracking.centre import keep_centred, take_tracking_shot
from controller.session.entries import Focused, StepDone
from processing.images.focus import Peak, fit_peak, sharpness

COARSE, FINE = 2.0, 1.0
"""Defocus steps, in units of the defocus that blurs the probe by one pixel on either side."""
MAX_SERIES = 4
"""Largest number of defocus series before the search ends without a maximum."""
CENTRED = 1.5
"""Largest distance of a valid maximum from the middle of its series, in steps."""


def carry_out(step: Autofocus, context: Context) -> None:
    """Verify the current, tilt to 0 degrees, focus on the specimen."""
    context.microscope.ensure_current(step.id, step.current_pA)
    centre = context.session.ledger.centre.model_copy(update={"alpha_deg": 0.0})
    context.microscope.move(step.id, centre)
    context.microscope.wait(context.protocol.tracking.settle_s)
    keep_centred(context, step.id, "track-view")
    focus_on_specimen(context, step.id)
    context.session.enter(StepDone(step_id=step.id, centre=context.microscope.stage()))


def focus_on_specimen(context: Context, step_id: str) -> Peak | None:
    """Focus on the specimen at 0 degrees; if a focus area is used, measure its height as well.

    If no focus is found, warns, restores the defocus and returns None.
    """
    _journal_defocus(context, step_id)
    context.alert(Level.INFO, "focusing on the specimen, at 0°", step_id)
    found = _search(context, step_id, "track-focus", (COARSE, FINE))
    beside_nm = 0.0
    if found is not None and context.protocol.focus.every_deg:
        context.microscope.set_defocus(step_id, found.position)
        with _area_beside(context, step_id):
            beside = _search(context, step_id, "track-focus-beside", (FINE,))
        beside_nm = beside.position - found.position if beside is not None else 0.0
    _set_focus(context, step_id, found.position if found is not None else None, beside_nm)
    _report_focus(context, step_id, found)
    return found


def focus_beside(context: Context, step_id: str) -> None:
    """Focus on the area beside the specimen, at the present tilt, to spare the specimen dose.

    The specimen is centred first: the film tilts with the stage, so each nm across the axis changes
    the height by tan t nm.
    """
    known = _journal_defocus(context, step_id)
    if context.protocol.tracking.enabled:
        keep_centred(context, step_id, "track-view")
    with _area_beside(context, step_id) as there:
        found = _search(context, step_id, "track-focus-beside", (FINE,))
    higher_nm = known.beside_nm / math.cos(math.radians(there.alpha_deg))
    focus_nm = found.position - higher_nm if found is not None else None
    _set_focus(context, step_id, focus_nm, known.beside_nm)
    _report_focus(context, step_id, found)


def restore_focus(context: Context, step_id: str) -> None:
    """Set the last defocus found: after a crash in a defocus series it may have any value."""
    known = context.session.ledger.focus
    if known is not None:
        context.microscope.set_defocus(step_id, known.defocus_nm)


def beside_nm(protocol: Protocol) -> float:
    """Return the distance from the specimen to the focus area along the tilt axis, nm."""
    scan = protocol.scan
    return protocol.focus.beside_fields * scan.height_px * scan.pixel_nm


def _journal_defocus(context: Context, step_id: str) -> Focused:
    """Return the last defocus journaled; if there is none, journal the present one."""
    known = context.session.ledger.focus
    if known is None:
        known = Focused(step_id=step_id, defocus_nm=context.microscope.defocus_nm())
        context.session.enter(known)
    return known


def _search(context: Context, step_id: str, purpose: str, steps: tuple[float, ...]) -> Peak | None:
    """Find the focus with ever finer steps; None if a step size finds no maximum."""
    mrad = context.microscope.description.convergence_mrad
    one_pixel_nm = context.protocol.scan.pixel_nm / mrad * 1e3
    middle_nm, found = context.microscope.defocus_nm(), None
    for number, step in enumerate(steps):
        found = _search_maximum(
            context, step_id, f"{purpose}-{number}", middle_nm, step * one_pixel_nm
        )
        if found is None:
            return None
        middle_nm = found.position
    return found


def _search_maximum(
    context: Context, step_id: str, purpose: str, middle_nm: float, step_nm: float
) -> Peak | None:
    """Take defocus series, each centred on the sharpest of the last, until one has a maximum."""
    for number in range(MAX_SERIES):
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
    return sharpness(take_tracking_shot(context, step_id, purpose).pixels)


def _set_focus(context: Context, step_id: str, defocus_nm: float | None, beside_nm: float) -> None:
    """Set and journal a defocus; without one, the last known."""
    known = context.session.ledger.focus
    if defocus_nm is None and known is not None:
        defocus_nm, beside_nm = known.defocus_nm, known.beside_nm
    assert defocus_nm is not None
    actual_nm = context.microscope.set_defocus(step_id, defocus_nm)
    context.session.enter(Focused(step_id=step_id, defocus_nm=actual_nm, beside_nm=beside_nm))


def _report_focus(context: Context, step_id: str, found: Peak | None) -> None:
    now_nm = context.microscope.defocus_nm()
    if found is None:
        text = f"no focus found: left at {now_nm:+.0f} nm; focus by hand if images are blurred"
        context.alert(Level.WARNING, text, step_id)
    else:
        text = f"focus at {now_nm:+.0f} nm, within {found.error:.0f} nm"
        context.alert(Level.INFO, text, step_id)


@contextmanager
def _area_beside(context: Context, step_id: str) -> Iterator[StagePosition]:
    """Move to the focus area beside the specimen; afterwards move back."""
    stage = context.microscope.stage()
    aside = stage.model_copy(update={"y_nm": stage.y_nm - beside_nm(context.protocol)})
    context.microscope.move(step_id, aside)
    context.microscope.wait(context.protocol.tracking.settle_s)
    yield stage
    context.microscope.move(step_id, stage)
    context.microscope.wait(context.protocol.tracking.settle_s)
