"""Thousands of random sequences of what sessions do at a bridge; see tests/bridge/model.py."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.bridge.model import SessionsAtABridge

SEQUENCES, STEPS = 2_000, 60


def run() -> list[str]:
    """Return the first sequence that broke a promise, if there is one."""
    many = settings(
        max_examples=SEQUENCES,
        stateful_step_count=STEPS,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(SessionsAtABridge, settings=many)
    except AssertionError as error:
        return [f"{type(error).__name__}: {error}"]
    print(f"sequences: {SEQUENCES} of up to {STEPS} steps: every promise kept")
    return []
