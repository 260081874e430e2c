"""`dualtilt process` that is ended while it works: one line, its exit code, and no result."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from controller.common.exit_codes import ExitCode
from tests.processing.small_stacks import write_stack
from tests.support.spheres import packed

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
ENOUGH_S = 120.0


@pytest.mark.parametrize(
    ("ended_by", "stage"),
    [(signal.SIGTERM, "initial shifts"), (signal.SIGINT, "iterative reconstruction")],
    ids=["SIGTERM at the alignment", "Ctrl-C at the reconstruction"],
)
def test_a_run_that_is_ended_leaves_no_result(
    ended_by: signal.Signals, stage: str, tmp_path: Path
) -> None:
    stack = write_stack(tmp_path, "A", packed(18, 8.6, order="fcc", seed=3))
    command = [sys.executable, "-m", "controller.app.cli.main", "process", str(stack)]
    with subprocess.Popen(
        [*command, "--out", str(tmp_path / "out")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        assert any(stage in line for line in running.stderr)
        running.send_signal(ended_by)
        said = running.stderr.read().splitlines()
        assert running.wait(timeout=ENOUGH_S) == ExitCode.INTERRUPTED
    assert said[-1] == "dualtilt: interrupted" and "Traceback" not in "".join(said)
    assert not (tmp_path / "out").exists()
