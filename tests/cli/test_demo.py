"""Output of a demo: paths of the results, scores, then the count."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.app import new_session, start_session
from controller.app.cli.main import main
from controller.common.exit_codes import ExitCode
from controller.model.events import State
from controller.rehearsal.accuracy_checks import Accuracy
from controller.service.session_status import CountPoint, CountStatus, SessionStatus
from controller.session.folder import SessionFolder
from tests.cli.test_accuracy_checks import GOOD_TABLES

POINT = CountPoint(tilts_used=147, n=6760, n_low=6751, n_high=6764)


@pytest.mark.parametrize(
    ("options", "controls"),
    [
        pytest.param([], ("mean",), id="the mean alone"),
        pytest.param(["--controls"], True, id="every rule"),
    ],
)
def test_the_controls_that_a_demo_counts(
    options: list[str],
    controls: bool | tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(start_session, "run_new", lambda *_, **__: ExitCode.OK)
    main(["demo", "--headless", "--out", str(tmp_path / "demo"), *options])
    assert SessionFolder(tmp_path / "demo").read_protocol().processing.controls == controls


@pytest.mark.parametrize(
    ("state", "ended_with", "last"),
    [
        pytest.param(
            State.FINISHED,
            ExitCode.OK,
            "6760 particles in both series together, 95 % interval 6751 to 6764",
            id="finished",
        ),
        pytest.param(State.RUNNING, ExitCode.OK, "session in ", id="detached"),
        pytest.param(State.FAILED, ExitCode.SAFETY, "session in ", id="failed"),
    ],
)
def test_the_end_of_a_demo(
    state: State,
    ended_with: ExitCode,
    last: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = SessionStatus(state=state, counts={"fused": CountStatus(points=(POINT,), live=False)})
    (tmp_path / "status.json").write_text(status.model_dump_json())
    accuracy = Accuracy(n_truth=6760, tolerance_nm=1.5, tables=GOOD_TABLES)
    (tmp_path / "accuracy.json").write_text(accuracy.model_dump_json())
    monkeypatch.setattr(new_session, "new_session", lambda *_: SessionFolder(tmp_path))
    monkeypatch.setattr(start_session, "run_new", lambda *_, **__: ended_with)
    assert main(["demo", "--headless"]) == ended_with
    said = capsys.readouterr().out.splitlines()
    assert said[-1].startswith(last)
    paths = [line for line in said if line.startswith(str(tmp_path))]
    assert len(paths) == (3 if state is State.FINISHED else 0)
