"""Which of the column's scans is the one asked for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from controller.microscope.adapters.settings import ColumnSettings
from controller.microscope.interface import OutOfLimitsError, ScanSettings


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


def choose_scan(scan: ScanSettings, settings: ColumnSettings) -> ScanChoice:
    """Find area, binning and magnification that give this size and this pixel.

    The full field comes first, then the smaller areas: HALF at some magnification is FULL at
    twice that.

    Raises
    ------
    OutOfLimitsError
        Saying which pixel sizes this size can have.
    """
    offered_nm = []
    for area in (ScanArea[name] for name in settings.areas):
        binning, rest = divmod(settings.full_px, area.share * scan.width_px)
        if rest or binning not in settings.binnings:
            continue
        wanted_nm = scan.pixel_nm * scan.width_px
        for field in settings.fields:
            field_nm = field.field_nm / area.share
            if abs(field_nm - wanted_nm) <= settings.field_tolerance * wanted_nm:
                return ScanChoice(area, binning, field.magnification)
            offered_nm.append(field_nm / scan.width_px)
    pixels = ", ".join(f"{pixel_nm:.4g}" for pixel_nm in sorted(offered_nm))
    raise OutOfLimitsError(
        f"pixel {scan.pixel_nm:.4g} nm at {scan.width_px} px: the column offers {pixels or 'none'} "
        "nm at this size"
    )
