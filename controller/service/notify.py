"""A message to whoever is away: the session stops, or waits for an answer.

Messages leave from a thread of their own; one that cannot be delivered is a line in the log and
nothing else.
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
    Event,
    Level,
    PromptOpened,
    Publish,
    State,
    StateChanged,
)
from controller.model.protocol import Notify
from controller.service.status import SessionStatus

WAITING_AT_MOST = 50
"""Messages not yet gone; more are dropped, and that is logged."""
LAST_WORDS_S = 15.0
"""How long the end of a session waits for what it still has to say."""
TOLD_STATES = (State.PAUSED, State.STOPPED, State.FAILED)
"""States that somebody away must know of."""


@dataclass(frozen=True)
class Message:
    """What is sent: a line, and what goes below it."""

    subject: str
    text: str


def message_of(event: Event, status: SessionStatus, session: str, folder: str) -> Message | None:
    """Return the message that an event is worth to somebody away; None for most events.

    Parameters
    ----------
    status
        Status after the event: its advice to the operator begins the subject.
    """
    advice = status.operator_state.value
    match event:
        case PromptOpened(prompt=prompt):
            answers = "\n".join(
                f"  dualtilt answer {prompt.id} {choice} --session {folder}"
                for choice in prompt.choices
            )
            how = f"The beam is blanked meanwhile. Answer on the screen, or:\n{answers}"
            subject = f"dualtilt {session}: {advice}: {prompt.title}"
            return Message(subject, f"{prompt.text}\n\n{how}")
        case StateChanged(state=State.FINISHED, reason=reason):
            return Message(
                f"dualtilt {session}: finished", f"{reason or 'all done'}\n\nSession in {folder}"
            )
        case StateChanged(state=state, reason=reason) if state in TOLD_STATES:
            return Message(
                f"dualtilt {session}: {advice}: {state.value}",
                f"{reason or 'no reason given'}\n\nSession in {folder}",
            )
        case Alerted(level=Level.ALARM, text=text, where=where):
            return Message(
                f"dualtilt {session}: {advice}: alarm", f"{where}: {text}\n\nSession in {folder}"
            )
    return None


class Notifier:
    """Sends what :func:`message_of` finds worth it, by the means the protocol names.

    Parameters
    ----------
    settings
        Where to.
    session, folder
        Named in the messages.
    publish
        Told of failures.
    """

    def __init__(self, settings: Notify, session: str, folder: str, publish: Publish) -> None:
        self._session, self._folder, self._publish = session, folder, publish
        self._means = _means(settings)
        self._waiting: queue.Queue[Message | None] = queue.Queue(WAITING_AT_MOST)
        self._thread = threading.Thread(target=self._deliver, name="notify", daemon=True)
        self._thread.start()

    def tell(self, event: Event, status: SessionStatus) -> None:
        """Send the message that an event is worth; never waits."""
        message = message_of(event, status, self._session, self._folder)
        if message is None:
            return
        try:
            self._waiting.put_nowait(message)
        except queue.Full:
            self._complain(f"{message.subject}: dropped, {WAITING_AT_MOST} others wait")

    def close(self) -> None:
        """Send what waits, as long as that takes no longer than `LAST_WORDS_S`."""
        try:
            self._waiting.put(None, timeout=LAST_WORDS_S)
        except queue.Full:
            return
        self._thread.join(LAST_WORDS_S)

    def _deliver(self) -> None:
        while (message := self._waiting.get()) is not None:
            for name, send in self._means.items():
                try:
                    send(message)
                except Exception as error:  # noqa: BLE001 -- whatever a server does, it is a log line
                    what = str(error).splitlines()[0] if str(error) else type(error).__name__
                    self._complain(f"not delivered by {name}: {what}")

    def _complain(self, text: str) -> None:
        self._publish(Alerted(level=Level.WARNING, text=text, where="notify"))


def _means(settings: Notify) -> dict[str, Callable[[Message], None]]:
    means: dict[str, Callable[[Message], None]] = {}
    if settings.webhook:
        means["webhook"] = lambda message: _post(settings, message)
    if settings.email_to:
        means["e-mail"] = lambda message: _mail(settings, message)
    return means


def _post(settings: Notify, message: Message) -> None:
    """POST JSON; `text` is what chat services show."""
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
    """Connect; with TLS only to the server that its certificate says it is."""
    host, port, timeout_s = settings.smtp_host, settings.smtp_port, settings.timeout_s
    trusted = ssl.create_default_context()  # smtplib's own would take any certificate
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
    """Return the value, or that of the environment's variable it names: ``env:NAME``.

    Raises
    ------
    LookupError
        There is no such variable.
    """
    name = value.removeprefix("env:")
    if name == value:
        return value
    if name not in os.environ:
        raise LookupError(f"the environment has no {name}: set it before the session is started")
    return os.environ[name]
