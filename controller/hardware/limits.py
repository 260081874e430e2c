"""Soft limits of stage, scan and dose, checked before any hardware is used."""

from __future__ import annotations

from controller.hardware.interface import (
    Description,
    MicroscopeError,
    NotSupportedError,
    OutOfLimitsError,
    VacuumError,
    ValvesClosedError,
)
from controller.model.base import Data, NotNegative, Positive
from controller.model.scan import ScanSettings
from controller.model.stage import StageLimits, StagePosition


class SessionLimits(Data):
    """Limits of one session, in addition to those of the column."""

    stage: StageLimits | None = None
    """Stage limits of the protocol; the column's own limits hold as well."""
    dose_budget_e_per_A2: Positive | None = None
    """Largest total dose; an exposure that would exceed it is refused. None: no budget."""
    dose_spent_e_per_A2: NotNegative = 0.0
    """Dose charged before this connection, when a session is resumed."""


class DoseAccount(Data):
    """Dose charged to the specimen so far, and its budget."""

    spent_e_per_A2: NotNegative = 0.0
    budget_e_per_A2: Positive | None = None


def intersect_limits(first: StageLimits, second: StageLimits | None) -> StageLimits:
    """Return the stage limits that satisfy both.

    Raises
    ------
    OutOfLimitsError
        If the two tilt ranges do not overlap.
    """
    if second is None:
        return first
    alpha_min_deg = max(first.alpha_min_deg, second.alpha_min_deg)
    alpha_max_deg = min(first.alpha_max_deg, second.alpha_max_deg)
    if alpha_min_deg > alpha_max_deg:
        raise OutOfLimitsError(
            f"the protocol's tilts {second.alpha_min_deg:g} to {second.alpha_max_deg:g} deg are "
            f"outside the stage's range {first.alpha_min_deg:g} to {first.alpha_max_deg:g} deg"
        )
    return StageLimits(
        alpha_min_deg=alpha_min_deg,
        alpha_max_deg=alpha_max_deg,
        xy_max_nm=min(first.xy_max_nm, second.xy_max_nm),
        z_max_nm=min(first.z_max_nm, second.z_max_nm),
    )


def check_target(target: StagePosition, limits: StageLimits) -> None:
    """Refuse a stage target outside the limits.

    Raises
    ------
    OutOfLimitsError
        With the axis, the value and its limits.
    """
    axes = (
        ("alpha_deg", target.alpha_deg, limits.alpha_min_deg, limits.alpha_max_deg),
        ("x_nm", target.x_nm, -limits.xy_max_nm, limits.xy_max_nm),
        ("y_nm", target.y_nm, -limits.xy_max_nm, limits.xy_max_nm),
        ("z_nm", target.z_nm, -limits.z_max_nm, limits.z_max_nm),
    )
    for axis, value, low, high in axes:
        if not low <= value <= high:
            raise OutOfLimitsError(f"stage {axis} {value:g} is outside {low:g} to {high:g}")


def check_scan(scan: ScanSettings, column: Description) -> None:
    """Refuse a frame that the column does not offer; an empty table means no restriction.

    Raises
    ------
    OutOfLimitsError
        With the requested value and the values on offer.
    """
    size_px = (scan.height_px, scan.width_px)
    if column.frame_sizes_px and size_px not in column.frame_sizes_px:
        sizes = ", ".join(f"{height} x {width}" for height, width in column.frame_sizes_px)
        raise OutOfLimitsError(f"frame size {size_px[0]} x {size_px[1]} px: choose from {sizes}")
    if scan.dwell_us < column.shortest_dwell_us:
        raise OutOfLimitsError(
            f"dwell {scan.dwell_us:g} us: at least {column.shortest_dwell_us:g} us is needed; "
            "a low-dose image has a fraction of the frame's dwell time"
        )
    _check_pixel(scan, column)


def check_sweep(scan: ScanSettings, sweep_deg: float, column: Description) -> None:
    """Refuse a frame during which the stage would tilt by `sweep_deg`.

    Raises
    ------
    NotSupportedError
        If the column cannot expose while its stage tilts.
    OutOfLimitsError
        If the stage would have to tilt faster than it can.
    """
    fastest = column.fastest_sweep_deg_per_s
    if fastest is None:
        raise NotSupportedError(
            "the column cannot expose while its stage tilts: set motion = 'stop-and-go'"
        )
    speed = abs(sweep_deg) / scan.frame_time_s
    if speed > fastest:
        raise OutOfLimitsError(
            f"{abs(sweep_deg):g} degrees in a frame of {scan.frame_time_s:.3g} s means "
            f"{speed:.3g} deg/s, and the stage can do {fastest:g} deg/s: use longer frames or "
            "smaller tilt steps"
        )


def _check_pixel(scan: ScanSettings, column: Description) -> None:
    size_px = (scan.height_px, scan.width_px)
    pixels_nm = {
        offer.pixel_nm
        for offer in column.offered_scans
        if (offer.height_px, offer.width_px) == size_px
    }
    near = column.pixel_tolerance * scan.pixel_nm
    if column.offered_scans and not any(abs(nm - scan.pixel_nm) <= near for nm in pixels_nm):
        offered = ", ".join(f"{nm:.4g}" for nm in sorted(pixels_nm))
        raise OutOfLimitsError(
            f"pixel {scan.pixel_nm:.4g} nm at {scan.width_px} px: the column offers "
            f"{offered or 'none'} nm at this size"
        )


def check_defocus(defocus_nm: float, limits_nm: tuple[float, float] | None) -> None:
    """Refuse a defocus outside the limits.

    Raises
    ------
    NotSupportedError
        If the column's defocus cannot be set.
    OutOfLimitsError
        With the value and its limits.
    """
    if limits_nm is None:
        raise NotSupportedError("the defocus of this column cannot be set: focus by hand")
    low, high = limits_nm
    if not low <= defocus_nm <= high:
        raise OutOfLimitsError(f"defocus {defocus_nm:g} nm is outside {low:g} to {high:g} nm")


def charge(account: DoseAccount, dose_e_per_A2: float) -> DoseAccount:
    """Charge the dose of an exposure before it begins.

    An exposure that may have happened counts as one that did.

    Raises
    ------
    OutOfLimitsError
        If the budget does not cover it; then nothing is charged.
    """
    spent = account.spent_e_per_A2 + dose_e_per_A2
    if account.budget_e_per_A2 is not None and spent > account.budget_e_per_A2:
        raise OutOfLimitsError(
            f"exposure of {dose_e_per_A2:.4g} e/Å² refused: {account.spent_e_per_A2:.4g} e/Å² of "
            f"the dose budget of {account.budget_e_per_A2:.4g} e/Å² are spent"
        )
    return account.model_copy(update={"spent_e_per_A2": spent})


def refund(account: DoseAccount, dose_e_per_A2: float) -> DoseAccount:
    """Take back the charge for an exposure that certainly did not happen."""
    return account.model_copy(
        update={"spent_e_per_A2": max(0.0, account.spent_e_per_A2 - dose_e_per_A2)}
    )


def proves_no_exposure(error: MicroscopeError) -> bool:
    """Tell whether `error` proves that the beam never reached the specimen."""
    return isinstance(error, OutOfLimitsError | NotSupportedError | ValvesClosedError | VacuumError)
