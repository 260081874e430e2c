"""The operator of a demo: answers the prompts as a careful person would, visibly.

It sees what a person sees, the session's events, and has a person's means, an answer to a prompt.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from controller.commands import Answer
from controller.events import Counted, Event, ProcessingFailed, Prompt, PromptOpened

FIRST_CHOICE_PAUSE_S = 1.5
"""Long enough for those who watch to read the prompt and see the answer come."""


class DemoOperator:
    """Answers every prompt with its first choice; the flip only after the count of A is there.

    A prompt that comes a second time is answered with stop: what one more try
    has not mended is not for a demo to insist on.

    Parameters
    ----------
    answer
        Where answers go; called from a timer's thread.
    """

    def __init__(self, answer: Callable[[Answer], None]) -> None:
        self._answer = answer
        self._lock = threading.Lock()
        self._waiting_flip: Prompt | None = None
        self._a_is_done = False
        self._seen: set[str] = set()

    def __call__(self, event: Event) -> None:
        """Take note of an event; never blocks."""
        match event:
            case PromptOpened(prompt=prompt) if prompt.id == "flip":
                with self._lock:
                    self._waiting_flip = prompt
            case PromptOpened(prompt=prompt):
                self._answer_soon(prompt)
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
        again = prompt.id in self._seen
        self._seen.add(prompt.id)
        value = "stop" if again and "stop" in prompt.choices else prompt.choices[0]
        answer = Answer(prompt_id=prompt.id, value=value, by="demo")
        timer = threading.Timer(FIRST_CHOICE_PAUSE_S, self._answer, (answer,))
        timer.daemon = True
        timer.start()
