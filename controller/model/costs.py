"""Estimated microscope time and dose of the parts of a session."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from controller.model.exposures import (
    DRIFT_SHOTS_APART_S,
    autofocus_scans,
    eucentric_tilts_deg,
    flip_check_scans,
    flip_check_tilts_deg,
    low_dose_scan,
    map_scans,
    survey_places_nm,
    survey_scan,
)
from controller.model.protocol import Protocol
from controller.model.scan import ScanSettings
from controller.model.stage import BACKLASH_DEG

STAGE_SPEED_DEG_PER_S = 10.0
STAGE_REST_S = 3.0
"""Time from the end of every move until the stage is at rest and the move returns (s).

Speed and rest are those of the simulated stage (`simulator/settings.py`).
"""
TILT_OVERHEAD_S = 0.1
"""Time of a tilt beside stage, waits and scans (s): requests, transfer, checks, disk. Measured."""


@dataclass(frozen=True)
class Cost:
    """Exposures of a part, and its time without exposure (s)."""

    scans: tuple[ScanSettings, ...] = ()
    unexposed_s: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.scans + other.scans, self.unexposed_s + other.unexposed_s)

    @property
    def duration_s(self) -> float:
        """Time of all exposures and of the rest (s)."""
        return self.unexposed_s + sum(scan.frame_time_s for scan in self.scans)

    def dose_e_per_A2(self, current_pA: float) -> float:
        """Return the dose of all exposures at `current_pA`, in electrons per square angstrom."""
        return sum(scan.dose_e_per_A2(current_pA) for scan in self.scans)


def eucentric_height(protocol: Protocol) -> Cost:
    """Return the cost of the eucentric height: shots on both sides, centring before and after."""
    if not protocol.eucentric.enabled:
        return Cost()
    tilts = eucentric_tilts_deg(protocol)
    turns = [0.0, *(deg for tilt in tilts for deg in (-tilt, tilt)), 0.0]
    return Cost(
        (low_dose_scan(protocol),) * (2 + 2 * len(tilts)),
        sum(approach_from_below_s(a, b, protocol) for a, b in pairwise(turns)),
    )


def focus(protocol: Protocol) -> Cost:
    """Return the cost of autofocus on the specimen, and beside it if focus is also set there."""
    if not protocol.focus.before_series:
        return Cost()
    beside = protocol.focus.every_deg > 0
    return Cost(
        (low_dose_scan(protocol), *autofocus_scans(protocol, 3 if beside else 2)),
        move_s(0.0, 0.0, protocol) + (focus_area_s(protocol) if beside else 0.0),
    )


def flip_maps(protocol: Protocol) -> Cost:
    """Return the cost of the survey maps of both sides of the grid."""
    return Cost(map_scans(protocol) * 2)


def survey(protocol: Protocol) -> Cost:
    """Return the cost of the survey that finds all targets on the flipped grid."""
    scan = survey_scan(protocol)
    places = survey_places_nm(protocol, scan)
    return Cost((scan,) * len(places), len(places) * move_s(0.0, 0.0, protocol))


def flip_check(protocol: Protocol) -> Cost:
    """Return the cost of the flip check: the first images of B at three tilts."""
    return Cost(
        flip_check_scans(protocol),
        sum(2 * move_s(0.0, tilt, protocol) for tilt in flip_check_tilts_deg(protocol))
        + (DRIFT_SHOTS_APART_S if protocol.flip.drift_limit_nm_per_s else 0.0),
    )


def tilt(protocol: Protocol, *, focused: bool, tracked: bool) -> Cost:
    """Return the cost of one tilt without the move to it, retakes or a failed prediction."""
    tracking, shot = protocol.tracking, low_dose_scan(protocol)
    scans = (
        *(autofocus_scans(protocol, 1) if focused else ()),
        *((shot,) if tracking.enabled and focused else ()),
        *((shot, shot) if tracking.drift_limit_nm_per_s else ()),
        *((shot,) if tracking.enabled and tracked else ()),
        protocol.scan,
    )
    wait_s = DRIFT_SHOTS_APART_S if tracking.drift_limit_nm_per_s else 0.0
    focus_s = focus_area_s(protocol) if focused else 0.0
    return Cost(scans, TILT_OVERHEAD_S + wait_s + focus_s)


def approach_s(
    from_deg: float, start_deg: float | None, to_deg: float, protocol: Protocol
) -> float:
    """Return the time of a move to a tilt (s), by way of a backlash start where one is given."""
    if start_deg is None:
        return move_s(from_deg, to_deg, protocol)
    return _travel_s(from_deg, start_deg) + move_s(start_deg, to_deg, protocol)


def approach_from_below_s(from_deg: float, to_deg: float, protocol: Protocol) -> float:
    """Return the time of a move to a tilt (s) that is approached from below."""
    return approach_s(from_deg, to_deg - BACKLASH_DEG, to_deg, protocol)


def focus_area_s(protocol: Protocol) -> float:
    """Return the time of the moves to the focus area beside the specimen and back (s)."""
    return 2 * move_s(0.0, 0.0, protocol)


def move_s(from_deg: float, to_deg: float, protocol: Protocol) -> float:
    """Return the time of a move to a tilt (s), settling included."""
    return _travel_s(from_deg, to_deg) + protocol.tracking.settle_s


def _travel_s(from_deg: float, to_deg: float) -> float:
    return abs(to_deg - from_deg) / STAGE_SPEED_DEG_PER_S + STAGE_REST_S
