"""What the parts of a session cost in microscope time and dose, as far as it can be foreseen."""

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
)
from controller.model.protocol import BACKLASH_DEG, Protocol
from controller.model.scan import ScanSettings

STAGE_SPEED_DEG_PER_S = 1.0
STAGE_OVERHEAD_S = 0.5
"""Of every move: start, stop, read-back."""


@dataclass(frozen=True)
class Cost:
    """Exposures, and the time that passes without one."""

    scans: tuple[ScanSettings, ...] = ()
    unexposed_s: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.scans + other.scans, self.unexposed_s + other.unexposed_s)

    @property
    def duration_s(self) -> float:
        """Of all of it."""
        return self.unexposed_s + sum(scan.frame_time_s for scan in self.scans)

    def dose_e_per_A2(self, current_pA: float) -> float:
        """Of all exposures at this current."""
        return sum(scan.dose_e_per_A2(current_pA) for scan in self.scans)


def eucentric_height(protocol: Protocol) -> Cost:
    """Looks from either side, the object centred before and after."""
    if not protocol.eucentric.enabled:
        return Cost()
    tilts = eucentric_tilts_deg(protocol)
    turns = [0.0, *(deg for tilt in tilts for deg in (-tilt, tilt)), 0.0]
    return Cost(
        (low_dose_scan(protocol),) * (2 + 2 * len(tilts)),
        sum(turn_s(a, b, protocol) for a, b in pairwise(turns)),
    )


def focus(protocol: Protocol) -> Cost:
    """Defocus series on the specimen, and beside it where the focus is followed there."""
    if not protocol.focus.before_series:
        return Cost()
    beside = protocol.focus.every_deg > 0
    return Cost(
        (low_dose_scan(protocol), *autofocus_scans(protocol, 3 if beside else 2)),
        move_s(0.0, 0.0, protocol) + (aside_s(protocol) if beside else 0.0),
    )


def flip_check(protocol: Protocol) -> Cost:
    """Maps of both sides, then all that B's first images take."""
    return Cost(
        (*map_scans(protocol), *flip_check_scans(protocol)),
        sum(2 * move_s(0.0, tilt, protocol) for tilt in flip_check_tilts_deg(protocol))
        + (DRIFT_SHOTS_APART_S if protocol.flip.drift_limit_nm_per_s else 0.0),
    )


def tilt(protocol: Protocol, *, focused: bool, looked: bool) -> Cost:
    """One tilt, the way there left out, that needs no retake and whose prediction holds."""
    tracking, shot = protocol.tracking, low_dose_scan(protocol)
    scans = (
        *(autofocus_scans(protocol, 1) if focused else ()),
        *((shot,) if tracking.enabled and focused else ()),
        *((shot, shot) if tracking.drift_limit_nm_per_s else ()),
        *((shot,) if tracking.enabled and looked else ()),
        protocol.scan,
    )
    waited_s = DRIFT_SHOTS_APART_S if tracking.drift_limit_nm_per_s else 0.0
    return Cost(scans, waited_s + (aside_s(protocol) if focused else 0.0))


def way_s(from_deg: float, by_deg: float | None, to_deg: float, protocol: Protocol) -> float:
    """Time to a tilt, by way of another place where one is given."""
    if by_deg is None:
        return move_s(from_deg, to_deg, protocol)
    return _travel_s(from_deg, by_deg) + move_s(by_deg, to_deg, protocol)


def turn_s(from_deg: float, to_deg: float, protocol: Protocol) -> float:
    """Time to a tilt that is approached from below."""
    return way_s(from_deg, to_deg - BACKLASH_DEG, to_deg, protocol)


def aside_s(protocol: Protocol) -> float:
    """Time to the area beside the specimen and back."""
    return 2 * move_s(0.0, 0.0, protocol)


def move_s(from_deg: float, to_deg: float, protocol: Protocol) -> float:
    """Time to a tilt, settling included."""
    return _travel_s(from_deg, to_deg) + protocol.tracking.settle_s


def _travel_s(from_deg: float, to_deg: float) -> float:
    return abs(to_deg - from_deg) / STAGE_SPEED_DEG_PER_S + STAGE_OVERHEAD_S
