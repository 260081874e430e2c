"""Show a queue from another terminal: its present session, then the next one."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from controller.common.errors import UsageError, quoted
from controller.common.exit_codes import ExitCode
from controller.service.service_address import working_process
from controller.service.session_client import find_sessions
from controller.session.grid_folder import GridFolder

POLL_INTERVAL_S = 0.5


def running_session(grid: Path) -> Path | None:
    """Return the folder of the session of a grid that runs now; None between two sessions."""
    members = [each for each in find_sessions() if each.is_relative_to(grid.absolute())]
    return members[0] if members else None


def present_session(folder: Path) -> Path:
    """Return the folder of the session that a command to `folder` means.

    For a grid it is that of the session that runs now, if there is one.
    """
    return (running_session(folder) or folder) if GridFolder(folder).journal.exists() else folder


def follow_queue(
    grid: Path, show: Callable[[Path], ExitCode], say: Callable[[str], None]
) -> ExitCode:
    """Show one session of a grid after the other.

    Parameters
    ----------
    show
        Shows the session in a folder; returns when it has ended or was detached from.
    say
        Shows a line on the terminal.

    Returns
    -------
    ExitCode
        That of the last session shown; OK if it still runs.

    Raises
    ------
    UsageError
        Neither a session of the grid nor its queue runs.
    """
    code = None
    while (session := _next_session(grid, say)) is not None:
        code = show(session)
        if running_session(grid) == session:  # detached
            return code
    if code is None:
        raise UsageError(
            f"{grid}: its queue does not run; `dualtilt resume {quoted(grid)}` continues it"
        )
    return code


def _next_session(grid: Path, say: Callable[[str], None]) -> Path | None:
    """Wait for a running session; return None once the queue does not run either."""
    session = running_session(grid)
    if session is None and working_process(grid):
        say("waiting for the next session of the queue")
    while session is None and working_process(grid):
        time.sleep(POLL_INTERVAL_S)
        session = running_session(grid)
    return session
