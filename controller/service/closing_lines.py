"""Lines that stay on the terminal when the screen of a session closes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from controller.common.errors import quoted
from controller.model.events import State
from controller.service.session_status import SessionStatus
from controller.service.status_text import state_and_reason
from controller.session.grid_folder import folder_to_resume


def closing_lines(folder: Path, status: SessionStatus, lost: str) -> Iterator[str]:
    """Return lines: the session continues or how it ended, its report, how to continue it.

    Parameters
    ----------
    folder
        Folder of the session.
    status
        Newest known status.
    lost
        Reason why the session no longer answers; empty if it answers.
    """
    if not status.ended:
        yield lost or f"screen closed; the session continues: dualtilt attach {quoted(folder)}"
        return
    yield state_and_reason(status.state, status.reason)
    if status.report:
        yield f"report: {folder / status.report}"
    if status.state is not State.FINISHED:
        yield f"`dualtilt resume {quoted(folder_to_resume(folder))}` continues it"
