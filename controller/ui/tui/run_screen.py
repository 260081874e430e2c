"""Show a session on the terminal until the screen is closed."""

from __future__ import annotations

from pathlib import Path

from controller.common.exit_codes import ExitCode
from controller.service.closing_lines import closing_lines
from controller.service.session_client import exit_code_after
from controller.ui.tui.session_app import SessionApp


def run_screen(
    folder: Path, *, read_only: bool = False, leave_when_ended_s: float | None = None
) -> ExitCode:
    """Show the session in `folder` until the screen is closed.

    Returns
    -------
    ExitCode
        Exit code of an ended session; OK if it still runs; BRIDGE if it no longer answers.
    """
    app = SessionApp(folder, read_only=read_only, leave_when_ended_s=leave_when_ended_s)
    app.run()
    for line in closing_lines(folder, app.status, app.lost):
        print(line)  # noqa: T201
    if app.lost and not app.status.ended:
        return ExitCode.BRIDGE
    return exit_code_after(folder, app.status)
