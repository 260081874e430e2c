"""Automatic operator of a demo: answers the prompts as a careful operator would.

It receives the events of the session, as a screen does, and answers prompts, as a person does.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from controller.common.errors import UsageError
from controller.model.commands import Answer
from controller.model.events import (
    Event,
    PauseCause,
    PromptOpened,
    StateChanged,
)
from controller.model.prompts import (
    STOP,
    FlipAnswer,
    FlipCheckAnswer,
    PreflightAnswer,
    Prompt,
    PromptId,
)

ANSWER_DELAY_S = 1.5
"""Time before an answer, so that a person can read the prompt and see the answer come."""

ANSWERS: dict[PromptId, tuple[str, ...]] = {
    PromptId.PREFLIGHT: (PreflightAnswer.START,),
    PromptId.FLIP: (FlipAnswer.DONE,) * 5,
    PromptId.FLIP_CHECK: (FlipCheckAnswer.RETAKE_IMAGE, *(FlipCheckAnswer.BACK_TO_FLIP,) * 4),
}
"""Answers to each prompt, in order; after them the answer is `stop`."""


class DemoOperator:
    """Answers every prompt as `ANSWERS` says, without waiting for a result.

    Parameters
    ----------
    answer
        Receives the answers; called from a timer's thread.
    go_on
        Ends a pause that needs a person, when faults are rehearsed; None: such pauses are left.
    """

    def __init__(
        self, answer: Callable[[Answer], None], go_on: Callable[[], None] | None = None
    ) -> None:
        self._answer = answer
        self._go_on = go_on
        self._answered: Counter[PromptId] = Counter()

    def __call__(self, event: Event) -> None:
        """Process an event; never blocks."""
        match event:
            case PromptOpened(prompt=prompt):
                self._answer_later(prompt)
            case StateChanged(pause_cause=PauseCause.FAULT):
                if self._go_on is not None:
                    _run_later(self._go_on)
            case _:
                return

    def _answer_later(self, prompt: Prompt) -> None:
        answers = ANSWERS[prompt.id]
        count = self._answered[prompt.id]
        self._answered[prompt.id] += 1
        value = answers[count] if count < len(answers) else STOP
        if value not in prompt.choices:
            value = prompt.choices[0]
        _run_later(lambda: self._answer(Answer(prompt_id=prompt.id, value=value, by="demo")))


def _run_later(act: Callable[[], None]) -> None:
    """Run `act` after `ANSWER_DELAY_S`; ignore it if it is no longer needed by then."""

    def attempt() -> None:
        with suppress(UsageError):
            act()

    timer = threading.Timer(ANSWER_DELAY_S, attempt)
    timer.daemon = True
    timer.start()
