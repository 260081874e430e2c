"""`dualtilt process` and `batch` that are ended at work: one line, its exit code, no result."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.common.exit_codes import ExitCode
from tests.processing.small_stacks import write_stack
from tests.support.spheres import packed

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
ENOUGH_S = 120.0


HUNG_UP = "dualtilt: hung up: the terminal was closed"


@dataclass(frozen=True)
class End:
    """Signals to a process, and its last line."""

    id: str
    signals: tuple[signal.Signals, ...]
    stage: str
    last_line: str = "dualtilt: interrupted"
    under_nohup: bool = False


ENDS = (
    End("SIGTERM at the alignment", (signal.SIGTERM,), "initial shifts"),
    End("Ctrl-C at the reconstruction", (signal.SIGINT,), "iterative reconstruction"),
    End("its terminal closed", (signal.SIGHUP,), "initial shifts", HUNG_UP),
    End(
        "its terminal closed under nohup, then SIGTERM",
        (signal.SIGHUP, signal.SIGTERM),
        "initial shifts",
        under_nohup=True,
    ),
)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.id)
def test_a_run_that_is_ended_leaves_no_result(end: End, tmp_path: Path) -> None:
    stack = write_stack(tmp_path, "A", packed(18, 8.6, order="fcc", seed=3))
    command = [sys.executable, "-m", "controller.app.cli.main", "process", str(stack)]
    with subprocess.Popen(
        [*(["nohup"] if end.under_nohup else []), *command, "--out", str(tmp_path / "out")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        assert any(end.stage in line for line in running.stderr)
        for each in end.signals:
            running.send_signal(each)
        said = running.stderr.read().splitlines()
        assert running.wait(timeout=ENOUGH_S) == ExitCode.INTERRUPTED
    assert said[-1] == end.last_line and "Traceback" not in "".join(said)
    assert not (tmp_path / "out").exists()


WITH_A_THREAD_THAT_NEVER_ENDS = """
import sys, threading
from controller.app.cli import main, process
def run(args):
    threading.Thread(target=threading.Event().wait).start()
    raise KeyboardInterrupt
process.run = run
sys.exit(main.main())
"""


def test_a_thread_that_never_ends_does_not_keep_an_interrupted_run(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITH_A_THREAD_THAT_NEVER_ENDS, "process", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=ENOUGH_S,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (ExitCode.INTERRUPTED, "dualtilt: interrupted\n")


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
def test_a_batch_that_is_ended_says_how_to_continue(
    ended_by: signal.Signals, tmp_path: Path
) -> None:
    pytest.importorskip("distributed", reason="needs the extra `cluster`")
    write_stack(tmp_path, "A", packed(18, 8.6, order="fcc", seed=3))
    command = [sys.executable, "-m", "controller.app.cli.main", "batch", str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None and running.stdout is not None
        assert any("dashboard" in line for line in running.stderr)
        running.send_signal(ended_by)
        said = running.stdout.read().splitlines()
        assert running.wait(timeout=ENOUGH_S) == ExitCode.INTERRUPTED
    assert said[-1] == "interrupted with 1 sessions left; the same command continues"
    assert not (tmp_path / "processed" / "summary.json").exists()
