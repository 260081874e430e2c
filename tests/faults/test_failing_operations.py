"""A session in which one open, write, sync, rename, thread or allocation fails, and its next run.

`make soak` lets every operation of the session fail in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.soak import __main__ as soak
from tests.soak import flips
from tests.support.failing_session import Point, failing, tried
from tests.support.shims.failures import FAILURES
from tests.support.shims.memory import failing_allocation, set_nomemory

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="forks; reads /proc")

SAMPLE = [
    ("open", 90, "EMFILE", "OK"),
    ("write", 150, "ENOSPC", "OK"),
    ("sync", 120, "EIO", "OK"),
    ("rename", 30, "ESTALE", "OK"),
    ("thread", 2, "no thread", "USAGE, resumed: OK"),
]


@pytest.mark.parametrize(("kind", "number", "name", "end"), SAMPLE, ids=[s[2] for s in SAMPLE])
def test_a_failing_operation_loses_no_frame_and_leaves_the_beam_off(
    tmp_path: Path, kind: str, number: int, name: str, end: str
) -> None:
    point = failing(kind, number, name, FAILURES[kind][name])
    assert tried(tmp_path / "s", point) == (end, [])


@pytest.mark.skipif(set_nomemory is None, reason="this Python has no _testcapi")
def test_no_memory_loses_no_frame_and_leaves_the_beam_off(tmp_path: Path) -> None:
    injection = partial(failing_allocation, 90_000)
    point = Point("allocation", "MemoryError", injection, may_abort=True)
    _, violations = tried(tmp_path / "s", point)
    assert violations == []


def lose_a_frame() -> list[str]:
    return ["an acknowledged frame was lost"]


def break_down() -> list[str]:
    raise AssertionError("the part itself failed")


@pytest.mark.parametrize(
    ("part", "exit_status"),
    [(list, 0), (lose_a_frame, 1), (break_down, 1)],
    ids=["all kept", "a violation", "an error of the part"],
)
def test_a_failing_part_of_the_soak_ends_it_with_an_error(
    monkeypatch: pytest.MonkeyPatch, part: Callable[[], list[str]], exit_status: int
) -> None:
    monkeypatch.setattr(flips, "run", part)
    assert soak.main(["flips"]) == exit_status
