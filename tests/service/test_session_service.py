"""A service and its clients over a real socket."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from controller.model.commands import Answer, StopWhen
from controller.model.events import PreviewReady, PromptOpened, Record, State, StateChanged
from controller.service import session_server
from controller.service.session_client import ServiceClient, SessionGoneError
from controller.service.session_server import SessionService
from controller.service.status_file import last_status
from tests.service.served_session import Session
from tests.support import scripted_session as script
from tests.support.recording_engine import RecordingEngine


def test_publishing_never_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[Record] = []
    service = SessionService(tmp_path, log.append)

    def refuse(item: object) -> None:
        raise MemoryError

    def refuse_to_log(*_: object) -> None:
        raise ValueError("I/O operation on closed file")

    with monkeypatch.context() as broken:
        broken.setattr(service, "_queue", SimpleNamespace(put=refuse))
        service.publish(StateChanged(state=State.RUNNING))
        broken.setattr(session_server._log, "exception", refuse_to_log)
        service.publish(StateChanged(state=State.RUNNING))
    service.publish(StateChanged(state=State.PAUSED, reason="later"))
    service.close(ExitCode.OK)
    assert [record.event.reason for record in log] == ["later"]  # type: ignore[union-attr]


def test_a_listener_that_fails_stops_no_later_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[Record] = []
    service = SessionService(tmp_path, log.append)

    def fail(record: Record, status: object) -> None:
        raise RuntimeError("a listener's own mistake")

    service.listeners.append(fail)
    monkeypatch.setattr(session_server._log, "exception", fail)  # a thread must not end by this
    for reason in ("one", "two"):
        service.publish(StateChanged(state=State.PAUSED, reason=reason))
    service.close(ExitCode.OK)
    assert [record.event.reason for record in log] == ["one", "two"]  # type: ignore[union-attr]


def test_a_client_sees_what_was_published(session: Session) -> None:
    session.publish_all(script.whole(session.folder))
    with ServiceClient.connect(session.folder) as client:
        status = client.status()
        records = client.events_after(-1) + client.events_after(499)
    assert status == session.service.store.status
    assert status.state is State.FINISHED
    assert [record.seq for record in records] == list(range(len(session.log)))
    assert records == session.log


def test_a_waiting_client_is_woken_by_an_event(session: Session) -> None:
    session.publish_all(iter([StateChanged(state=State.RUNNING)]))
    with ServiceClient.connect(session.folder) as client:
        assert client.events_after(0) == []
        session.service.publish(StateChanged(state=State.PAUSED, reason="asked"))
        [record] = client.events_after(0, wait_s=5.0)
    assert record.event == StateChanged(state=State.PAUSED, reason="asked")


def test_commands_reach_the_engine(session: Session) -> None:
    session.publish_all(iter([PromptOpened(prompt=script.FLIP_PROMPT)]))
    with ServiceClient.connect(session.folder) as client:
        client.pause()
        client.stop(StopWhen.AT_END_OF_SERIES)
        client.answer(Answer(prompt_id="flip", value="done"))
        client.go_on()
        session.engine.refusal = "not in a move"
        with pytest.raises(UsageError, match="not in a move"):
            client.pause()
    answer = Answer(prompt_id="flip", value="done")
    assert session.engine.commands == ["pause", StopWhen.AT_END_OF_SERIES, answer, "go on"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(Answer(prompt_id="flip", value="done"), "not 'flip'", id="another prompt"),
        pytest.param(
            Answer(prompt_id="flip-check", value="yes"), "not a choice", id="not a choice"
        ),
        pytest.param(
            Answer(prompt_id="flip-check", value="override", reason=" "), "reason", id="no reason"
        ),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(
    session: Session, answer: Answer, message: str
) -> None:
    session.publish_all(iter([PromptOpened(prompt=script.FLIP_CHECK_PROMPT)]))
    with (
        ServiceClient.connect(session.folder) as client,
        pytest.raises(UsageError, match=message),
    ):
        client.answer(answer)
    assert session.engine.commands == []


def test_an_answer_to_a_paused_session_names_the_command_that_goes_on(session: Session) -> None:
    paused = StateChanged(state=State.PAUSED, reason="No space left on device")
    session.publish_all(iter([paused]))
    with (
        ServiceClient.connect(session.folder) as client,
        pytest.raises(UsageError, match=r"No space left on device.*dualtilt pause --go-on"),
    ):
        client.answer(Answer(prompt_id="flip", value="done"))


def test_many_clients_at_once(session: Session) -> None:
    session.publish_all(script.preflight())
    clients = [ServiceClient.connect(session.folder) for _ in range(12)]
    assert {client.status().seq for client in clients} == {session.log_seq()}
    for client in clients:
        client.close()


def test_pictures_come_reduced_to_the_size_asked_for(session: Session) -> None:
    session.publish_all(script.write_previews(session.folder))
    with ServiceClient.connect(session.folder) as client:
        whole = client.picture("frame", 1000)
        small = client.picture("frame", 64)
        unknown = client.picture("no-such-view", 64)
    assert whole is not None and small is not None and unknown is None
    np.testing.assert_array_equal(whole, script.picture(176, 8.0))
    assert small.shape == (58, 58)
    assert abs(float(small.mean()) - float(whole[:174, :174].mean())) < 1.0


@pytest.mark.parametrize("path", ["../outside.npy", "previews/missing.npy", "previews/text.npy"])
def test_an_unreadable_picture_is_none(session: Session, path: str) -> None:
    np.save(session.folder.parent / "outside.npy", script.picture(32))
    (session.folder / "previews").mkdir()
    (session.folder / "previews" / "text.npy").write_text("no picture")
    session.publish_all(iter([PreviewReady(view="frame", path=path)]))
    with ServiceClient.connect(session.folder) as client:
        assert client.picture("frame", 64) is None


def test_exit_code_and_reason_are_on_disk_after_the_end(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").touch()
    service = SessionService(tmp_path, lambda record: None)
    service.serve(RecordingEngine())
    client = ServiceClient.connect(tmp_path)
    service.publish(StateChanged(state=State.FAILED, reason="the flip was refused"))
    service.close(ExitCode.SAFETY)
    with pytest.raises(SessionGoneError, match="process is gone"):
        client.status()
    status = last_status(tmp_path)
    assert status is not None
    assert (status.exit_code, status.reason) == (ExitCode.SAFETY, "the flip was refused")
    with pytest.raises(UsageError, match="dualtilt resume"):
        ServiceClient.connect(tmp_path)


def test_a_resumed_session_continues_the_sequence_numbers(tmp_path: Path) -> None:
    past = script.records(script.preflight())
    log: list[Record] = []
    service = SessionService(tmp_path, log.append, past)
    service.publish(StateChanged(state=State.RUNNING))
    service.close(ExitCode.OK)
    assert [record.seq for record in log] == [len(past)]
    assert len(service.store.status.checks) == len(past) - 3  # all but phase, state and beam


def test_a_full_disk_does_not_reach_the_engine(tmp_path: Path) -> None:
    def full(record: Record) -> None:
        raise OSError(28, "No space left on device")

    service = SessionService(tmp_path, full)
    service.publish(StateChanged(state=State.RUNNING))
    service.close(ExitCode.OK)
    assert service.store.status.state is State.RUNNING
