"""What must be seen before the holder comes out, and once it is in again.

Nothing is closed or opened here: a person does that at the column, and the session goes on by
itself as soon as it is seen. One that goes on before is believed, and it is told.
"""

from __future__ import annotations

from collections.abc import Callable

from controller.hardware.interface import MicroscopeError, Status
from controller.model.events import Checked, Level
from controller.model.stage import StagePosition
from controller.procedures.context import Context

ZERO_TOLERANCE_DEG, ZERO_TOLERANCE_NM = 0.2, 1000.0

Look = Callable[[Status], tuple[Checked, ...]]


def see_it_may_come_out(context: Context, step_id: str) -> str:
    """Wait for beam, stage and valves to be seen as they must be; say what was seen."""
    unmet = _wait_until_seen(context, step_id, "before the holder comes out", _before)
    if unmet:
        return f"NOT AS IT SHOULD BE: {unmet}!"
    return "Seen: beam blanked, stage at zero, column valves closed."


def see_it_may_be_exposed(context: Context, step_id: str) -> None:
    """Wait for the vacuum, which recovers slowly, and for open valves."""
    _wait_until_seen(context, step_id, "before the grid is exposed", _after)


def _wait_until_seen(context: Context, step_id: str, when: str, look: Look) -> str:
    """Publish what is seen; wait for what is not as it must be, and return what still is not."""
    unmet = _publish(context, look)
    if not unmet:
        return ""

    def all_seen() -> bool:
        try:
            return all(check.ok for check in look(context.microscope.microscope.status()))
        except MicroscopeError:
            return False

    context.operator.suspend(f"{step_id}: {when}: {unmet}; goes on when it is seen", all_seen)
    unmet = _publish(context, look)
    if unmet:
        context.alert(Level.WARNING, f"went on by hand, {when}, although: {unmet}", step_id)
    return unmet


def _publish(context: Context, look: Look) -> str:
    checks = look(context.microscope.status())
    for check in checks:
        context.publish(check)
    return "; ".join(f"{check.name}: {check.detail}" for check in checks if not check.ok)


def is_at_zero(stage: StagePosition) -> bool:
    """Tell whether the holder can be drawn from where the stage is."""
    off_nm = max(abs(stage.x_nm), abs(stage.y_nm), abs(stage.z_nm))
    return abs(stage.alpha_deg) <= ZERO_TOLERANCE_DEG and off_nm <= ZERO_TOLERANCE_NM


def _before(status: Status) -> tuple[Checked, ...]:
    stage, valves_closed = status.stage, not status.valves_open
    return (
        Checked(
            name="beam blanked",
            ok=status.beam_blanked,
            detail="blanked" if status.beam_blanked else "the beam is ON: blank it",
        ),
        Checked(
            name="stage at zero",
            ok=is_at_zero(stage),
            detail=f"alpha {stage.alpha_deg:+.2f} degrees, x {stage.x_nm:+.0f}, "
            f"y {stage.y_nm:+.0f}, z {stage.z_nm:+.0f} nm",
        ),
        Checked(
            name="valves closed",
            ok=valves_closed,
            detail="seen closed" if valves_closed else "the column valves are OPEN: close them",
        ),
    )


def _after(status: Status) -> tuple[Checked, ...]:
    return (
        Checked(
            name="vacuum",
            ok=status.vacuum_ok,
            detail="good" if status.vacuum_ok else "not good enough to expose yet",
        ),
        Checked(
            name="valves open",
            ok=status.valves_open,
            detail="seen open" if status.valves_open else "the column valves are closed: open them",
        ),
    )
