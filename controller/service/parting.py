"""What a terminal is left with when a session's screen closes: how it stands, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from controller.model.events import State
from controller.service import words
from controller.service.status import SessionStatus


def parting_lines(folder: Path, status: SessionStatus, lost: str) -> Iterator[str]:
    """Say whether the session goes on, or how it ended, where its report is, how to take it up.

    Parameters
    ----------
    folder
        Of the session.
    status
        The newest there is.
    lost
        Why the session does not answer any more; empty where it does.
    """
    if not status.ended:
        yield lost or f"detached; the session goes on: dualtilt attach {folder}"
        return
    yield words.state(status.state, status.reason)
    if status.report:
        yield f"report: {folder / status.report}"
    if status.state is not State.FINISHED:
        yield f"`dualtilt resume {folder}` takes it up again"
