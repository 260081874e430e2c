"""The child's pipes: noise on stdout, bad tasks, a session that goes away."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from controller.worker.messages import REPORT, CatchUp, Ended
from tests.support.frames import recorded_frame
from tests.support.processes import python

NOISY = """
import os, sys
from controller.worker.child import claim_stdout
from controller.worker.messages import Ended
report = claim_stdout()
print("python prints")
sys.stdout.flush()
os.write(1, b"a native library prints\\n")
report(Ended(reason="only this"))
"""


def test_what_libraries_print_does_not_mix_with_the_reports() -> None:
    child = subprocess.run([sys.executable, "-c", NOISY], capture_output=True, text=True)
    assert [REPORT.validate_json(line) for line in child.stdout.splitlines()] == [
        Ended(reason="only this")
    ]
    assert "python prints" in child.stderr and "a native library prints" in child.stderr


@pytest.mark.parametrize("role", ["live", "jobs"])
def test_the_child_ends_with_the_session(role: str, tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-m", "controller.worker.child", role, str(tmp_path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    assert child.returncode == 0
    assert child.stdout == b""


def test_a_task_that_cannot_be_done_is_told_and_the_child_lives(tmp_path: Path) -> None:
    task = (
        CatchUp(series="A", frames=(recorded_frame("A", 1),), tilts_left=0).model_dump_json() + "\n"
    )
    with python(
        *("-m", "controller.worker.child", "live", str(tmp_path)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        for _ in range(2):
            child.stdin.write(task)
            child.stdin.flush()
            answer = REPORT.validate_json(child.stdout.readline())
            assert isinstance(answer, Ended) and not answer.ok
            assert "protocol.toml" in answer.reason and "\n" not in answer.reason
        child.stdin.close()
        assert child.wait(20) == 0
