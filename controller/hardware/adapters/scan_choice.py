"""Which of the column's scans is the one asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from controller.hardware.adapters.column_settings import ColumnSettings
from controller.hardware.interface import OfferedScan, OutOfLimitsError
from controller.model.scan import ScanSettings


class ScanArea(IntEnum):
    """Part of the field in the middle of it, as TEM Scripting numbers it."""

    FULL = 0
    HALF = 1
    QUARTER = 2

    @property
    def share(self) -> int:
        """The full field's side over this one's."""
        return 1 << int(self)


@dataclass(frozen=True)
class ScanChoice:
    """What is set on the column."""

    area: ScanArea
    binning: int
    magnification: float


def frame_sizes_px(settings: ColumnSettings) -> tuple[tuple[int, int], ...]:
    """Return the (height, width) pairs on offer, largest first."""
    steps = {
        ScanArea[area].share * binning for area in settings.areas for binning in settings.binnings
    }
    sides = sorted(
        (settings.full_px // n for n in steps if settings.full_px % n == 0), reverse=True
    )
    return tuple((side, side) for side in sides)


def offered_scans(settings: ColumnSettings) -> Iterator[tuple[ScanChoice, OfferedScan]]:
    """Every combination of area, binning and magnification, and the frame it gives.

    The full field comes first, then the smaller areas: HALF at some magnification is FULL at
    twice that.
    """
    for area in (ScanArea[name] for name in settings.areas):
        for binning in settings.binnings:
            side, rest = divmod(settings.full_px, area.share * binning)
            if rest:
                continue
            for field in settings.fields:
                pixel_nm = field.field_nm / area.share / side
                yield (
                    ScanChoice(area, binning, field.magnification),
                    OfferedScan(height_px=side, width_px=side, pixel_nm=pixel_nm),
                )


def choose_scan(scan: ScanSettings, settings: ColumnSettings) -> ScanChoice:
    """Find area, binning and magnification that give this size and this pixel.

    Raises
    ------
    OutOfLimitsError
        There are none.
    """
    near_nm = settings.field_tolerance * scan.pixel_nm
    for choice, offer in offered_scans(settings):
        same_size = (offer.height_px, offer.width_px) == (scan.height_px, scan.width_px)
        if same_size and abs(offer.pixel_nm - scan.pixel_nm) <= near_nm:
            return choice
    raise OutOfLimitsError(
        f"{scan.width_px} x {scan.height_px} px of {scan.pixel_nm:.4g} nm: not on offer"
    )
