"""Messages by e-mail or webhook to somebody away: the session stops, or needs a person.

A separate thread sends the messages. One that cannot be delivered becomes a line in the log.
"""

from __future__ import annotations

import json
import os
import queue
import smtplib
import ssl
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage

from controller.model.events import (
    Alerted,
    Level,
    OperatorState,
    PromptOpened,
    Publish,
    Record,
    State,
    StateChanged,
)
from controller.model.protocol import Notify
from controller.service.session_status import SessionStatus

MAX_QUEUED = 50
"""Largest number of unsent messages; more are dropped, with a line in the log."""
SEND_AT_END_S = 15.0
"""Longest wait for unsent messages at the end of a session (s)."""
NOTIFIED_STATES = (State.PAUSED, State.STOPPED, State.FAILED)
"""States with a message of their own, beside the end."""
NOTIFIED_ADVICE = (OperatorState.STOP_AT_END, OperatorState.STOP_NOW)
"""New advice to the operator that is worth a message."""


@dataclass(frozen=True)
class Message:
    """A message: its subject and its text."""

    subject: str
    text: str


def message_of(record: Record, status: SessionStatus, session: str, folder: str) -> Message | None:
    """Return the message about an event for somebody away; None for most events.

    Parameters
    ----------
    status
        Status after the event: its advice to the operator begins the subject.
    """
    advice = status.operator_state.value
    match record.event:
        case PromptOpened(prompt=prompt):
            answers = "\n".join(
                f"  dualtilt answer {prompt.id} {choice} --session {folder}"
                for choice in prompt.choices
            )
            how = f"The beam is blanked. Answer on the screen, or with:\n{answers}"
            subject = f"dualtilt {session}: {advice}: {prompt.title}"
            return Message(subject, f"{prompt.text}\n\n{how}")
        case StateChanged(state=State.FINISHED, reason=reason):
            return Message(
                f"dualtilt {session}: {advice}: finished",
                f"{reason or 'all done'}\n\nSession in {folder}",
            )
        case StateChanged(state=state, reason=reason) if state in NOTIFIED_STATES:
            return Message(
                f"dualtilt {session}: {advice}: {state.value}",
                f"{reason or 'no reason given'}\n\nSession in {folder}",
            )
        case Alerted(level=Level.ALARM, text=text, where=where):
            return Message(
                f"dualtilt {session}: {advice}: alarm", f"{where}: {text}\n\nSession in {folder}"
            )
    if record.advice in NOTIFIED_ADVICE:
        return Message(
            f"dualtilt {session}: {advice}", f"{status.operator_reason}\n\nSession in {folder}"
        )
    return None


class Notifier:
    """Sends the messages of :func:`message_of` by e-mail and webhook.

    Parameters
    ----------
    settings
        Addresses and servers.
    session, folder
        Name and folder of the session, for the messages.
    publish
        Function that publishes failures as warnings.
    """

    def __init__(self, settings: Notify, session: str, folder: str, publish: Publish) -> None:
        self._session, self._folder, self._publish = session, folder, publish
        self._channels = _channels(settings)
        self._queue: queue.Queue[Message | None] = queue.Queue(MAX_QUEUED)
        self._thread = threading.Thread(target=self._deliver, name="notify", daemon=True)
        self._thread.start()

    def notify(self, record: Record, status: SessionStatus) -> None:
        """Queue the message about an event, if it has one; never waits."""
        message = message_of(record, status, self._session, self._folder)
        if message is None:
            return
        try:
            self._queue.put_nowait(message)
        except queue.Full:
            self._warn(f"{message.subject}: dropped: {MAX_QUEUED} messages are not sent yet")

    def close(self) -> None:
        """Send the queued messages, for at most `SEND_AT_END_S`."""
        try:
            self._queue.put(None, timeout=SEND_AT_END_S)
        except queue.Full:
            return
        self._thread.join(SEND_AT_END_S)

    def _deliver(self) -> None:
        while (message := self._queue.get()) is not None:
            for name, send in self._channels.items():
                try:
                    send(message)
                except Exception as error:  # noqa: BLE001 -- any error of a server becomes a log line
                    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                    self._warn(f"not delivered by {name}: {reason}")

    def _warn(self, text: str) -> None:
        self._publish(Alerted(level=Level.WARNING, text=text, where="notify"))


def _channels(settings: Notify) -> dict[str, Callable[[Message], None]]:
    channels: dict[str, Callable[[Message], None]] = {}
    if settings.webhook:
        channels["webhook"] = lambda message: _post(settings, message)
    if settings.email_to:
        channels["e-mail"] = lambda message: _mail(settings, message)
    return channels


def _post(settings: Notify, message: Message) -> None:
    """POST the message as JSON; chat services show `text`."""
    body = {"text": f"{message.subject}\n{message.text}", "subject": message.subject}
    request = urllib.request.Request(
        _secret(settings.webhook),
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=settings.timeout_s):
        pass


def _mail(settings: Notify, message: Message) -> None:
    mail = EmailMessage()
    mail["Subject"] = message.subject
    mail["From"] = settings.email_from
    mail["To"] = ", ".join(settings.email_to)
    mail.set_content(message.text)
    with _mail_server(settings) as smtp:
        if settings.smtp_user:
            smtp.login(settings.smtp_user, _secret(settings.smtp_password))
        smtp.send_message(mail)


def _mail_server(settings: Notify) -> smtplib.SMTP:
    """Connect; with TLS, only to a server with a valid certificate."""
    host, port, timeout_s = settings.smtp_host, settings.smtp_port, settings.timeout_s
    trusted = ssl.create_default_context()  # smtplib's default accepts any certificate
    if settings.smtp_security == "tls":
        return smtplib.SMTP_SSL(host, port, timeout=timeout_s, context=trusted)
    smtp = smtplib.SMTP(host, port, timeout=timeout_s)
    if settings.smtp_security == "starttls":
        try:
            smtp.starttls(context=trusted)
        except BaseException:
            smtp.close()
            raise
    return smtp


def _secret(value: str) -> str:
    """Return the value, or the environment variable that it names as ``env:NAME``.

    Raises
    ------
    LookupError
        If there is no such variable.
    """
    name = value.removeprefix("env:")
    if name == value:
        return value
    if name not in os.environ:
        raise LookupError(f"environment variable {name} is not set: set it before the session")
    return os.environ[name]
