"""Survey of the flipped grid: low-dose maps side by side, and the assemblies on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.hardware.interface import Frame
from controller.model.exposures import survey_places_nm
from controller.model.scan import ScanSettings, along_stage
from controller.model.stage import StagePosition
from controller.model.survey import MAP_FIELDS
from controller.procedures.context import Context
from controller.procedures.flip.maps import TOLERANCE_PX, wide_scan
from controller.procedures.show_image import show
from processing.images.landmarks import Landmark, find_landmarks


def survey_grid(context: Context, step_id: str) -> NDArray[np.float64]:
    """Take the maps; return the stage position (x, y) that centres each assembly, [n, 2]."""
    microscope = context.microscope
    microscope.set_current(step_id, context.protocol.series_b.current_pA)
    found_nm: list[tuple[float, float]] = []
    scan = wide_scan(context.protocol, microscope.description, MAP_FIELDS["low"])
    for number, (x_nm, y_nm) in enumerate(survey_places_nm(context.protocol, scan), start=1):
        context.operator.checkpoint()
        microscope.move(step_id, StagePosition(x_nm=x_nm, y_nm=y_nm))
        microscope.wait(context.protocol.tracking.settle_s)
        frame = _take_map(context, step_id, scan, number)
        positions_nm = centring_positions_nm(frame, context.protocol.column.tilt_axis_deg)
        found_nm = merge(found_nm, positions_nm, MERGE_PX * _pixel_nm(frame))
    return np.array(found_nm).reshape(-1, 2)


MERGE_PX = 3 * TOLERANCE_PX
"""Largest distance of two positions that belong to one assembly, in pixels of a map."""


def centring_positions_nm(frame: Frame, tilt_axis_deg: float) -> list[tuple[float, float]]:
    """Return the stage positions that centre the assemblies that lie whole on a map."""
    stage = frame.info.stage
    distances_nm = [
        along_stage(landmark.position_nm, tilt_axis_deg) for landmark in whole_landmarks(frame)
    ]
    return [(stage.x_nm - x_nm, stage.y_nm - y_nm) for x_nm, y_nm in distances_nm]


def whole_landmarks(frame: Frame) -> list[Landmark]:
    """Return the assemblies that lie whole on a map."""
    scan = frame.info.scan
    half_nm = min(scan.width_px, scan.height_px) * scan.pixel_nm / 2
    return [
        landmark
        for landmark in find_landmarks(frame.pixels, scan.pixel_nm)
        if _is_whole(landmark, half_nm, scan.pixel_nm)
    ]


def merge(
    known_nm: list[tuple[float, float]], new_nm: list[tuple[float, float]], within_nm: float
) -> list[tuple[float, float]]:
    """Add the positions of a further map, without the assemblies that are known already."""
    added = [
        (x_nm, y_nm)
        for x_nm, y_nm in new_nm
        if all(np.hypot(x_nm - x, y_nm - y) > within_nm for x, y in known_nm)
    ]
    return [*known_nm, *added]


def _is_whole(landmark: Landmark, half_nm: float, pixel_nm: float) -> bool:
    edge_nm = max(map(abs, landmark.position_nm)) + landmark.diameter_nm / 2
    return edge_nm + pixel_nm <= half_nm


def _pixel_nm(frame: Frame) -> float:
    return frame.info.scan.pixel_nm


def _take_map(context: Context, step_id: str, scan: ScanSettings, number: int) -> Frame:
    name = f"B-grid-{number}"
    frame = context.microscope.acquire(step_id, f"map-{name}", scan)
    context.persist(lambda: context.session.record_map(frame, step_id, name), step_id)
    show(context, step_id, "map-B-low", frame.pixels, scan.pixel_nm, f"survey, map {number}")
    return frame
