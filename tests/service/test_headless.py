"""A session followed as text."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from controller.common.errors import DualtiltError, UsageError
from controller.common.exit_codes import ExitCode
from controller.model.events import (
    RECORD,
    Alerted,
    Event,
    Level,
    ProcessingProgressed,
    Record,
    State,
    StateChanged,
)
from controller.service import session_client
from controller.service.session_client import ServiceClient, SessionGoneError
from controller.service.session_server import SessionService
from controller.session.event_log import read_events
from controller.session.folder import SessionFolder
from controller.session.folder_lock import FolderLock
from controller.ui import headless
from controller.ui.headless import follow, follow_results
from tests.support import scripted_session as script
from tests.support.recording_engine import RecordingEngine

HOLDS_LOCK = """
import pathlib, sys
from controller.session.folder import SessionFolder
from controller.session.folder_lock import FolderLock
with FolderLock(SessionFolder(pathlib.Path(sys.argv[1]))):
    print("held", flush=True)
    input()
"""


class Terminal(io.StringIO):
    """Stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def log_to(folder: Path) -> SessionService:
    def append(record: Record) -> None:
        with (folder / "events.jsonl").open("ab") as file:
            file.write(RECORD.dump_json(record) + b"\n")

    return SessionService(folder, append, read_events(folder / "events.jsonl"))


def follow_all(
    folder: Path, events: Iterator[Event], code: ExitCode, out: io.StringIO
) -> tuple[ExitCode, list[str]]:
    """Follow a session that publishes everything at once and then ends."""
    service = log_to(folder)
    service.serve(RecordingEngine())
    codes: list[ExitCode] = []
    follower = threading.Thread(target=lambda: codes.append(follow(folder, threading.Event(), out)))
    follower.start()
    for event in events:
        service.publish(event)
    service.close(code)
    follower.join(timeout=60.0)
    return codes[0], out.getvalue().splitlines()


def test_one_line_for_each_event_of_interest(tmp_path: Path) -> None:
    code, lines = follow_all(tmp_path, script.whole(tmp_path), ExitCode.OK, io.StringIO())
    text = "\n".join(lines)
    assert code is ExitCode.OK
    assert "au-assembly started on simulator (SIM): 73 + 74 tilts" in lines[0]
    assert sum("A#" in line and "counts" in line for line in lines) == 73
    assert sum("B#" in line and "counts" in line for line in lines) == 74
    assert "?  Flip the grid: dualtilt answer flip done | stop" in text
    assert "!  frame is off the centre by 4.1 px, limit 4.0: retaking it (A#37)" in text
    assert "particles fused: 7116 ± 5, d 6.30 nm" in text
    fused = [line.split(maxsplit=1)[1] for line in lines if " fuse: " in line]
    assert fused[::3] == [
        "fuse: registration 10%",
        "fuse: registration 40%",
        "fuse: Haar fusion 70%",
        "fuse: SSR 100%",
    ]
    assert lines[-1].endswith("finished")


@pytest.mark.parametrize(
    ("silence", "printed"),
    [
        pytest.param(timedelta(hours=1), 1, id="soon"),
        pytest.param(timedelta(0), 5, id="after a long silence"),
    ],
)
def test_a_job_that_goes_on_is_named_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silence: timedelta, printed: int
) -> None:
    monkeypatch.setattr(headless, "LONGEST_SILENCE", silence)
    goes_on = [
        ProcessingProgressed(job="A", stage="sphere fit", fraction=0.80 + 0.01 * i)
        for i in range(5)
    ]
    events = iter([script.started(tmp_path), *goes_on])
    _, lines = follow_all(tmp_path, events, ExitCode.INTERRUPTED, io.StringIO())
    assert sum("A: sphere fit" in line for line in lines) == printed


def test_a_pause_names_the_command_that_ends_it(tmp_path: Path) -> None:
    paused = StateChanged(state=State.PAUSED, reason="No space left on device")
    events = iter([script.started(tmp_path), paused])
    _, lines = follow_all(tmp_path, events, ExitCode.INTERRUPTED, io.StringIO())
    assert any("No space left on device" in line and "pause --go-on" in line for line in lines)


def test_bars_on_a_terminal_and_lines_for_other_events(tmp_path: Path) -> None:
    code, lines = follow_all(tmp_path, script.whole(tmp_path), ExitCode.OK, Terminal())
    text = "\n".join(lines)
    assert code is ExitCode.OK
    assert "series A" in text and "73/73" in text and "74/74" in text
    assert "particles fused: 7116 ± 5" in text
    assert not any("A#41/73" in line for line in lines)


@pytest.mark.parametrize(
    "code", [ExitCode.SAFETY, ExitCode.PROCESSING_FAILED, ExitCode.INTERRUPTED]
)
def test_it_returns_the_session_s_exit_code(tmp_path: Path, code: ExitCode) -> None:
    failed = iter([script.started(tmp_path), StateChanged(state=State.FAILED, reason="why")])
    assert follow_all(tmp_path, failed, code, io.StringIO())[0] is code


