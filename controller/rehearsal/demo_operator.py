"""The operator of a demo: answers the prompts as a careful person would, visibly.

It sees what a person sees, the session's events, and has a person's means, an answer to a prompt.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from controller.common.errors import UsageError
from controller.model.commands import PAUSED_BY_OPERATOR, Answer
from controller.model.events import (
    Counted,
    Event,
    ProcessingFailed,
    Prompt,
    PromptOpened,
    State,
    StateChanged,
)
from controller.model.prompts import STOP

PAUSE_S = 1.5
"""Long enough for those who watch to read what is asked and see the answer come."""

ANSWERS: dict[str, tuple[str, ...]] = {
    "preflight": ("start",),
    "flip": ("done",) * 5,
    "flip-check": ("retake-image", *("back-to-flip",) * 4),
}
"""What is said each time a prompt comes. After the last, and to what is not foreseen a second
time, `stop`: what one more try has not mended is not for a demo to insist on."""


class DemoOperator:
    """Answers every prompt as the table says; the flip only after the count of A is there.

    Parameters
    ----------
    answer
        Where answers go; called from a timer's thread.
    go_on
        Ends a pause, where faults are rehearsed: what a person would have seen to by then.
    """

    def __init__(
        self, answer: Callable[[Answer], None], go_on: Callable[[], None] | None = None
    ) -> None:
        self._answer = answer
        self._go_on = go_on
        self._lock = threading.Lock()
        self._waiting_flip: Prompt | None = None
        self._a_is_done = False
        self._seen: Counter[str] = Counter()

    def __call__(self, event: Event) -> None:
        """Take note of an event; never blocks."""
        match event:
            case PromptOpened(prompt=prompt) if prompt.id == "flip":
                with self._lock:
                    self._waiting_flip = prompt
            case PromptOpened(prompt=prompt):
                self._answer_soon(prompt)
            case StateChanged(state=State.PAUSED, reason=reason):
                self._see_to_it(reason)
            case Counted(which="A", live=False) | ProcessingFailed(job="A"):
                with self._lock:
                    self._a_is_done = True
            case _:
                return
        self._flip_when_ready()

    def _flip_when_ready(self) -> None:
        with self._lock:
            prompt = self._waiting_flip if self._a_is_done else None
            if prompt is not None:
                self._waiting_flip = None
        if prompt is not None:
            self._answer_soon(prompt)

    def _answer_soon(self, prompt: Prompt) -> None:
        foreseen = ANSWERS.get(prompt.id, prompt.choices[:1])
        time = self._seen[prompt.id]
        self._seen[prompt.id] += 1
        value = foreseen[time] if time < len(foreseen) else STOP
        if value not in prompt.choices:
            value = prompt.choices[0]
        _soon(lambda: self._answer(Answer(prompt_id=prompt.id, value=value, by="demo")))

    def _see_to_it(self, reason: str) -> None:
        ends_by_itself = "goes on" in reason
        if self._go_on is not None and not ends_by_itself and reason != PAUSED_BY_OPERATOR:
            _soon(self._go_on)


def _soon(act: Callable[[], None]) -> None:
    """Act after a while; what has settled itself meanwhile needs nobody."""

    def attempt() -> None:
        with suppress(UsageError):
            act()

    timer = threading.Timer(PAUSE_S, attempt)
    timer.daemon = True
    timer.start()
