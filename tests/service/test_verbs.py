"""attach, answer, stop and pause from the command line."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.app.cli.main import main
from controller.common.exit_codes import ExitCode
from controller.model.commands import Answer, StopWhen
from controller.model.events import PromptOpened, State
from controller.service.session_server import SessionService
from controller.service.session_status import SessionStatus
from controller.session.folder import SessionFolder
from controller.session.folder_lock import FolderLock
from tests.support import scripted_session as script
from tests.support.recording_engine import RecordingEngine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[RecordingEngine]:
    with FolderLock(SessionFolder(tmp_path)):
        service = SessionService(tmp_path, lambda record: None)
        engine = RecordingEngine()
        service.serve(engine)
        service.publish(PromptOpened(prompt=script.FLIP_CHECK_PROMPT))
        while service.store.status.prompt is None:
            time.sleep(0.005)
        yield engine
        service.close(ExitCode.OK)


@dataclass(frozen=True)
class Case:
    name: str
    line: str
    code: ExitCode
    commands: tuple[object, ...]
    output: str
    """Text on stdout or stderr."""


CASES = (
    Case("pause", "pause", ExitCode.OK, ("pause",), "pausing after the current step"),
    Case("go on", "pause --go-on", ExitCode.OK, ("go on",), "going on"),
    Case("retake", "retake", ExitCode.OK, (("retake", 1),), "1 tilt is recorded again"),
    Case("retake 3", "retake --tilts 3", ExitCode.OK, (("retake", 3),), "3 tilts are recorded"),
    Case("stop", "stop", ExitCode.OK, (StopWhen.AFTER_TILT,), "dualtilt resume"),
    Case("stop now", "stop --when now", ExitCode.OK, (StopWhen.NOW,), "stopping, now"),
    Case(
        "answer",
        "answer flip-check back-to-flip",
        ExitCode.OK,
        (Answer(prompt_id="flip-check", value="back-to-flip"),),
        "answered back-to-flip",
    ),
    Case(
        "answer with a reason",
        "answer flip-check override --reason seen",
        ExitCode.OK,
        (Answer(prompt_id="flip-check", value="override", reason="seen"),),
        "answered override",
    ),
    Case(
        "answer without the reason it needs",
        "answer flip-check override",
        ExitCode.USAGE,
        (),
        'needs a reason, which the report will show: add --reason "…"',
    ),
    Case(
        "answer to another prompt",
        "answer flip done",
        ExitCode.USAGE,
        (),
        "dualtilt: the open prompt is 'flip-check', not 'flip'",
    ),
    Case(
        "answer that is not a choice",
        "answer flip-check maybe",
        ExitCode.USAGE,
        (),
        "answer back-to-flip | retake-image | override | stop",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_command_reaches_the_session(
    engine: RecordingEngine, case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(case.line.split()) == case.code
    assert tuple(engine.commands) == case.commands
    out, err = capsys.readouterr()
    assert case.output in out + err
    assert len((out + err).strip().splitlines()) == 1


@pytest.mark.parametrize("line", ["stop", "pause", "retake", "complete", "answer flip done"])
def test_a_process_that_takes_no_commands_is_named(
    tmp_path: Path, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "journal.jsonl").touch()
    option = ["--session"] if line.startswith("answer") else []
    with FolderLock(SessionFolder(tmp_path)):
        assert main([*line.split(), *option, str(tmp_path)]) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert f"process {os.getpid()} works here and takes no commands" in err
    assert f"`dualtilt attach {tmp_path}` shows it" in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("line", ["attach", "stop", "pause"])
def test_the_id_in_a_lock_that_nobody_holds_says_nothing(
    tmp_path: Path, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "journal.jsonl").touch()
    (tmp_path / "lock").write_text(f"{os.getppid()}\n")  # a process that runs, and uses no session
    assert main([line, str(tmp_path)]) == ExitCode.USAGE
    assert "no session is running here; `dualtilt resume" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("attach", "no session is running"),
        ("attach {ended}", "no session is running here; `dualtilt resume"),
        ("attach {empty}", "holds no session"),
        ("attach {empty}/nowhere", "no such session folder"),
        ("pause", "no session is running"),
        ("attach {crashed}", "no session is running here; `dualtilt resume"),
        ("stop {crashed}", "no session is running here; `dualtilt resume"),
        ("attach {finished}", "its report is {finished}/report.html"),
        ("attach {unreported}", "it is finished; `dualtilt report"),
        ("stop {ended}", "no session is running here"),
        ("answer flip done", "no session is running"),
        ("answer flip done --session {ended}", "no session is running here"),
    ],
)
def test_a_command_without_a_session(
    tmp_path: Path, line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("ended", "empty", "crashed", "finished", "unreported")
    folders = {name: str(tmp_path / name) for name in names}
    for name, folder in folders.items():
        Path(folder).mkdir()
        if name != "empty":
            (Path(folder) / "journal.jsonl").touch()
        if name in ("crashed", "finished"):
            (Path(folder) / "report.html").touch()
        if name in ("crashed", "finished", "unreported"):
            state = State.RUNNING if name == "crashed" else State.FINISHED
            (Path(folder) / "status.json").write_text(SessionStatus(state=state).model_dump_json())
    assert main(line.format(**folders).split()) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert message.format(**folders) in err and len(err.splitlines()) == 1
