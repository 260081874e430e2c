"""Processes started by tests, and those of a session; all end with their test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., subprocess.Popen[str]]
VERBS = "controller.app.cli.main"
VERBS_WITH_FAULTS = "tests.support.run_with_faults"


@contextmanager
def python(*words: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run Python with these arguments during one block; kill it at the end if it still runs."""
    with subprocess.Popen([sys.executable, *words], text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a command: start("run", ..., faults=None); stdout contains stderr too."""
    with ExitStack() as started:

        def start(*words: str, faults: Path | None = None) -> subprocess.Popen[str]:
            module = (VERBS,) if faults is None else (VERBS_WITH_FAULTS, str(faults))
            return started.enter_context(
                python(
                    *("-m", *module, *words),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    cwd=Path(__file__).parents[2],
                )
            )

        yield start


def processes_of(folder: Path) -> list[int]:
    """Return the ids of session, bridge and worker: processes that name the folder. Linux only.

    Commands that the test itself started are excluded.
    """
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        names_it = any(word.startswith(os.fsencode(folder)) for word in words)
        if names_it and not {VERBS.encode(), VERBS_WITH_FAULTS.encode()} & set(words):
            found.append(int(process.name))
    return found


def kill_session(folder: Path) -> None:
    """Kill (-9) all processes of a session at once."""
    for pid in processes_of(folder):
        os.kill(pid, signal.SIGKILL)
