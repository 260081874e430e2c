"""Messages to somebody away: which events, by which channels; a dead server does no harm."""

from __future__ import annotations

import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from controller.bridge.tls import make_certs
from controller.common.errors import UsageError
from controller.model.events import (
    Alerted,
    Event,
    Level,
    PauseCause,
    Phase,
    PhaseStarted,
    ProcessingFailed,
    PromptOpened,
    Record,
    State,
    StateChanged,
)
from controller.model.prompts import Prompt
from controller.model.protocol import read_protocol
from controller.model.sections.notify import Notify
from controller.service.notify import Notifier, message_of
from controller.service.session_status import SessionStatus
from controller.service.session_store import SessionStore
from controller.session.recovery import journaled_protocol

PROMPT = PromptOpened(
    prompt=Prompt(id="flip", title="Flip the grid", text="1. Retract", choices=("done", "stop"))
)

FAILED = ProcessingFailed(job="A", reason="no memory")
REFUSED = ProcessingFailed(job="fuse", reason="B is A", refused=True)


def after(*events: Event) -> tuple[Record, SessionStatus]:
    """Return the last record, with the advice it changed, and the status after it."""
    store = SessionStore()
    for i, event in enumerate(events):
        record = store.add(Record(seq=i, at="2026-01-22T19:00:00+01:00", event=event))
    return record, store.status


class Mailbox(socketserver.StreamRequestHandler):
    """SMTP server with the commands that a message needs."""

    def handle(self) -> None:
        self.wfile.write(b"220 ready\r\n")
        while line := self.rfile.readline():
            verb = line.split()[0].upper() if line.split() else b""
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                text = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    text += part
                self.server.received.append(text.decode())  # type: ignore[attr-defined]
            self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 well\r\n")


class SelfSignedMailbox(Mailbox):
    """The same server with a self-signed certificate."""

    def setup(self) -> None:
        with suppress(OSError):
            self.request = self.server.context.wrap_socket(self.request, server_side=True)  # type: ignore[attr-defined]
        super().setup()

    def handle(self) -> None:
        with suppress(OSError):
            super().handle()

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()


class Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(json.loads(body)["text"])  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[tuple[int, list[str]]]:
    server.received = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1], server.received  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def send(settings: Notify, *events: Event) -> list[Event]:
    """Notify about the events; return the published failures."""
    published: list[Event] = []
    notifier = Notifier(settings, "au", "/data/au", published.append)
    for event in events:
        notifier.notify(*after(event))
    notifier.close()
    return published


def test_a_webhook_gets_the_prompt() -> None:
    with serving(HTTPServer(("127.0.0.1", 0), Hook)) as (port, received):
        assert send(Notify(webhook=f"http://127.0.0.1:{port}/x"), PROMPT) == []
    assert "dualtilt answer flip done --session /data/au" in received[0]
    assert "dualtilt au: YOUR TURN: Flip the grid" in received[0]


def test_a_secret_address_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(HTTPServer(("127.0.0.1", 0), Hook)) as (port, received):
        monkeypatch.setenv("SECRET_HOOK", f"http://127.0.0.1:{port}/secret")
        assert send(Notify(webhook="env:SECRET_HOOK"), PROMPT) == []
    assert len(received) == 1


def test_an_email_is_sent() -> None:
    with serving(socketserver.TCPServer(("127.0.0.1", 0), Mailbox)) as (port, received):
        settings = Notify(
            email_to=("one@x.org", "two@x.org"),
            email_from="titan@x.org",
            smtp_host="127.0.0.1",
            smtp_port=port,
        )
        assert send(settings, StateChanged(state=State.FAILED, reason="the gun is off")) == []
    assert "Subject: dualtilt au: STOP NOW: failed" in received[0]
    assert "To: one@x.org, two@x.org" in received[0]
    assert "the gun is off" in received[0]


def test_a_mail_server_with_an_invalid_certificate_gets_nothing(tmp_path: Path) -> None:
    make_certs(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "bridge" / "cert.pem", tmp_path / "bridge" / "key.pem")
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), SelfSignedMailbox)
    server.daemon_threads, server.context = True, context  # type: ignore[attr-defined]
    with serving(server) as (port, received):
        settings = Notify(
            email_to=("one@x.org",),
            email_from="titan@x.org",
            smtp_host="localhost",
            smtp_port=port,
            smtp_security="tls",
        )
        (published,) = send(settings, PROMPT)
    assert isinstance(published, Alerted)
    assert "CERTIFICATE_VERIFY_FAILED" in published.text
    assert received == []


@dataclass(frozen=True)
class Case:
    name: str
    events: tuple[Event, ...]
    subject: str | None


