"""Lines in the terminal and exit code after the screen of a session is closed."""

from __future__ import annotations

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
        ["detached; the session continues: dualtilt attach /data/au"],
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
