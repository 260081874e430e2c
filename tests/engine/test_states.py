"""The engine's table of states, read as a table."""

from __future__ import annotations

import pytest

from controller.engine.states import TRANSITIONS, Cue, next_state
from controller.model.events import ENDED, State

MEANT = [
    (State.READY, Cue.START, State.RUNNING),
    (State.RUNNING, Cue.HOLD, State.PAUSED),
    (State.PAUSED, Cue.GO_ON, State.RUNNING),
    (State.RUNNING, Cue.ASK, State.WAITING),
    (State.WAITING, Cue.ANSWER, State.RUNNING),
    (State.WAITING, Cue.STOP, State.STOPPING),
    (State.RUNNING, Cue.STOP, State.STOPPING),
    (State.STOPPING, Cue.HALT, State.STOPPED),
    (State.STOPPING, Cue.HOLD, State.PAUSED),
    (State.RUNNING, Cue.FINISH, State.FINISHED),
    (State.READY, Cue.GO_ON, None),
    (State.RUNNING, Cue.GO_ON, None),
    (State.RUNNING, Cue.HALT, None),
    (State.PAUSED, Cue.FINISH, None),
    (State.WAITING, Cue.FINISH, None),
]


@pytest.mark.parametrize(
    ("state", "cue", "target"), MEANT, ids=[f"{state}-{cue}" for state, cue, _ in MEANT]
)
def test_a_cue_leads_where_it_should(state: State, cue: Cue, target: State | None) -> None:
    assert next_state(state, cue) is target


@pytest.mark.parametrize("state", sorted(ENDED), ids=str)
def test_nothing_leads_out_of_an_end(state: State) -> None:
    assert [cue for cue in Cue if next_state(state, cue) is not None] == []


@pytest.mark.parametrize("state", [s for s in State if s not in ENDED], ids=str)
def test_every_other_state_can_fail_and_can_be_stopped(state: State) -> None:
    assert next_state(state, Cue.FAIL) is State.FAILED
    assert next_state(state, Cue.STOP) in (State.STOPPING, State.STOPPED)


def test_every_state_but_the_first_can_be_reached() -> None:
    assert set(TRANSITIONS.values()) == set(State) - {State.READY}
