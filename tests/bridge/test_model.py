"""Random sequences of what sessions do at a bridge; `make soak` runs many more."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.bridge.model import SessionsAtABridge

TestSessionsAtABridge = SessionsAtABridge.TestCase
TestSessionsAtABridge.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
