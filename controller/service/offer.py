"""What clients may call: two objects, one to look and one to command.

Replies are json text; a command's reply is empty, or one line that says why it was refused.
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
from controller.model.commands import Answer, StopWhen
from controller.model.prompts import Prompt
from controller.service.board import Board
from controller.service.pictures import read_picture

VIEW = "dualtilt.session.view"
CONTROL = "dualtilt.session.control"
PIXELS = "PIXL"
"""Name of the annotation that carries a picture's bytes."""
MAX_WAIT_S = 5.0
RECORDS_AT_ONCE = 500


class SessionCommands(Protocol):
    """What the service may ask of the engine; thread-safe, returns at once."""

    def pause(self) -> None:
        """Pause after the step under way, beam blanked."""

    def go_on(self) -> None:
        """Go on after a pause."""

    def stop(self, when: StopWhen) -> None:
        """Stop, so or so soon."""

    def answer(self, answer: Answer) -> None:
        """Answer the open prompt."""

    def retake(self, count: int) -> None:
        """Record the last tilts again."""


@expose
class SessionView:
    """Looking only: a read-only client finds no command here."""

    def __init__(self, board: Board, folder: Path) -> None:
        self._board = board
        self._folder = folder

    def status(self) -> str:
        """A SessionStatus."""
        return self._board.status_json()

    def events_after(self, seq: int, wait_s: float) -> list[str]:
        """Records newer than `seq`, oldest first; waits up to `wait_s` for the first."""
        wait_s = min(max(float(wait_s), 0.0), MAX_WAIT_S)
        records = self._board.records_after(int(seq), RECORDS_AT_ONCE, wait_s)
        return [record.model_dump_json() for record in records]

    def picture(self, view: str, max_side_px: int) -> list[int] | None:
        """Shape of a preview, its pixels beside the reply; None where there is none."""
        preview = self._board.status.previews.get(str(view))
        path = (self._folder / preview.path).resolve() if preview is not None else None
        if path is None or not path.is_relative_to(self._folder.resolve()):
            return None
        try:
            pixels = read_picture(path, min(max(int(max_side_px), 16), 8192))
        except (OSError, ValueError):
            return None  # not there yet, or gone: the next preview will do
        current_context.response_annotations = {PIXELS: pixels.tobytes()}
        return list(pixels.shape)


@expose
class SessionControl(SessionView):
    """Looking and commanding."""

    def __init__(self, board: Board, folder: Path, commands: SessionCommands) -> None:
        super().__init__(board, folder)
        self._commands = commands

    def pause(self) -> str:
        """Pause after the step under way."""
        return _outcome(self._commands.pause)

    def go_on(self) -> str:
        """Go on after a pause."""
        return _outcome(self._commands.go_on)

    def stop(self, when: str) -> str:
        """Stop; `when` is a StopWhen."""
        return _outcome(lambda: self._commands.stop(StopWhen(when)))

    def retake(self, count: int) -> str:
        """Record the last `count` tilts again."""
        return _outcome(lambda: self._commands.retake(int(count)))

    def answer(self, answer_json: str) -> str:
        """Answer the open prompt; the argument is an Answer."""
        try:
            answer = Answer.model_validate_json(answer_json)
        except ValidationError as error:
            return f"not an answer: {json.dumps(error.errors()[0]['msg'])}"
        return check_answer(self._board.status.prompt, answer) or _outcome(
            lambda: self._commands.answer(answer)
        )


def check_answer(prompt: Prompt | None, answer: Answer) -> str:
    """Why an answer does not fit the open prompt; empty where it does."""
    if prompt is None:
        return f"no prompt is open: {answer.prompt_id!r} needs no answer now"
    if answer.prompt_id != prompt.id:
        return f"the open prompt is '{prompt.id}', not {answer.prompt_id!r}"
    if answer.value not in prompt.choices:
        return f"{prompt.id}: {answer.value!r} is no choice: answer {' | '.join(prompt.choices)}"
    if answer.value in prompt.needs_reason and not answer.reason.strip():
        return f"{prompt.id} {answer.value}: needs a reason, which the report will show"
    return ""


def _outcome(command: Callable[[], None]) -> str:
    try:
        command()
    except (DualtiltError, ValueError) as error:
        return str(error) or type(error).__name__
    return ""
