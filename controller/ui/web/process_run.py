"""Processing that the page has started, and its output."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import deque
from collections.abc import Sequence

from controller.model.base import Data

LINES_KEPT = 400
CLEANS_UP_WITHIN_S = 5.0
"""Longest time for a command to end after Ctrl-C (s)."""


class RunState(Data):
    """State of the newest run; `exit_code` is None while it runs, and before the first one."""

    running: bool = False
    lines: tuple[str, ...] = ()
    exit_code: int | None = None


class ProcessRun:
    """Runs one command after the other, never two at once."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._running: asyncio.Task[None] | None = None
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)

    @property
    def state(self) -> RunState:
        """State of the newest run."""
        running = self._running is not None and not self._running.done()
        code = None if running or self._process is None else self._process.returncode
        return RunState(running=running, lines=tuple(self._lines), exit_code=code)

    def start(self, command: Sequence[str]) -> bool:
        """Start a command; return False if one is still running."""
        if self.state.running:
            return False
        self._lines.clear()
        self._process = None
        self._running = asyncio.create_task(self._run(command))
        return True

    async def stop(self) -> None:
        """End the run, if there is one, as Ctrl-C does."""
        if self._running is None or self._running.done():
            return
        if self._process is None:  # not begun yet
            self._running.cancel()
        else:
            _interrupt(self._process)
        _, still_running = await asyncio.wait([self._running], timeout=CLEANS_UP_WITHIN_S)
        if still_running and self._process is not None:  # one that was started to ignore Ctrl-C
            _end(self._process)
            await asyncio.wait(still_running)

    async def _run(self, command: Sequence[str]) -> None:
        self._process = process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal reaches it once, by `stop`
        )
        assert process.stdout is not None
        async for line in process.stdout:
            self._lines.append(line.decode(errors="replace").rstrip())
        await process.wait()


if os.name == "nt":

    def _interrupt(process: asyncio.subprocess.Process) -> None:
        process.terminate()

    _end = _interrupt

else:

    def _interrupt(process: asyncio.subprocess.Process) -> None:
        """Send Ctrl-C."""
        process.send_signal(signal.SIGINT)

    def _end(process: asyncio.subprocess.Process) -> None:
        """End the process and its children, which are a group of their own."""
        os.killpg(process.pid, signal.SIGTERM)
