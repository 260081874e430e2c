"""Clocks of the beam shower between two events of the session."""

from __future__ import annotations

from datetime import datetime

from controller.service.session_status import SessionStatus


def advance_shower_clocks(status: SessionStatus, now: datetime) -> SessionStatus:
    """Return the status with the shower's clocks advanced to `now`.

    The clocks run from the start of the current slice and stop at its planned end, until the
    session reports again. Without a current slice (in a pause, a shot or a move) they stand still.

    Parameters
    ----------
    status
        Status made from the events.
    now
        Current time with its zone.
    """
    current = status.shower_slice
    if current is None or not status.showers:
        return status
    since_start_s = (now - datetime.fromisoformat(current.started_at)).total_seconds()
    since_start_s = min(max(since_start_s, 0.0), current.duration_s)
    newest = status.showers[-1]
    advanced = newest.model_copy(
        update={
            "elapsed_s": newest.elapsed_s + since_start_s,
            "angle_elapsed_s": newest.angle_elapsed_s + since_start_s,
        }
    )
    left_s = max(0.0, newest.planned_s - advanced.elapsed_s)
    return status.model_copy(update={"showers": (*status.showers[:-1], advanced), "left_s": left_s})
