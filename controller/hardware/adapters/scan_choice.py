"""Choose scan area, binning and magnification for a requested frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from controller.hardware.adapters.column_settings import ColumnSettings
from controller.hardware.interface import OfferedScan, OutOfLimitsError
from controller.model.scan import ScanSettings


class ScanArea(IntEnum):
    """Scanned part of the field, centred; numbered as in TEM Scripting."""

    FULL = 0
    HALF = 1
    QUARTER = 2

    @property
    def side_ratio(self) -> int:
        """Side of the full field divided by the side of this area."""
        return 1 << int(self)


@dataclass(frozen=True)
class ScanChoice:
    """Scan settings of the column for one frame."""

    area: ScanArea
    binning: int
    magnification: float


def frame_sizes_px(settings: ColumnSettings) -> tuple[tuple[int, int], ...]:
    """Return the (height, width) pairs on offer, the largest first."""
    steps = {
        ScanArea[area].side_ratio * binning
        for area in settings.areas
        for binning in settings.binnings
    }
    sides = sorted(
        (settings.full_px // n for n in steps if settings.full_px % n == 0), reverse=True
    )
    return tuple((side, side) for side in sides)


def offered_scans(settings: ColumnSettings) -> Iterator[tuple[ScanChoice, OfferedScan]]:
    """Yield every combination of area, binning and magnification with the frame it gives.

    The full field comes first, then the smaller areas: HALF at one magnification is the same scan
    as FULL at twice that magnification.
    """
    for area in (ScanArea[name] for name in settings.areas):
        for binning in settings.binnings:
            side, rest = divmod(settings.full_px, area.side_ratio * binning)
            if rest:
                continue
            for field in settings.fields:
                pixel_nm = field.field_nm / area.side_ratio / side
                yield (
                    ScanChoice(area, binning, field.magnification),
                    OfferedScan(height_px=side, width_px=side, pixel_nm=pixel_nm),
                )


def choose_scan(scan: ScanSettings, settings: ColumnSettings) -> ScanChoice:
    """Find area, binning and magnification for this frame size and pixel size.

    Raises
    ------
    OutOfLimitsError
        If there is no such combination.
    """
    near_nm = settings.field_tolerance * scan.pixel_nm
    for choice, offer in offered_scans(settings):
        same_size = (offer.height_px, offer.width_px) == (scan.height_px, scan.width_px)
        if same_size and abs(offer.pixel_nm - scan.pixel_nm) <= near_nm:
            return choice
    raise OutOfLimitsError(
        f"the column offers no {scan.width_px} x {scan.height_px} px frame with pixels of "
        f"{scan.pixel_nm:.4g} nm"
    )
