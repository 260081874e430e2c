"""The pipes of a child: prints on stdout, tasks that fail, a session that ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from controller.worker.child_messages import REPLY, CatchUp, Ended
from tests.support.frames import recorded_frame
from tests.support.processes import python

NOISY = """
import os, sys
from controller.worker.child import reserve_stdout
from controller.worker.child_messages import Ended
send = reserve_stdout()
print("python prints")
sys.stdout.flush()
os.write(1, b"a native library prints\\n")
send(Ended(reason="only this"))
"""


def test_prints_of_libraries_do_not_mix_with_the_messages() -> None:
    child = subprocess.run([sys.executable, "-c", NOISY], capture_output=True, text=True)
    assert [REPLY.validate_json(line) for line in child.stdout.splitlines()] == [
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
        cwd=tmp_path,
    )
    assert child.returncode == 0
    assert child.stdout == b""


def test_a_failed_task_is_reported_and_the_child_continues(tmp_path: Path) -> None:
    task = (
        CatchUp(series="A", frames=(recorded_frame("A", 1),), tilts_left=0).model_dump_json() + "\n"
    )
    with python(
        *("-m", "controller.worker.child", "live", str(tmp_path)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        for _ in range(2):
            child.stdin.write(task)
            child.stdin.flush()
            answer = REPLY.validate_json(child.stdout.readline())
            assert isinstance(answer, Ended) and not answer.ok
            assert "protocol.toml" in answer.reason and "\n" not in answer.reason
        child.stdin.close()
        assert child.wait(60) == 0
