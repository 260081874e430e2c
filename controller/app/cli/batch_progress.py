"""Progress of a batch: bars on a terminal, else one line for each session."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from controller.app.batch_sessions import Shown
from controller.app.cli.batch_table import described
from processing.batch.process_session import SessionOutcome

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class ShownBatch(Shown, Protocol):
    """Display that also shows each session that has ended."""

    def ended(self, outcome: SessionOutcome) -> None:
        """Show the outcome of a session."""


@contextlib.contextmanager
def shown_batch(sessions: int) -> Iterator[ShownBatch]:
    """Give a display on stderr: bars on a terminal, else lines."""
    if not sys.stderr.isatty():
        yield _Lines(sessions)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        yield _Bars(bars, sessions)


class _Lines:
    """One line for each session that has ended."""

    def __init__(self, sessions: int) -> None:
        self._sessions, self._ended = sessions, 0

    def started(self, dashboard: str) -> None:
        sessions = "1 session" if self._sessions == 1 else f"{self._sessions} sessions"
        _print(f"{sessions}; dashboard: {dashboard}")

    def progressed(self, session: str, stage: str, fraction: float) -> None:
        """Show nothing: stages of several sessions side by side would be unreadable."""

    def said(self, line: str) -> None:
        _print(line)

    def ended(self, outcome: SessionOutcome) -> None:
        self._ended += 1
        _print(f"{self._ended}/{self._sessions} {described(outcome)}")


class _Bars:
    """A bar for the batch, and one for each session in progress."""

    def __init__(self, bars: Progress, sessions: int) -> None:
        self._bars = bars
        self._all = bars.add_task("sessions", total=sessions)
        self._running: dict[str, TaskID] = {}

    def started(self, dashboard: str) -> None:
        self._bars.console.print(f"dashboard: {dashboard}")

    def progressed(self, session: str, stage: str, fraction: float) -> None:
        name = f"{Path(session).name}: {stage}"
        if session not in self._running:
            self._running[session] = self._bars.add_task(name, total=100)
        self._bars.update(self._running[session], description=name, completed=round(100 * fraction))

    def said(self, line: str) -> None:
        self._bars.console.print(line, highlight=False)

    def ended(self, outcome: SessionOutcome) -> None:
        bar = self._running.pop(str(outcome.session), None)
        if bar is not None:
            self._bars.remove_task(bar)
        self._bars.advance(self._all)
        self._bars.console.print(described(outcome), highlight=False)


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
