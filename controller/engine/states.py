"""Table of the engine's states and of the triggers that change them."""

from __future__ import annotations

from enum import StrEnum

from controller.model.events import State


class Trigger(StrEnum):
    """Triggers that change the engine's state."""

    START = "start"
    PAUSE = "pause"
    """A pause by the operator or by a fault takes effect."""
    GO_ON = "go-on"
    """A pause ends."""
    ASK = "ask"
    """A prompt opens."""
    ANSWER = "answer"
    """The prompt is answered."""
    STOP = "stop"
    """A stop is requested."""
    HALT = "halt"
    """A stop takes effect."""
    FAIL = "fail"
    FINISH = "finish"


TRANSITIONS: dict[tuple[State, Trigger], State] = {
    (State.READY, Trigger.START): State.RUNNING,
    (State.READY, Trigger.STOP): State.STOPPED,
    (State.READY, Trigger.FAIL): State.FAILED,
    (State.RUNNING, Trigger.PAUSE): State.PAUSED,
    (State.RUNNING, Trigger.ASK): State.WAITING,
    (State.RUNNING, Trigger.STOP): State.STOPPING,
    (State.RUNNING, Trigger.FAIL): State.FAILED,
    (State.RUNNING, Trigger.FINISH): State.FINISHED,
    (State.PAUSED, Trigger.GO_ON): State.RUNNING,
    (State.PAUSED, Trigger.STOP): State.STOPPING,
    (State.PAUSED, Trigger.FAIL): State.FAILED,
    (State.WAITING, Trigger.ANSWER): State.RUNNING,
    (State.WAITING, Trigger.STOP): State.STOPPING,
    (State.WAITING, Trigger.FAIL): State.FAILED,
    (State.STOPPING, Trigger.STOP): State.STOPPING,
    (State.STOPPING, Trigger.PAUSE): State.PAUSED,  # a fault before the end of the series
    (State.STOPPING, Trigger.HALT): State.STOPPED,
    (State.STOPPING, Trigger.FAIL): State.FAILED,
    (State.STOPPING, Trigger.FINISH): State.FINISHED,
}


def next_state(state: State, trigger: Trigger) -> State | None:
    """Return the state after `trigger`; None where it has no effect in `state`."""
    return TRANSITIONS.get((state, trigger))