CASES = [
    Case("a prompt", (PROMPT,), "YOUR TURN: Flip the grid"),
    Case(
        "a pause",
        (StateChanged(state=State.PAUSED, reason="valves closed"),),
        "YOUR TURN: paused",
    ),
    Case(
        "a pause that ends by itself",
        (StateChanged(state=State.PAUSED, reason="no beam", pause_cause=PauseCause.PASSING),),
        "WAIT: paused",
    ),
    Case("a stop", (StateChanged(state=State.STOPPED),), "GOOD: stopped"),
    Case("the end", (StateChanged(state=State.FINISHED),), "GOOD: finished"),
    Case(
        "an alarm",
        (Alerted(level=Level.ALARM, text="stuck", where="A-004"),),
        "STOP NOW: alarm",
    ),
    Case("failed processing", (FAILED,), "STOP AT END"),
    Case("a refused merge", (REFUSED,), "STOP NOW"),
    Case("the same advice again", (FAILED, FAILED), None),
    Case("a warning", (Alerted(level=Level.WARNING, text="retaken"),), None),
    Case("running", (StateChanged(state=State.RUNNING),), None),
    Case("a phase", (PhaseStarted(phase=Phase.A),), None),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_which_events_send_a_message(case: Case) -> None:
    message = message_of(*after(*case.events), "au", "/data/au")
    if case.subject is None:
        assert message is None
    else:
        assert message is not None and case.subject in message.subject


def test_a_server_that_is_not_there_is_a_line_in_the_log() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    published = send(Notify(webhook=f"http://127.0.0.1:{port}/"), PROMPT)
    assert [type(event) for event in published] == [Alerted]
    assert "not delivered by webhook" in published[0].text  # type: ignore[union-attr]


def test_a_variable_that_is_not_set_is_named() -> None:
    published = send(Notify(webhook="env:NO_SUCH_HOOK"), PROMPT)
    assert "NO_SUCH_HOOK" in published[0].text  # type: ignore[union-attr]


SECRET = "T0P/hushhush"
NO_ADDRESS = "its address must begin with http:// or https:// and have no spaces"
BAD_ADDRESSES = {
    "without a scheme": (f"hooks.example.org/{SECRET}", NO_ADDRESS),
    "with a space": (f"http://127.0.0.1:9/{SECRET} x", NO_ADDRESS),
    "with a newline": (f"http://127.0.0.1:9/{SECRET}\n", NO_ADDRESS),
    "with a line separator": (f"http://127.0.0.1:9/{SECRET}\u2028x", NO_ADDRESS),
    "of another scheme": (f"file:///etc/{SECRET}", NO_ADDRESS),
    "a data address": (f"data:,{SECRET}", NO_ADDRESS),
    "without a host": (f"http:///{SECRET}", NO_ADDRESS),
    "with a bad port": (f"http://127.0.0.1:hushhush/{SECRET}", "InvalidURL"),
    "with a password": ("HTTP://user:hushhush@127.0.0.1:9/", "must not hold a user or password"),
    "with other letters": (f"http://127.0.0.1:9/{SECRET}ü", "must be plain ASCII"),
    "of no address": (f"[{SECRET}", NO_ADDRESS),
    "of nobody": (f"http://127.0.0.1:9/{SECRET}", "refused"),
}


@pytest.mark.parametrize("name", BAD_ADDRESSES)
def test_a_bad_address_is_reported_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    address, reason = BAD_ADDRESSES[name]
    monkeypatch.setenv("SECRET_HOOK", address)
    (published,) = send(Notify(webhook="env:SECRET_HOOK"), PROMPT)
    assert isinstance(published, Alerted)
    assert "not delivered by webhook" in published.text
    assert reason in published.text
    assert "hushhush" not in published.text
    assert "\n" not in published.text


class Redirect(Hook):
    def do_POST(self) -> None:
        self.send_response(302)
        self.send_header("Location", f"http://127.0.0.1:{self.server.elsewhere}/{SECRET}")  # type: ignore[attr-defined]
        self.end_headers()

    do_GET = do_POST


def test_a_redirect_is_not_followed_and_not_delivered() -> None:
    with (
        serving(HTTPServer(("127.0.0.1", 0), Hook)) as (elsewhere, received),
        serving(redirecting := HTTPServer(("127.0.0.1", 0), Redirect)) as (port, _),
    ):
        redirecting.elsewhere = elsewhere  # type: ignore[attr-defined]
        (published,) = send(Notify(webhook=f"http://127.0.0.1:{port}/x"), PROMPT)
    assert received == []
    assert isinstance(published, Alerted)
    assert "answers 302, and redirects are not followed" in published.text
    assert "hushhush" not in published.text


def test_secrets_of_a_protocol_are_never_printed_or_journaled(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    scan = "[scan]\nwidth_px = 64\nheight_px = 64\npixel_nm = 1.0\ndwell_us = 1.0\n"
    path.write_text(f'name = "au"\n{scan}[notify]\nwebhook = "https://x.org/{SECRET}"\n')
    protocol = read_protocol(path)
    shown = f"{protocol!r} {protocol} {journaled_protocol(protocol)} {protocol.model_dump_json()}"
    assert "hushhush" not in shown
    assert protocol.notify.webhook.get_secret_value().endswith(SECRET)


def test_a_silent_server_delays_nothing() -> None:
    """The server accepts and never answers: messages beyond the queue are dropped and logged."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = Notify(webhook=f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout_s=0.3)
        published: list[Event] = []
        notifier = Notifier(settings, "au", "/data/au", published.append)
        for _ in range(200):
            notifier.notify(*after(PROMPT))
    assert any("dropped" in event.text for event in published if isinstance(event, Alerted))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"webhook": "file:///etc/passwd"}, "webhook"),
        ({"email_to": ["a@b.org"]}, "email_to needs email_from and smtp_host"),
        ({"smtp_password": "hunter2"}, "smtp_password"),
        ({"smtp_user": "titan"}, "smtp_user needs smtp_security"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Notify.model_validate(settings)


def test_a_password_in_the_protocol_is_refused_without_printing_it(tmp_path: Path) -> None:
    protocol = tmp_path / "p.toml"
    protocol.write_text('name = "au"\n[notify]\nsmtp_password = "hunter2"\n')
    with pytest.raises(UsageError, match=r"notify\.smtp_password: must be env:NAME") as refused:
        read_protocol(protocol)
    assert "hunter2" not in str(refused.value)
