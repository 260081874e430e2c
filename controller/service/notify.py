"""Messages by e-mail or webhook to somebody away: the session stops, or needs a person.

A separate thread sends the messages. One that cannot be delivered becomes a line in the log.
"""

from __future__ import annotations

import queue
import threading

from controller.common.errors import quoted
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
from controller.model.sections.notify import Notify
from controller.service.message_channels import Message, NotDeliveredError, channels
from controller.service.session_status import SessionStatus
from controller.service.status_text import answer_words

MAX_QUEUED = 50
"""Largest number of unsent messages; more are dropped, with a line in the log."""
SEND_AT_END_S = 15.0
"""Longest wait for unsent messages at the end of a session (s)."""
NOTIFIED_STATES = (State.PAUSED, State.STOPPED, State.FAILED)
"""States with a message of their own, beside the end."""
NOTIFIED_ADVICE = (OperatorState.STOP_AT_END, OperatorState.STOP_NOW)
"""New advice to the operator that is worth a message."""


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
                f"  dualtilt answer {prompt.id} {answer_words(prompt, choice)} "
                f"--session {quoted(folder)}"
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
        self._channels = channels(settings)
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
                except NotDeliveredError as error:
                    self._warn(f"not delivered by {name}: {error}")

    def _warn(self, text: str) -> None:
        self._publish(Alerted(level=Level.WARNING, text=text, where="notify"))
