"""A session disturbed at random, run after run; `make soak` does it for longer."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings

from tests.session.model import KINDS, RUNS, Disturbance, disturb

ALL_KINDS = [
    [
        Disturbance("request lost", 1),
        Disturbance("reply lost", 0),
        Disturbance("reply lost", 7),
        Disturbance("detector failed", 3),
        Disturbance("lease taken away", 9),
        Disturbance("bridge restarted", 14),
        Disturbance("pause", 20),
        Disturbance("crash", 40),
    ],
    [
        Disturbance("detector failed", 1),
        Disturbance("detector failed", 2),
        Disturbance("abort", 25),
    ],
    [Disturbance("stop after the tilt", 12)],
    [Disturbance("flip refused", 0)],
]


KILLED_IN_THE_SCAN_CHECK = [[Disturbance("flip refused", 0)], [Disturbance("crash", 8)]]
"""The resumed check gets its first shot from before, recorded at another position."""


def test_every_kind_is_in_the_example() -> None:
    assert {disturbance.kind for run in ALL_KINDS for disturbance in run} == {*KINDS}


@example(ALL_KINDS)
@example(KILLED_IN_THE_SCAN_CHECK)
@given(RUNS)
@settings(
    max_examples=1,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_a_disturbed_session_keeps_every_promise(runs: list[list[Disturbance]]) -> None:
    with tempfile.TemporaryDirectory(prefix="dt-") as name:
        disturb(Path(name) / "s", runs)
