"""Survey a grid before any session: low-dose maps, then one closer image of each assembly."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from controller.common.errors import SafetyStopError
from controller.hardware.interface import Description, Frame, Microscope
from controller.model.exposures import places_in_disc_nm
from controller.model.protocol import Protocol
from controller.model.scan import ScanSettings
from controller.model.stage import StagePosition
from controller.model.survey import MAP_FIELDS
from controller.model.surveyed import Outline
from controller.procedures.flip.maps import wide_scan
from controller.procedures.flip.scan_rotation import measure_rotation
from controller.procedures.flip.survey_grid import MERGE_PX, centring_positions_nm, merge
from controller.procedures.tracking.stage_image import centring_position
from processing.images.outlines import measure_outline

NEAR_FRACTION = 0.2
"""Largest distance of an assembly from the middle of its closer image, as a fraction of it."""

Say = Callable[[str], None]


class SurveyCamera:
    """Microscope that takes low-dose images of a grid at zero tilt.

    Parameters
    ----------
    microscope
        The column, with the lease of this survey.
    protocol
        Its current of series A, low-dose dwell time, settling time and tilt axis are used.

    Attributes
    ----------
    tilt_axis_deg
        Direction of the tilt axis in the images.
    """

    def __init__(self, microscope: Microscope, protocol: Protocol) -> None:
        self._microscope = microscope
        self._settle_s = protocol.tracking.settle_s
        self.tilt_axis_deg = protocol.column.tilt_axis_deg
        self._run = f"survey-{uuid.uuid4().hex[:12]}"
        self._requests = 0
        self._height = StagePosition(z_nm=microscope.status().stage.z_nm)
        microscope.set_current(self._next_id(), protocol.series_a.current_pA)

    def image(self, x_nm: float, y_nm: float, scan: ScanSettings) -> Frame:
        """Move to a place, at the height that the operator has set, and take one image."""
        place = self._height.model_copy(update={"x_nm": x_nm, "y_nm": y_nm})
        self._microscope.move_stage(self._next_id(), place)
        self._microscope.wait(self._settle_s)
        return self._microscope.acquire(self._next_id(), scan)

    def _next_id(self) -> str:
        self._requests += 1
        return f"{self._run}/{self._requests}"


def map_places_nm(
    protocol: Protocol, description: Description, reach_nm: float
) -> tuple[ScanSettings, tuple[tuple[float, float], ...]]:
    """Return the scan of a map, and the stage positions of all maps within `reach_nm` of zero."""
    scan = wide_scan(protocol, description, MAP_FIELDS["low"])
    return scan, places_in_disc_nm(reach_nm, scan, protocol.column.tilt_axis_deg)


@dataclass(frozen=True)
class Mapped:
    """Assemblies on the maps.

    Attributes
    ----------
    positions_nm
        Stage position (x, y) that about centres each.
    fullest_nm
        Stage position (x, y) of the map that shows most of them; None without any.
    """

    positions_nm: tuple[tuple[float, float], ...]
    fullest_nm: tuple[float, float] | None


def find_assemblies(
    camera: SurveyCamera, scan: ScanSettings, places_nm: Sequence[tuple[float, float]], say: Say
) -> Mapped:
    """Take the maps and find the assemblies on them."""
    found_nm: list[tuple[float, float]] = []
    shown: dict[tuple[float, float], int] = {}
    for number, (x_nm, y_nm) in enumerate(places_nm, start=1):
        frame = camera.image(x_nm, y_nm, scan)
        known = len(found_nm)
        positions_nm = centring_positions_nm(frame, camera.tilt_axis_deg)
        shown[x_nm, y_nm] = len(positions_nm)
        found_nm = merge(found_nm, positions_nm, MERGE_PX * scan.pixel_nm)
        say(
            f"map {number} of {len(places_nm)}: {len(found_nm) - known} new, {len(found_nm)} in all"
        )
    fullest_nm = max(shown, key=lambda place: shown[place]) if found_nm else None
    return Mapped(tuple(found_nm), fullest_nm)


def check_rotation(camera: SurveyCamera, scan: ScanSettings, mapped: Mapped) -> None:
    """Check that the maps move with the stage as the protocol says; three more maps are taken.

    Raises
    ------
    SafetyStopError
        The scan is mirrored or rotated: the positions on the maps are wrong.
    """
    if mapped.fullest_nm is None:
        return

    def image_at(x_nm: float, y_nm: float) -> Frame:
        return camera.image(x_nm, y_nm, scan)

    axes = measure_rotation(image_at, mapped.fullest_nm, scan, camera.tilt_axis_deg)
    if axes is not None and axes.fault:
        raise SafetyStopError(f"{axes.fault}: {axes.remedy}, and survey the grid again")


def look_closer(
    camera: SurveyCamera, scan: ScanSettings, places_nm: Sequence[tuple[float, float]]
) -> Iterator[tuple[Outline, Frame]]:
    """Give outline and image of the assembly at each place; none for a place without one."""
    near_px = NEAR_FRACTION * min(scan.width_px, scan.height_px)
    for x_nm, y_nm in places_nm:
        frame = camera.image(x_nm, y_nm, scan)
        outline = measure_outline(frame.pixels, near_px=near_px)
        if outline is not None:
            centred = centring_position(
                frame.info.stage, outline.offset_px, scan.pixel_nm, camera.tilt_axis_deg
            )
            yield (
                Outline(
                    x_nm=centred.x_nm,
                    y_nm=centred.y_nm,
                    z_nm=centred.z_nm,
                    diameter_nm=outline.diameter_px * scan.pixel_nm,
                    roundness=outline.roundness,
                ),
                frame,
            )
