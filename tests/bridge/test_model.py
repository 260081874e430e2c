"""Random sequences of what sessions do at a bridge; `make soak` runs many more."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.bridge.model import SessionsAtABridge

FEW = settings(
    max_examples=25,
    stateful_step_count=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def test_random_sequences_keep_every_promise() -> None:
    run_state_machine_as_test(SessionsAtABridge, settings=FEW)
