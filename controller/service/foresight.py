"""What a status has become by now, as far as the session has said what is under way."""

from __future__ import annotations

from datetime import datetime

from controller.service.status import SessionStatus


def foreseen(status: SessionStatus, now: datetime) -> SessionStatus:
    """Let the clocks of the shower run on from the beginning of the slice that is being given.

    They are never ahead of the session: at the end of the slice they wait for its word, and where
    no slice is under way, in a pause, during a shot or a move, they stand still.

    Parameters
    ----------
    status
        As folded from the events.
    now
        With its zone.
    """
    under_way = status.shower_slice
    if under_way is None or not status.showers:
        return status
    gone_s = (now - datetime.fromisoformat(under_way.started_at)).total_seconds()
    gone_s = min(max(gone_s, 0.0), under_way.duration_s)
    newest = status.showers[-1]
    by_now = newest.model_copy(
        update={
            "elapsed_s": newest.elapsed_s + gone_s,
            "angle_elapsed_s": newest.angle_elapsed_s + gone_s,
        }
    )
    left_s = max(0.0, newest.planned_s - by_now.elapsed_s)
    return status.model_copy(update={"showers": (*status.showers[:-1], by_now), "left_s": left_s})
