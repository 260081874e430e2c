"""The engine's states, and what leads from one to the next: a table, read by people and code."""

from __future__ import annotations

from enum import StrEnum

from controller.model.events import State


class Cue(StrEnum):
    """What makes the engine change its state."""

    START = "start"
    HOLD = "hold"
    """A pause takes effect, or a fault asks for one."""
    GO_ON = "go-on"
    ASK = "ask"
    ANSWER = "answer"
    STOP = "stop"
    HALT = "halt"
    """A stop has taken effect."""
    FAIL = "fail"
    FINISH = "finish"


TRANSITIONS: dict[tuple[State, Cue], State] = {
    (State.READY, Cue.START): State.RUNNING,
    (State.READY, Cue.STOP): State.STOPPED,
    (State.READY, Cue.FAIL): State.FAILED,
    (State.RUNNING, Cue.HOLD): State.PAUSED,
    (State.RUNNING, Cue.ASK): State.WAITING,
    (State.RUNNING, Cue.STOP): State.STOPPING,
    (State.RUNNING, Cue.FAIL): State.FAILED,
    (State.RUNNING, Cue.FINISH): State.FINISHED,
    (State.PAUSED, Cue.GO_ON): State.RUNNING,
    (State.PAUSED, Cue.STOP): State.STOPPING,
    (State.PAUSED, Cue.FAIL): State.FAILED,
    (State.WAITING, Cue.ANSWER): State.RUNNING,
    (State.WAITING, Cue.STOP): State.STOPPING,
    (State.WAITING, Cue.FAIL): State.FAILED,
    (State.STOPPING, Cue.STOP): State.STOPPING,
    (State.STOPPING, Cue.HOLD): State.PAUSED,  # a fault on the way to the end of the series
    (State.STOPPING, Cue.HALT): State.STOPPED,
    (State.STOPPING, Cue.FAIL): State.FAILED,
    (State.STOPPING, Cue.FINISH): State.FINISHED,
}


def next_state(state: State, cue: Cue) -> State | None:
    """Return the state that `cue` leads to; None where it means nothing."""
    return TRANSITIONS.get((state, cue))
