"""Commands of the operator to a running engine.

Screens, signals and the command line call `pause`, `go_on`, `stop`, `retake` and `answer` from any
thread. The engine's own thread obeys in `checkpoint`, `ask` and `suspend`. The beam is blanked
while the engine waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from controller.common.errors import UsageError
from controller.engine.states import Trigger, next_state
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
from controller.model.sections.flip import Flip
from controller.procedures.context import StopRequestedError
from controller.session.entries import Answered, Entry

POLL_INTERVAL_S = 0.05
"""Interval at which a waiting engine checks for a change (s)."""
URGENCY = (StopWhen.AT_END_OF_SERIES, StopWhen.AFTER_TILT, StopWhen.NOW)
"""Stops from the least to the most urgent."""
UNBEGUN = "by the operator before it began; can be resumed"
"""Reason of a stop that needs no further step."""
IMMEDIATE = (StopWhen.AFTER_TILT, StopWhen.NOW)
"""Stops that end a pause."""


class Control:
    """State, commands and prompts of one run.

    Parameters
    ----------
    publish
        Publishes state and prompts.
    journal
        Writes the answers to the journal.
    policy
        Settings for prompts that nobody answers.
    blank
        Blanks the beam; called before the engine waits.
    abort
        Aborts the microscope's current action and returns at once; called on an immediate stop.
    """

    def __init__(
        self,
        publish: Publish,
        journal: Callable[[Entry], None],
        policy: Flip,
        blank: Callable[[], None],
        abort: Callable[[], None],
    ) -> None:
        self._publish = publish
        self._journal = journal
        self._policy = policy
        self._blank = blank
        self._abort = abort
        self._changed = threading.Condition(threading.RLock())
        self._state = State.READY
        self._pause_pending = False
        self._stop: StopWhen | None = None
        self._held = False
        self._retakes = 0
        self._prompt: Prompt | None = None
        self._answer: Answer | None = None

    # -- from any thread -------------------------------------------------------------------

    @property
    def state(self) -> State:
        return self._state

    def pause(self) -> None:
        """Pause at the next checkpoint, or right after the answer while a prompt is open.

        The request is kept in every state until it takes effect, also before the start and in a
        pause that would end by itself. Only `go_on` or a stop cancels it; repeating it changes
        nothing.

        Raises
        ------
        UsageError
            The session has ended.
        """
        with self._changed:
            self._refuse_if_ended("pause")
            self._set_pause_pending(True)

    def go_on(self) -> None:
        """End a pause, or cancel one that has not taken effect yet.

        Raises
        ------
        UsageError
            The session is not paused and no pause is pending, or its disk does not answer.
        """
        with self._changed:
            if self._held:
                raise UsageError(
                    "cannot go on: the disk does not answer; the session resumes automatically "
                    "when it does"
                )
            if next_state(self._state, Trigger.GO_ON) is None and not self._pause_pending:
                raise UsageError(
                    f"cannot go on: no pause to end, the session is {self._state.value}"
                )
            self._set_pause_pending(False)
            self._apply(Trigger.GO_ON)

    def stop(self, when: StopWhen) -> None:
        """Request a stop; a repeated request can only make it more urgent.

        Raises
        ------
        UsageError
            The session has ended.
        """
        with self._changed:
            if self._state in ENDED:
                if when is StopWhen.NOW:
                    return  # pressing it repeatedly is no error
                self._refuse_if_ended("stop")
            if self._stop is None or URGENCY.index(when) > URGENCY.index(self._stop):
                self._stop = when
                self._set_pause_pending(False)
                self._apply(Trigger.STOP, when.value if self._state is not State.READY else UNBEGUN)
            if when is StopWhen.NOW:
                self._abort()  # not after the end: the engine makes the column safe by itself

    def hold(self, reason: str) -> None:
        """Show a pause while the engine's thread waits for the disk and cannot pause by itself.

        A pause for another reason, a prompt and a stop stay as they are.
        """
        with self._changed:
            target = next_state(self._state, Trigger.PAUSE)
            if target is None or self._stop in IMMEDIATE:
                return
            self._held = True
            self._apply(Trigger.PAUSE, reason, PauseCause.PASSING)

    def release(self, reason: str) -> None:
        """End the pause of `hold`."""
        with self._changed:
            if self._held:
                self._held = False
                self._apply(Trigger.GO_ON, reason)

    def retake(self, count: int) -> None:
        """Request that the last `count` tilts are recorded again, after the current step.

        Raises
        ------
        UsageError
            The session has ended.
        """
        with self._changed:
            self._refuse_if_ended("retake")
            self._retakes = max(self._retakes, count)

    def answer(self, answer: Answer) -> None:
        """Answer the open prompt.

        Raises
        ------
        UsageError
            This prompt is not open, the choice does not exist, or a reason is missing.
        """
        with self._changed:
            prompt = self._prompt
            if prompt is None or prompt.id != answer.prompt_id or self._answer is not None:
                raise UsageError(f"{answer.prompt_id}: this prompt is not open")
            if answer.value not in prompt.choices:
                raise UsageError(
                    f"{answer.prompt_id}: {answer.value!r} is not a choice; "
                    f"choose from: {', '.join(prompt.choices)}"
                )
            if answer.value in prompt.needs_reason and not answer.reason.strip():
                raise UsageError(f"{answer.prompt_id}: {answer.value} needs a reason")
            self._answer = answer
            self._changed.notify_all()

    # -- from the engine's thread ----------------------------------------------------------

    def take_retakes(self) -> int:
        """Return the number of tilts to record again, and reset it."""
        with self._changed:
            count, self._retakes = self._retakes, 0
            return count

    def apply(
        self, trigger: Trigger, reason: str = "", pause_cause: PauseCause | None = None
    ) -> None:
        """Change the state as the table of triggers says."""
        with self._changed:
            self._apply(trigger, reason, pause_cause)

    def checkpoint(self) -> None:
        """Stop or pause here if the operator requested it.

        Raises
        ------
        StopRequestedError
            The operator requested an immediate stop.
        """
        if self._stop is StopWhen.NOW:
            raise StopRequestedError
        if not self._pause_pending:
            return
        self._raise_if_stopping()
        self._blank()
        with self._changed:
            pending = self._pause_pending
            self._set_pause_pending(False)
            if pending:  # not cancelled while the beam was blanked
                self._apply(Trigger.PAUSE, "by the operator", PauseCause.OPERATOR)
        self._wait_while_paused()

    def between_steps(self, *, ends_series: bool) -> None:
        """Stop or pause between two steps if the operator requested it.

        Raises
        ------
        StopRequestedError
            A requested stop takes effect here.
        """
        if self._stop is StopWhen.AFTER_TILT or (self._stop is not None and ends_series):
            raise StopRequestedError
        self.checkpoint()

    def suspend(
        self,
        reason: str,
        ready: Callable[[], bool] | None = None,
        cause: PauseCause | None = None,
    ) -> None:
        """Pause with the beam blanked until the operator goes on or `ready` returns True.

        Parameters
        ----------
        cause
            Cause of the pause; by default a fault that passes, or, without `ready`, one that the
            operator has to deal with.

        Raises
        ------
        StopRequestedError
            The operator requested a stop.
        """
        self._raise_if_stopping()
        self._blank()
        usual = PauseCause.FAULT if ready is None else PauseCause.PASSING
        with self._changed:
            self._raise_if_stopping()  # a stop requested during blanking finds no pause to end
            self._apply(Trigger.PAUSE, reason, cause or usual)
        self._wait_while_paused(ready)

    def _wait_while_paused(self, ready: Callable[[], bool] | None = None) -> None:
        """Wait while the session is paused."""
        while self._state is State.PAUSED:
            if ready is not None and ready():
                self.apply(Trigger.GO_ON, "resumed automatically")
            else:
                with self._changed:
                    self._changed.wait(POLL_INTERVAL_S)
        self._raise_if_stopping()

    def ask(self, step_id: str, prompt: Prompt) -> Answer:
        """Wait for an answer with the beam blanked; write it to the journal before using it.

        A pause requested meanwhile takes effect before the answer is returned, unless the answer
        is to stop.

        Raises
        ------
        StopRequestedError
            The operator requested a stop, or nobody answered and the policy is to stop.
        """
        self.checkpoint()
        self._blank()
        prompt = prompt.model_copy(update={"unanswered": _describe_policy(self._policy)})
        with self._changed:
            self._prompt, self._answer = prompt, None
            self._apply(Trigger.ASK, prompt.title)
            self._publish(PromptOpened(prompt=prompt))
        answer = self._wait_for_answer(prompt)
        self._journal(
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
            self._apply(Trigger.ANSWER)
            if answer.value == STOP:
                self._set_pause_pending(False)
        self.checkpoint()
        return answer

    def _wait_for_answer(self, prompt: Prompt) -> Answer:
        deadline_s = time.monotonic() + self._policy.unanswered_after_s
        with self._changed:
            while self._answer is None:
                if self._stop is not None:
                    self._prompt = None
                    raise StopRequestedError
                late = time.monotonic() > deadline_s
                if late and self._policy.unanswered == "stop":
                    self._answer = Answer(prompt_id=prompt.id, value=STOP, by="policy")
                    break
                self._changed.wait(POLL_INTERVAL_S)
            self._prompt = None
            return self._answer

    def _raise_if_stopping(self) -> None:
        if self._stop in IMMEDIATE:
            raise StopRequestedError

    def _set_pause_pending(self, pending: bool) -> None:
        """Keep a requested pause until it takes effect, or cancel it; publish the change."""
        if pending is not self._pause_pending:
            self._publish(PauseAsked(waiting=pending))
        self._pause_pending = pending

    def _apply(self, trigger: Trigger, reason: str = "", cause: PauseCause | None = None) -> None:
        target = next_state(self._state, trigger)
        if target is None or (target is self._state and not reason):
            return
        self._state = target
        self._publish(StateChanged(state=target, reason=reason, pause_cause=cause))
        self._changed.notify_all()
        if target is State.RUNNING and self._stop is not None:
            self._apply(Trigger.STOP, self._stop.value)

    def _refuse_if_ended(self, command: str) -> None:
        if self._state in ENDED:
            raise UsageError(f"cannot {command}: the session is {self._state.value}")


def _describe_policy(policy: Flip) -> str:
    """Describe what happens if nobody answers a prompt."""
    if policy.unanswered == "wait":
        return "waits for an answer"
    return f"stops if unanswered for {policy.unanswered_after_s / 60:.3g} min"
