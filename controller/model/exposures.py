"""Low-dose exposures and approach angles that each procedure plans, from the protocol alone."""

from __future__ import annotations

import math

from controller.model.base import SeriesName
from controller.model.protocol import Protocol
from controller.model.scan import ScanSettings, along_stage
from controller.model.stage import BACKLASH_DEG
from controller.model.survey import MAP_FIELDS, WIDE, survey_step_nm
from controller.model.targets import GridSettings

FOCUS_PLACES = (-2, -1, 0, 1, 2)
"""Defocus values of one autofocus series, in its steps."""
EUCENTRIC_FIRST_DEG = 5.0
"""First tilt of the eucentric search: at higher tilts an object far off the axis is lost."""
SHOTS_OF_THE_SCAN = 3
"""Low-dose shots that show the axes of the scan, by moves of the stage."""
DRIFT_SHOTS_APART_S = 2.0
"""Time between two low-dose shots that are compared for drift (s)."""
MIN_TILTS_TO_PREDICT = 4
"""Tilts recorded before the object's position is predicted: a line through fewer has no error."""


def low_dose_scan(protocol: Protocol, field: int = 1) -> ScanSettings:
    """Return the scan of a tracking shot over a field `field` frames wide."""
    scan = protocol.scan
    return ScanSettings(
        width_px=scan.width_px,
        height_px=scan.height_px,
        pixel_nm=scan.pixel_nm * field,
        dwell_us=scan.dwell_us * protocol.tracking.low_dose_dwell_fraction,
    )


def map_scans(protocol: Protocol) -> tuple[ScanSettings, ...]:
    """Return the scans of the survey maps of one side of the grid."""
    if not protocol.flip.maps:
        return ()
    return tuple(low_dose_scan(protocol, field) for field in MAP_FIELDS.values())


def flip_check_tilts_deg(protocol: Protocol) -> tuple[float, ...]:
    """Return the tilts at which B is compared with A before it is recorded."""
    limits = protocol.limits.stage
    reach_deg = min(protocol.flip.check_tilt_deg, limits.alpha_max_deg, -limits.alpha_min_deg)
    return (0.0, reach_deg, -reach_deg)


def flip_check_scans(protocol: Protocol) -> tuple[ScanSettings, ...]:
    """Return the exposures of a flip check that succeeds: scan check, centring, tilts."""
    shots = 1 + len(flip_check_tilts_deg(protocol))
    drift_shots = 2 if protocol.flip.drift_limit_nm_per_s else 0
    wide = low_dose_scan(protocol, WIDE)
    return (*(wide,) * SHOTS_OF_THE_SCAN, *(low_dose_scan(protocol),) * (shots + drift_shots))


def survey_scan(protocol: Protocol) -> ScanSettings:
    """Return the scan of one map of the survey after a flip."""
    return low_dose_scan(protocol, MAP_FIELDS["low"])


def survey_places_nm(protocol: Protocol, scan: ScanSettings) -> tuple[tuple[float, float], ...]:
    """Return the stage positions (x, y) of the maps that show all targets after the flip.

    Parameters
    ----------
    scan
        Scan of a map, `survey_scan` or the nearest that the column offers.
    """
    targets, grid = protocol.targets or (), protocol.grid or GridSettings()
    farthest_nm = max((math.hypot(each.x_nm, each.y_nm) for each in targets), default=0.0)
    reach_nm = farthest_nm + grid.search_nm
    return places_in_disc_nm(reach_nm, scan, protocol.column.tilt_axis_deg)


def places_in_disc_nm(
    reach_nm: float, scan: ScanSettings, tilt_axis_deg: float
) -> tuple[tuple[float, float], ...]:
    """Return the stage positions (x, y) of maps that cover a disc around the stage's zero.

    They go row by row along the scan, in alternating directions. Neighbouring maps overlap, so that
    each assembly lies whole in one of them.
    """
    step_nm = survey_step_nm(scan)
    count = math.ceil(reach_nm / step_nm - 0.5)
    line_nm = [step_nm * index for index in range(-count, count + 1)]
    return tuple(
        along_stage((x_nm, y_nm), tilt_axis_deg)
        for row, y_nm in enumerate(line_nm)
        for x_nm in (line_nm if row % 2 == 0 else line_nm[::-1])
        if math.hypot(x_nm, y_nm) <= reach_nm + step_nm / math.sqrt(2)
    )


def autofocus_scans(protocol: Protocol, series: int) -> tuple[ScanSettings, ...]:
    """Return the scans of `series` defocus series; a column far out of focus needs more."""
    return (low_dose_scan(protocol),) * (series * len(FOCUS_PLACES))


def eucentric_tilts_deg(protocol: Protocol) -> tuple[float, ...]:
    """Return the tilts, to either side, of the eucentric height's images."""
    highest_deg = protocol.eucentric.tilt_deg
    if highest_deg <= EUCENTRIC_FIRST_DEG:
        return (highest_deg,)
    return (EUCENTRIC_FIRST_DEG, highest_deg)


def first_current_pA(protocol: Protocol) -> float:
    """Return the beam current of the session's first exposure."""
    return protocol.shower.current_pA if protocol.shower.enabled else protocol.series_a.current_pA


def backlash_start_deg(alpha_deg: float, protocol: Protocol, series: SeriesName) -> float:
    """Return the angle from which a tilt is approached, so that the backlash is taken up.

    Every tilt of a series is approached in the same direction, whatever the tilt order.
    """
    limits = protocol.limits.stage
    start_deg = alpha_deg - protocol.series(series).direction * BACKLASH_DEG
    return min(max(start_deg, limits.alpha_min_deg), limits.alpha_max_deg)
