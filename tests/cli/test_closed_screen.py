"""Lines in the terminal and exit code after the screen of a session is closed."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.common.exit_codes import ExitCode
from controller.model.events import State
from controller.service.session_status import SessionStatus
from controller.ui.tui import session_app
from controller.ui.tui.run_screen import run_screen
from controller.ui.tui.session_app import SessionApp

FOLDER = Path("/data/au")
GONE = "/data/au: the session's process is gone; `dualtilt resume /data/au` continues it"
RESUME = "`dualtilt resume /data/au` continues it"
FULL_SCREEN, FULL_SCREEN_ENDS = b"\x1b[?1049h", b"\x1b[?1049l"
"""Bytes by which a program takes the whole terminal, and gives it back."""
SHOW_SCREEN = """
import sys
from pathlib import Path
from controller.common.ctrl_c import signals_end_at_once
from controller.ui.tui.run_screen import run_screen
with signals_end_at_once():
    sys.exit(run_screen(Path(sys.argv[1])))
"""


def ended(state: State, code: ExitCode, reason: str = "") -> SessionStatus:
    return SessionStatus(state=state, reason=reason, report="report.html", exit_code=code)


@dataclass(frozen=True)
class Case:
    name: str
    status: SessionStatus
    lost: str
    says: list[str]
    code: ExitCode


CASES = [
    Case(
        "detached",
        SessionStatus(state=State.RUNNING),
        "",
        ["screen closed; the session continues: dualtilt attach /data/au"],
        ExitCode.OK,
    ),
    Case("killed", SessionStatus(state=State.RUNNING), GONE, [GONE], ExitCode.BRIDGE),
    Case(
        "failed",
        ended(State.FAILED, ExitCode.SAFETY, "the dose budget is used up"),
        "",
        ["failed: the dose budget is used up", "report: /data/au/report.html", RESUME],
        ExitCode.SAFETY,
    ),
    Case(
        "stopped, then its process ended",
        ended(State.STOPPED, ExitCode.INTERRUPTED, "by the operator"),
        GONE,
        ["stopped: by the operator", "report: /data/au/report.html", RESUME],
        ExitCode.INTERRUPTED,
    ),
    Case(
        "finished",
        ended(State.FINISHED, ExitCode.OK),
        "",
        ["finished", "report: /data/au/report.html"],
        ExitCode.OK,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_closing_the_screen_prints_how_the_session_ended(
    case: Case, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ran(screen: SessionApp) -> None:
        screen.status, screen.lost = case.status, case.lost

    monkeypatch.setattr(session_app.SessionApp, "run", ran)
    assert run_screen(FOLDER) == case.code
    assert capsys.readouterr().out.splitlines() == case.says


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
def test_sigterm_closes_the_screen_and_gives_the_terminal_back(tmp_path: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", SHOW_SCREEN, str(tmp_path)]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as screen:
        os.close(theirs)
        shown = _shown(ours, until=FULL_SCREEN)
        screen.terminate()
        shown += _shown(ours, until=None)
    os.close(ours)
    assert FULL_SCREEN_ENDS in shown
    assert screen.returncode >= 0, "ended by itself, not by the signal"


def _shown(terminal: int, until: bytes | None) -> bytes:
    """Return what a program shows on a terminal until some bytes come, or until it ends."""
    shown = b""
    while until is None or until not in shown:
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # the program has closed the terminal
            break
    return shown
