"""Table of the engine's states."""

from __future__ import annotations

import pytest

from controller.engine.control import Control
from controller.engine.states import TRANSITIONS, Trigger, next_state
from controller.model.commands import StopWhen
from controller.model.events import ENDED, Event, State, StateChanged
from controller.model.sections.flip import Flip

EXPECTED = [
    (State.READY, Trigger.START, State.RUNNING),
    (State.RUNNING, Trigger.PAUSE, State.PAUSED),
    (State.PAUSED, Trigger.GO_ON, State.RUNNING),
    (State.RUNNING, Trigger.ASK, State.WAITING),
    (State.WAITING, Trigger.ANSWER, State.RUNNING),
    (State.WAITING, Trigger.STOP, State.STOPPING),
    (State.RUNNING, Trigger.STOP, State.STOPPING),
    (State.STOPPING, Trigger.HALT, State.STOPPED),
    (State.STOPPING, Trigger.PAUSE, State.PAUSED),
    (State.RUNNING, Trigger.FINISH, State.FINISHED),
    (State.READY, Trigger.GO_ON, None),
    (State.RUNNING, Trigger.GO_ON, None),
    (State.RUNNING, Trigger.HALT, None),
    (State.PAUSED, Trigger.FINISH, None),
    (State.WAITING, Trigger.FINISH, None),
]


@pytest.mark.parametrize(
    ("state", "trigger", "target"),
    EXPECTED,
    ids=str,
)
def test_each_trigger_leads_to_the_expected_state(
    state: State, trigger: Trigger, target: State | None
) -> None:
    assert next_state(state, trigger) is target


@pytest.mark.parametrize("state", sorted(ENDED), ids=str)
def test_no_trigger_leaves_a_final_state(state: State) -> None:
    assert [trigger for trigger in Trigger if next_state(state, trigger) is not None] == []


@pytest.mark.parametrize("state", [s for s in State if s not in ENDED], ids=str)
def test_every_other_state_can_fail_and_can_be_stopped(state: State) -> None:
    assert next_state(state, Trigger.FAIL) is State.FAILED
    assert next_state(state, Trigger.STOP) in (State.STOPPING, State.STOPPED)


def test_every_state_but_the_first_can_be_reached() -> None:
    assert set(TRANSITIONS.values()) == set(State) - {State.READY}


def test_a_stop_before_the_start_says_in_words_why_the_session_ended() -> None:
    events: list[Event] = []
    control = Control(events.append, lambda _: None, Flip(), blank=list, abort=list)
    control.stop(StopWhen.NOW)
    (changed,) = (event for event in events if isinstance(event, StateChanged))
    assert changed.state is State.STOPPED
    assert changed.reason == "by the operator before it began; can be resumed"
