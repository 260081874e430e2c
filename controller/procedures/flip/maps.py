"""Survey maps before and after the flip, to find the assembly of series A on the flipped grid."""

from __future__ import annotations

import math

from controller.hardware.interface import Description, Frame, OutOfLimitsError
from controller.model.base import SeriesName
from controller.model.events import Level
from controller.model.exposures import low_dose_scan
from controller.model.protocol import Protocol
from controller.model.scan import ScanSettings, along_stage
from controller.model.survey import MAP_FIELDS
from controller.procedures.context import Context
from controller.procedures.show_image import show
from controller.session.ledger import Ledger
from processing.errors import InputFileError
from processing.images.landmarks import Landmark, find_landmarks, rank_flipped

MAX_CANDIDATES = 3
"""Largest number of assemblies of a map that are compared in turn."""
TOLERANCE_PX = 3.0
"""Precision of an assembly's position on a map."""


def wide_scan(protocol: Protocol, description: Description, field: int) -> ScanSettings:
    """Return the offered low-dose scan whose field is nearest to `field` times a frame's."""
    wanted = low_dose_scan(protocol, field)
    pixels_nm = [
        offer.pixel_nm
        for offer in description.offered_scans
        if (offer.height_px, offer.width_px) == (wanted.height_px, wanted.width_px)
    ]
    if not pixels_nm:
        return wanted
    nearest_nm = min(pixels_nm, key=lambda pixel_nm: abs(math.log(pixel_nm / wanted.pixel_nm)))
    return wanted.model_copy(update={"pixel_nm": nearest_nm})


def survey_before(context: Context, step_id: str) -> None:
    """Take the maps of series A, centred on the object; maps on disk are not taken again.

    If the column offers no field so wide, a warning replaces the map.
    """
    missing = [name for name in MAP_FIELDS if f"A-{name}" not in context.session.ledger.maps]
    if not (missing and context.protocol.flip.maps):
        return
    centre = context.session.ledger.centre
    context.microscope.move(step_id, centre.model_copy(update={"alpha_deg": 0.0}))
    for magnification in missing:
        try:
            _take(context, step_id, "A", magnification)
        except OutOfLimitsError as error:
            text = f"no map at {magnification} magnification: {error}"
            context.alert(Level.WARNING, text, step_id)


def reach_of_map_nm(ledger: Ledger) -> float:
    """Return the distance from the centre that the low map of A reaches; 0 without this map."""
    recorded = ledger.maps.get("A-low")
    if recorded is None:
        return 0.0
    scan = recorded.info.scan
    return scan.pixel_nm * min(scan.width_px, scan.height_px) / 2


def survey_after(context: Context, step_id: str) -> list[Landmark]:
    """Take the low map of the flipped grid; return assemblies on it, the best candidate first."""
    if "A-low" not in context.session.ledger.maps:
        return []
    after = _take(context, step_id, "B", "low")
    pixel_nm = after.info.scan.pixel_nm
    ranked = rank_flipped(
        _landmarks_of_a(context, step_id),
        find_landmarks(after.pixels, pixel_nm),
        TOLERANCE_PX * pixel_nm,
    )
    return ranked[:MAX_CANDIDATES]


def _landmarks_of_a(context: Context, step_id: str) -> tuple[Landmark, ...]:
    recorded = context.session.ledger.maps["A-low"]
    try:
        image = context.session.map_image(recorded)
    except InputFileError as error:
        text = f"{error}: the assembly at the centre is compared"
        context.alert(Level.WARNING, text, step_id)
        return ()
    return find_landmarks(image, recorded.info.scan.pixel_nm)


def move_to_landmark(context: Context, step_id: str, candidate: Landmark) -> None:
    """Centre an assembly of the low map, unless it is centred already."""
    taken = context.session.ledger.maps["B-low"].info
    x_nm, y_nm = along_stage(candidate.position_nm, context.protocol.column.tilt_axis_deg)
    target = taken.stage.model_copy(
        update={"x_nm": taken.stage.x_nm - x_nm, "y_nm": taken.stage.y_nm - y_nm}
    )
    stage = context.microscope.stage()
    away_nm = math.hypot(target.x_nm - stage.x_nm, target.y_nm - stage.y_nm)
    if away_nm <= TOLERANCE_PX * taken.scan.pixel_nm:
        return
    text = f"moving to an assembly {away_nm:.0f} nm away on the map"
    context.alert(Level.INFO, text, step_id)
    context.microscope.move(step_id, target)


def survey_middle(context: Context, step_id: str) -> None:
    """Take the middle map of the flipped grid, with the object in view."""
    if "A-middle" in context.session.ledger.maps:
        _take(context, step_id, "B", "middle")


def _take(context: Context, step_id: str, series: SeriesName, magnification: str) -> Frame:
    name = f"{series}-{magnification}"
    field = MAP_FIELDS[magnification]
    scan = wide_scan(context.protocol, context.microscope.description, field)
    frame = context.microscope.acquire(step_id, f"map-{name}", scan)
    context.persist(lambda: context.session.record_map(frame, step_id, name), step_id)
    width_um = scan.width_px * scan.pixel_nm / 1000
    caption = f"map of {series}, {magnification} magnification, {width_um:.2g} µm wide"
    show(context, step_id, f"map-{name}", frame.pixels, scan.pixel_nm, caption)
    return frame
