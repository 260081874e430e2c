"""Objects that clients call over the socket: one to read, one to command.

Replies are JSON text. The reply to a command is empty, or one line with the reason of a refusal.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError
from Pyro5.callcontext import current_context
from Pyro5.server import expose

from controller.common.errors import DualtiltError
from controller.common.open_inside import LinkRefusedError
from controller.model.commands import Answer, StopWhen
from controller.model.events import State
from controller.service import status_text
from controller.service.previews import read_preview
from controller.service.session_status import SessionStatus
from controller.service.session_store import SessionStore

VIEW = "dualtilt.session.view"
CONTROL = "dualtilt.session.control"
PIXELS = "PIXL"
"""Name of the annotation that carries the bytes of a picture."""
MAX_WAIT_S = 5.0
"""Longest wait for a new record in one call (s)."""
RECORDS_AT_ONCE = 500
"""Largest number of records in one reply."""


class SessionCommands(Protocol):
    """Commands that the service gives to the engine; thread-safe, they return at once."""

    def pause(self) -> None:
        """Pause after the current step, beam blanked."""

    def go_on(self) -> None:
        """Continue after a pause."""

    def stop(self, when: StopWhen) -> None:
        """Stop now, after this tilt or at the end of the series."""

    def answer(self, answer: Answer) -> None:
        """Answer the open prompt."""

    def retake(self, count: int) -> None:
        """Record the last tilts again."""

    def complete(self) -> None:
        """Record all tilts of the series."""


@expose
class SessionView:
    """Reading only: a read-only client finds no command here."""

    def __init__(self, store: SessionStore, folder: Path) -> None:
        self._store = store
        self._folder = folder

    def status(self) -> str:
        """Return the SessionStatus."""
        return self._store.status_json()

    def events_after(self, seq: int, wait_s: float) -> list[str]:
        """Return records newer than `seq`, oldest first; wait up to `wait_s` for the first."""
        wait_s = min(max(float(wait_s), 0.0), MAX_WAIT_S)
        records = self._store.records_after(int(seq), RECORDS_AT_ONCE, wait_s)
        return [record.model_dump_json() for record in records]

    def picture(self, view: str, max_side_px: int) -> list[int] | None:
        """Return the shape of a preview, None without one; its pixels go in an annotation."""
        preview = self._store.status.previews.get(str(view))
        if preview is None:
            return None
        try:
            pixels = read_preview(self._folder, preview.path, min(max(int(max_side_px), 16), 8192))
        except (OSError, ValueError, LinkRefusedError):
            return None  # not written yet, or removed: wait for the next preview
        current_context.response_annotations = {PIXELS: pixels.tobytes()}
        return list(pixels.shape)


@expose
class SessionControl(SessionView):
    """Reading and commanding."""

    def __init__(self, store: SessionStore, folder: Path, commands: SessionCommands) -> None:
        super().__init__(store, folder)
        self._commands = commands

    def pause(self) -> str:
        """Pause after the current step."""
        return _refusal(self._commands.pause)

    def go_on(self) -> str:
        """Continue after a pause."""
        return _refusal(self._commands.go_on)

    def stop(self, when: str) -> str:
        """Stop; `when` is a StopWhen."""
        return _refusal(lambda: self._commands.stop(StopWhen(when)))

    def retake(self, count: int) -> str:
        """Record the last `count` tilts again."""
        return _refusal(lambda: self._commands.retake(int(count)))

    def complete(self) -> str:
        """Record all tilts of the series, also those that a settled count makes unnecessary."""
        return _refusal(self._commands.complete)

    def answer(self, answer_json: str) -> str:
        """Answer the open prompt; the argument is an Answer as JSON."""
        try:
            answer = Answer.model_validate_json(answer_json)
        except ValidationError as error:
            return f"not an answer: {json.dumps(error.errors()[0]['msg'])}"
        return check_answer(self._store.status, answer) or _refusal(
            lambda: self._commands.answer(answer)
        )


def check_answer(status: SessionStatus, answer: Answer) -> str:
    """Return the reason why an answer does not fit the open prompt; empty if it fits."""
    prompt = status.prompt
    if prompt is None and status.state is State.PAUSED:
        command = status_text.go_on_command(status.paused_session)
        return f"no prompt is open; the session is paused ({status.reason}): {command}"
    if prompt is None:
        return f"no prompt is open: {answer.prompt_id!r} needs no answer now"
    if answer.prompt_id != prompt.id:
        return f"the open prompt is '{prompt.id}', not {answer.prompt_id!r}"
    if answer.value not in prompt.choices:
        return f"{prompt.id}: {answer.value!r} is not a choice: answer {' | '.join(prompt.choices)}"
    if answer.value in prompt.needs_reason and not answer.reason.strip():
        return (
            f"{prompt.id} {answer.value}: needs a reason, which the report will show: "
            'add --reason "…"'
        )
    return ""


def _refusal(command: Callable[[], None]) -> str:
    """Carry out a command and return the reason if it was refused."""
    try:
        command()
    except (DualtiltError, ValueError) as error:
        return str(error) or type(error).__name__
    return ""