def test_a_resumed_session_is_shown_from_its_present_run(tmp_path: Path) -> None:
    past = script.records(iter([script.started(tmp_path), *script.preflight()]))
    service = SessionService(tmp_path, lambda record: None, past)
    service.serve(RecordingEngine())
    service.publish(script.started(tmp_path).model_copy(update={"resumed": True}))
    out = io.StringIO()
    follower = threading.Thread(target=follow, args=(tmp_path, threading.Event(), out))
    follower.start()
    while "resumed" not in out.getvalue():
        assert follower.is_alive()
    service.close(ExitCode.OK)
    follower.join(timeout=60.0)
    assert "resumed" in out.getvalue().splitlines()[0]


def test_a_session_that_vanishes_leaves_one_line(tmp_path: Path) -> None:
    service = log_to(tmp_path)
    service.serve(RecordingEngine())
    service.publish(StateChanged(state=State.PAUSED, reason="for a test"))
    raised: list[DualtiltError] = []
    shown = io.StringIO()

    def watch() -> None:
        try:
            follow(tmp_path, threading.Event(), shown)
        except DualtiltError as error:
            raised.append(error)

    follower = threading.Thread(target=watch)
    follower.start()
    deadline_s = time.monotonic() + 60.0
    while not shown.getvalue():  # then it is connected
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    # killed: the connections end, and nothing is written
    assert service._daemon is not None
    service._daemon.shutdown()
    follower.join(timeout=60.0)
    assert f"dualtilt resume {tmp_path}" in str(raised[0])
    service.close(ExitCode.OK)


def test_a_session_that_does_not_answer_for_a_while_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_client, "TIMEOUT_S", 0.5)
    monkeypatch.setattr(headless, "WAIT_S", 0.05)
    service, answers, out = log_to(tmp_path), threading.Event(), io.StringIO()
    status_json = service.store.status_json
    ended: list[ExitCode | str] = []

    def answer_late() -> str:
        answers.wait()
        return status_json()

    def watch() -> None:
        try:
            ended.append(follow(tmp_path, threading.Event(), out))
        except DualtiltError as error:
            ended.append(str(error))

    monkeypatch.setattr(service.store, "status_json", answer_late)
    with FolderLock(SessionFolder(tmp_path)):
        service.serve(RecordingEngine())
        service.publish(script.started(tmp_path))
        follower = threading.Thread(target=watch)
        follower.start()
        deadline_s = time.monotonic() + 60.0
        while "waiting until it answers" not in out.getvalue() and follower.is_alive():
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        time.sleep(1.5)  # it does not answer the next attempts either
        answers.set()
        service.publish(Alerted(level=Level.WARNING, text="the last line"))
        service.close(ExitCode.SAFETY)
        follower.join(timeout=60.0)
    assert ended == [ExitCode.SAFETY]
    assert out.getvalue().count("waiting until it answers") == 1
    assert "the last line" in out.getvalue().splitlines()[-1]


def test_no_session_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no session"):
        follow(tmp_path, threading.Event(), io.StringIO())


def test_ctrl_c_leaves_the_session_running(tmp_path: Path) -> None:
    service = SessionService(tmp_path, lambda record: None)
    address = service.serve(RecordingEngine())
    interrupted = threading.Event()
    interrupted.set()
    try:
        with pytest.raises(KeyboardInterrupt):
            follow(address.folder, interrupted, io.StringIO())
        with ServiceClient.connect(address.folder) as client:
            assert client.status().exit_code is None
    finally:
        service.close(ExitCode.OK)


@pytest.mark.parametrize("killed", [False, True], ids=["to its end", "killed"])
def test_the_process_of_the_results_is_followed_in_the_folder(tmp_path: Path, killed: bool) -> None:
    out, ends = io.StringIO(), threading.Event()
    service = log_to(tmp_path)
    for event in script.whole(tmp_path):
        service.publish(event)
    service.close(ExitCode.OK)
    again = log_to(tmp_path)
    again.publish(StateChanged(state=State.RUNNING))
    again.publish(Alerted(level=Level.INFO, text="fusing"))
    again.flush()  # its events are in the folder before anyone follows
    codes: list[object] = []

    def show() -> None:
        try:
            codes.append(follow_results(tmp_path, ends, out))
        except SessionGoneError as gone:
            codes.append(str(gone))

    command = [sys.executable, "-c", HOLDS_LOCK, tmp_path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as works:
        assert works.stdout is not None and works.stdout.readline()
        follower = threading.Thread(target=show)
        follower.start()
        while "fusing" not in out.getvalue():
            time.sleep(0.01)
        again.publish(Alerted(level=Level.INFO, text="the last line"))
        again.flush()
        if not killed:
            again.close(ExitCode.PROCESSING_FAILED)
        works.communicate(b"\n")
    follower.join(timeout=60.0)
    shown = out.getvalue().splitlines()
    assert "fusing" in shown[1] and "the last line" in shown[-1]
    if killed:
        assert "`dualtilt resume" in str(codes[0])
    else:
        assert codes == [ExitCode.PROCESSING_FAILED]
