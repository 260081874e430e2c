"""Check beam, stage and valves before the holder comes out, and vacuum and valves afterwards.

Nothing is closed or opened here: a person does that at the column, and the session continues as
soon as the read-back shows it. An operator who continues earlier is obeyed, with a warning.
"""

from __future__ import annotations

from collections.abc import Callable

from controller.hardware.interface import MicroscopeError, Status
from controller.model.events import Checked, Level, PauseCause
from controller.model.stage import StagePosition
from controller.procedures.context import Context

ZERO_TOLERANCE_DEG, ZERO_TOLERANCE_NM = 0.2, 1000.0

StatusChecks = Callable[[Status], tuple[Checked, ...]]


def wait_until_removable(context: Context, step_id: str) -> str:
    """Wait until the holder may come out; return a sentence on beam, stage and valves."""
    unmet = _wait_for_checks(context, step_id, "before the holder comes out", _removal_checks)
    if unmet:
        return f"NOT READY: {unmet}!"
    return "Checked: beam blanked, stage at zero, column valves closed."


def wait_until_exposable(context: Context, step_id: str) -> None:
    """Wait until the vacuum has recovered, which is slow, and the valves are open."""
    _wait_for_checks(context, step_id, "before the grid is exposed", _exposure_checks)


def _wait_for_checks(context: Context, step_id: str, when: str, checks_of: StatusChecks) -> str:
    """Publish the checks; wait until all are met; return those that the operator overruled."""
    unmet = _publish(context, checks_of)
    if not unmet:
        return ""

    def all_met() -> bool:
        try:
            return all(check.ok for check in checks_of(context.microscope.microscope.status()))
        except MicroscopeError:
            return False

    context.operator.suspend(
        f"{step_id}: {when}: {unmet}; the session goes on by itself when this is done; "
        "to go on now skips this check",
        all_met,
        PauseCause.HANDS,
    )
    unmet = _publish(context, checks_of)
    if unmet:
        text = f"continued by the operator {when}, although: {unmet}"
        context.alert(Level.WARNING, text, step_id)
    return unmet


def _publish(context: Context, checks_of: StatusChecks) -> str:
    checks = checks_of(context.microscope.status())
    for check in checks:
        context.publish(check)
    return "; ".join(f"{check.name}: {check.detail}" for check in checks if not check.ok)


def is_at_zero(stage: StagePosition) -> bool:
    """Tell whether the stage is near enough to zero to retract the holder."""
    off_nm = max(abs(stage.x_nm), abs(stage.y_nm), abs(stage.z_nm))
    return abs(stage.alpha_deg) <= ZERO_TOLERANCE_DEG and off_nm <= ZERO_TOLERANCE_NM


def _removal_checks(status: Status) -> tuple[Checked, ...]:
    stage, valves_closed = status.stage, not status.valves_open
    return (
        Checked(
            name="beam",
            ok=status.beam_blanked,
            detail="blanked" if status.beam_blanked else "ON: blank it",
        ),
        Checked(
            name="stage",
            ok=is_at_zero(stage),
            detail=f"at zero, alpha {stage.alpha_deg:+.2f}°"
            if is_at_zero(stage)
            else f"NOT at zero: alpha {stage.alpha_deg:+.2f}°, x {stage.x_nm:+.0f}, "
            f"y {stage.y_nm:+.0f}, z {stage.z_nm:+.0f} nm",
        ),
        Checked(
            name="column valves",
            ok=valves_closed,
            detail="closed" if valves_closed else "OPEN: close them at the column",
        ),
    )


def _exposure_checks(status: Status) -> tuple[Checked, ...]:
    return (
        Checked(
            name="vacuum",
            ok=status.vacuum_ok,
            detail="good" if status.vacuum_ok else "not good enough to expose yet",
        ),
        Checked(
            name="column valves",
            ok=status.valves_open,
            detail="open" if status.valves_open else "CLOSED: open them at the column",
        ),
    )
