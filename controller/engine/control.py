"""The operator's side of a running engine: commands from any thread, obeyed by the engine's own.

The engine's thread calls `checkpoint`, `ask` and `suspend`; screens, signals and the command line
call `pause`, `go_on`, `stop` and `answer`. The beam is blanked while anything waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from controller.common.errors import UsageError
from controller.engine.states import Cue, next_state
from controller.model.commands import Answer, StopWhen
from controller.model.events import (
    ENDED,
    PauseAsked,
    PauseCause,
    PromptAnswered,
    PromptOpened,
    Publish,
    State,
    StateChanged,
)
from controller.model.prompts import STOP, Prompt
from controller.model.protocol import Flip
from controller.procedures.context import StopRequestedError
from controller.session.entries import Answered, Entry

LOOK_EVERY_S = 0.05
URGENCY = (StopWhen.AT_END_OF_SERIES, StopWhen.AFTER_TILT, StopWhen.NOW)


class Control:
    """State, commands and prompts of one run.

    Parameters
    ----------
    publish
        Where state and prompts are made known.
    enter
        Journals the answers.
    unanswered
        What to do when nobody answers a prompt.
    blank
        Blanks the beam; called before anything waits.
    abort
        Ends what the microscope is doing; called by whoever asks to stop now, returns at once.
    """

    def __init__(
        self,
        publish: Publish,
        enter: Callable[[Entry], None],
        unanswered: Flip,
        blank: Callable[[], None],
        abort: Callable[[], None],
    ) -> None:
        self._publish = publish
        self._enter = enter
        self._unanswered = unanswered
        self._blank = blank
        self._abort = abort
        self._changed = threading.Condition(threading.RLock())
        self._state = State.READY
        self._pause_waits = False
        self._stop: StopWhen | None = None
        self._retakes = 0
        self._prompt: Prompt | None = None
        self._answer: Answer | None = None

    # -- from any thread -------------------------------------------------------------------

    @property
    def state(self) -> State:
        return self._state

    def pause(self) -> None:
        """Pause at the next checkpoint, or right after the answer where a prompt waits.

        Kept in every state until it takes effect: before the start, and in a pause that would
        end by itself. Only `go_on` or a stop takes it back; saying it again changes nothing.

        Raises
        ------
        UsageError
            The session has ended.
        """
        with self._changed:
            self._refuse_if_ended("pause")
            self._await_pause(True)

    def go_on(self) -> None:
        """End a pause, or take back one that has not taken effect yet.

        Raises
        ------
        UsageError
            Nothing is paused, nor about to be.
        """
        with self._changed:
            if next_state(self._state, Cue.GO_ON) is None and not self._pause_waits:
                raise UsageError(f"nothing to go on with: the session is {self._state.value}")
            self._await_pause(False)
            self._move(Cue.GO_ON)

    def stop(self, when: StopWhen) -> None:
        """Stop; asked again it can only become more urgent.

        Raises
        ------
        UsageError
            The session has ended.
        """
        with self._changed:
            if self._state in ENDED:
                if when is StopWhen.NOW:
                    return  # whoever presses it again and again is told nothing is wrong
                self._refuse_if_ended("stop")
            if self._stop is None or URGENCY.index(when) > URGENCY.index(self._stop):
                self._stop = when
                self._await_pause(False)
                self._move(Cue.STOP, when.value)
            if when is StopWhen.NOW:
                self._abort()  # not after the end, which lets go of the column by itself

    def retake(self, count: int) -> None:
        """Have the last `count` tilts recorded again, after the step under way.

        Raises
        ------
        UsageError
            The session has ended.
        """
        with self._changed:
            self._refuse_if_ended("retake")
            self._retakes = max(self._retakes, count)

    def answer(self, answer: Answer) -> None:
        """Answer the prompt that is open.

        Raises
        ------
        UsageError
            No such prompt is open, no such choice, or a reason is missing.
        """
        with self._changed:
            prompt = self._prompt
            if prompt is None or prompt.id != answer.prompt_id or self._answer is not None:
                raise UsageError(f"{answer.prompt_id}: no such prompt is open")
            if answer.value not in prompt.choices:
                raise UsageError(
                    f"{answer.prompt_id}: {answer.value!r} is no choice; "
                    f"choose from: {', '.join(prompt.choices)}"
                )
            if answer.value in prompt.needs_reason and not answer.reason.strip():
                raise UsageError(f"{answer.prompt_id}: {answer.value} needs a reason")
            self._answer = answer
            self._changed.notify_all()

    # -- from the engine's thread ----------------------------------------------------------

    def take_retakes(self) -> int:
        """How many tilts are wanted again; asked for once."""
        with self._changed:
            count, self._retakes = self._retakes, 0
            return count

    def move(self, cue: Cue, reason: str = "", pause_cause: PauseCause | None = None) -> None:
        """Change the state as the table says."""
        with self._changed:
            self._move(cue, reason, pause_cause)

    def checkpoint(self) -> None:
        """Give way to a stop or a pause.

        Raises
        ------
        StopRequestedError
            The operator wants to stop now.
        """
        if self._stop is StopWhen.NOW:
            raise StopRequestedError
        if not self._pause_waits:
            return
        self._refuse_to_wait()
        self._blank()
        with self._changed:
            waits = self._pause_waits
            self._await_pause(False)
            if waits:  # not taken back while the beam was being blanked
                self._move(Cue.HOLD, "by the operator", PauseCause.OPERATOR)
        self._sit_out()

    def between_steps(self, *, ends_series: bool) -> None:
        """Give way between two steps.

        Raises
        ------
        StopRequestedError
            It is time for the stop that was asked for.
        """
        if self._stop is StopWhen.AFTER_TILT or (self._stop is not None and ends_series):
            raise StopRequestedError
        self.checkpoint()

    def suspend(self, reason: str, ready: Callable[[], bool] | None = None) -> None:
        """Pause, beam blanked, until the operator goes on or `ready` says so.

        Raises
        ------
        StopRequestedError
            The operator stops instead.
        """
        self._refuse_to_wait()
        self._blank()
        kind = PauseCause.FAULT if ready is None else PauseCause.PASSING
        with self._changed:
            self._move(Cue.HOLD, reason, kind)
        self._sit_out(ready)

    def _sit_out(self, ready: Callable[[], bool] | None = None) -> None:
        """Wait while the session is paused."""
        while self._state is State.PAUSED:
            if ready is not None and ready():
                self.move(Cue.GO_ON, "went on by itself")
            else:
                with self._changed:
                    self._changed.wait(LOOK_EVERY_S)
        self._refuse_to_wait()

    def ask(self, step_id: str, prompt: Prompt) -> Answer:
        """Wait for an answer, beam blanked; it is journaled before it is acted upon.

        A pause said meanwhile takes effect before the answer is returned, unless that is to stop.

        Raises
        ------
        StopRequestedError
            The operator stops instead, or nobody answers and the policy is to stop.
        """
        self.checkpoint()
        self._blank()
        prompt = prompt.model_copy(update={"unanswered": _in_words(self._unanswered)})
        with self._changed:
            self._prompt, self._answer = prompt, None
            self._move(Cue.ASK, prompt.title)
            self._publish(PromptOpened(prompt=prompt))
        answer = self._wait_for_answer(prompt)
        self._enter(
            Answered(
                step_id=step_id,
                prompt_id=prompt.id,
                value=answer.value,
                reason=answer.reason,
                by=answer.by,
            )
        )
        self._publish(PromptAnswered(**answer.model_dump()))
        with self._changed:
            self._move(Cue.ANSWER)
            if answer.value == STOP:
                self._await_pause(False)
        self.checkpoint()
        return answer

    def _wait_for_answer(self, prompt: Prompt) -> Answer:
        deadline_s = time.monotonic() + self._unanswered.unanswered_after_s
        with self._changed:
            while self._answer is None:
                if self._stop is not None:
                    self._prompt = None
                    raise StopRequestedError
                late = time.monotonic() > deadline_s
                if late and self._unanswered.unanswered == "stop":
                    self._answer = Answer(prompt_id=prompt.id, value=STOP, by="policy")
                    break
                self._changed.wait(LOOK_EVERY_S)
            self._prompt = None
            return self._answer

    def _refuse_to_wait(self) -> None:
        if self._stop in (StopWhen.AFTER_TILT, StopWhen.NOW):
            raise StopRequestedError

    def _await_pause(self, waits: bool) -> None:
        """Keep a pause until it takes effect, or keep none; publish the change."""
        if waits is not self._pause_waits:
            self._publish(PauseAsked(waiting=waits))
        self._pause_waits = waits

    def _move(self, cue: Cue, reason: str = "", cause: PauseCause | None = None) -> None:
        target = next_state(self._state, cue)
        if target is None or (target is self._state and not reason):
            return
        self._state = target
        self._publish(StateChanged(state=target, reason=reason, pause_cause=cause))
        self._changed.notify_all()
        if target is State.RUNNING and self._stop is not None:
            self._move(Cue.STOP, self._stop.value)

    def _refuse_if_ended(self, what: str) -> None:
        if self._state in ENDED:
            raise UsageError(f"cannot {what}: the session is {self._state.value}")


def _in_words(policy: Flip) -> str:
    """What happens where nobody answers a prompt."""
    if policy.unanswered == "wait":
        return "waits for an answer"
    return f"stops if unanswered for {policy.unanswered_after_s / 60:.3g} min"
