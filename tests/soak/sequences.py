"""Thousands of random sequences at a bridge, hundreds of sessions disturbed at random.

See tests/bridge/model.py and tests/session/model.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import run_state_machine_as_test

from controller.bridge import audit
from tests.bridge.model import SessionsAtABridge
from tests.session.model import RUNS, Disturbance, disturb
from tests.soak.progress import CORES, MEMORY_DISK, worked_off

SEQUENCES, STEPS = 2_000, 60
SESSIONS = 300
CHUNKS = 20
"""Parts that the processes share; each has its own random sequences."""
COMMON = settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))


def run() -> list[str]:
    """Return the sequences and sessions that broke a promise, if there are any."""
    violations = [
        line for lines in worked_off("sequences", CHUNKS, _chunk, CORES) for line in lines
    ]
    outcome = f"{len(violations)} promises broken" if violations else "every promise kept"
    print(
        f"sequences: {SEQUENCES} of up to {STEPS} steps at a bridge, "
        f"{SESSIONS} sessions disturbed and resumed: {outcome}"
    )
    return violations


def _chunk(number: int) -> list[str]:
    audit.log_to(None)  # its thousands of lines would hide the result
    return [
        *_violation(f"bridge, part {number}", _sequences),
        *_violation(f"session, part {number}", _sessions),
    ]


def _violation(name: str, check: Callable[[], None]) -> list[str]:
    try:
        check()
    except Exception as error:  # noqa: BLE001 -- whatever it is, a promise was broken
        notes = "; ".join(getattr(error, "__notes__", []))
        return [f"{name}: {type(error).__name__}: {error} {notes}"]
    return []


def _sequences() -> None:
    many = settings(COMMON, max_examples=SEQUENCES // CHUNKS, stateful_step_count=STEPS)
    run_state_machine_as_test(SessionsAtABridge, settings=many)


def _sessions() -> None:
    settings(COMMON, max_examples=SESSIONS // CHUNKS)(given(RUNS)(_disturbed))()


def _disturbed(runs: list[list[Disturbance]]) -> None:
    with tempfile.TemporaryDirectory(prefix="dt-", dir=MEMORY_DISK) as name:
        disturb(Path(name) / "s", runs)
