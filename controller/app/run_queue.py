"""Queue of targets on one grid: series A of each, one flip, then series B of each.

The queue only decides which session comes next and what its end means. Each session is an ordinary
one with its own journal, so that a queue that was killed continues where its sessions are. The
results of a target are made while the next one is recorded.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from controller.app.results_line import ResultsLine
from controller.common.errors import DualtiltError
from controller.common.exit_codes import ExitCode
from controller.model.base import SeriesName
from controller.session.queue_journal import (
    GridFlipped,
    QueueEntry,
    QueueJournal,
    QueueState,
    SeriesRecorded,
    TargetDone,
    TargetSetAside,
    TargetState,
)


@dataclass(frozen=True)
class Outcome:
    """End of one run of a session.

    Attributes
    ----------
    exit_code
        None if its process was killed.
    reason
        Reason why it ended, in one line.
    began
        True if the run passed its pre-flight checks.
    recorded
        Series that are complete.
    """

    exit_code: ExitCode | None
    reason: str = ""
    began: bool = True
    recorded: frozenset[SeriesName] = frozenset()


class Sessions(Protocol):
    """Sessions of a grid: each call runs or resumes one, and returns when it has ended."""

    def run_target(self, name: str) -> Outcome:
        """Run a target's session up to the flip, or after the flip until B is recorded."""

    def run_flip(self, recorded: tuple[str, ...]) -> tuple[Outcome, GridFlipped | None]:
        """Flip the grid for the targets with a series A; None if they were not found."""

    def make_results(self, name: str) -> Outcome:
        """Make the results of a target with both series; called on a thread of its own."""


class QueueEndedError(DualtiltError):
    """The queue cannot continue now; `dualtilt resume` continues it."""

    def __init__(self, reason: str, exit_code: ExitCode) -> None:
        super().__init__(reason)
        self.exit_code = exit_code


def run_queue(
    journal: QueueJournal,
    sessions: Sessions,
    stop_asked: Callable[[], bool],
    show: Callable[[], None],
    say: Callable[[str], None],
) -> ExitCode:
    """Run all targets that are left; return the exit code.

    Parameters
    ----------
    stop_asked
        Tells whether to stop after the present target.
    show
        Called after each change of the journal's state.
    say
        Shows a line on the terminal.

    Raises
    ------
    QueueEndedError
        The operator stopped, or a session ended for a reason that also concerns the others.
    """
    queue = _Queue(journal, sessions, show, say)
    try:
        return queue.run(stop_asked)
    finally:
        if left := queue.results.leave():
            say(f"the results of {left} are still being made, by a process of their own")


class _Queue:
    """One run of the queue: the sessions under the beam, and the line of results beside them."""

    def __init__(
        self,
        journal: QueueJournal,
        sessions: Sessions,
        show: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self._journal, self._sessions, self._show, self._say = journal, sessions, show, say
        self._entering = threading.Lock()
        self._unmade: dict[str, Outcome] = {}
        """Outcomes of results that a resume makes."""
        self.results = ResultsLine(sessions.make_results, self._take_results)

    def run(self, stop_asked: Callable[[], bool]) -> ExitCode:
        """Run all targets that are left; return the exit code."""
        self._show()
        for name in self._journal.state.in_state(TargetState.B_RECORDED):
            self.results.add(name)
        while (entry := self._next_entry(stop_asked)) is not None:
            self._enter(entry)
            if isinstance(entry, SeriesRecorded) and entry.series == "B":
                self.results.add(entry.target)
        self._wait_for_results()
        for name, outcome in self._unmade.items():
            raise QueueEndedError(
                f"{name}: the results are missing",
                ExitCode.INTERNAL_ERROR if outcome.exit_code is None else outcome.exit_code,
            )
        return _exit_code(self._journal.state)

    def _enter(self, entry: QueueEntry) -> None:
        with self._entering:
            self._journal.append(entry)
            self._show()

    def _take_results(self, name: str, outcome: Outcome) -> None:
        """Enter the end of a target's results, on the thread of the line."""
        if outcome.exit_code in (None, ExitCode.INTERRUPTED, ExitCode.USAGE):
            self._unmade[name] = outcome
            self._say(f"{name}: results: {outcome.reason or 'their process was killed'}")
            return
        before = self._journal.state.targets[name].reason
        problem = before if outcome.exit_code == ExitCode.OK else outcome.reason
        self._enter(TargetDone(target=name, problem=problem))

    def _wait_for_results(self) -> None:
        if self.results.names:
            self._say(f"waiting for the results of {', '.join(self.results.names)}")
        try:
            self.results.wait()
        except KeyboardInterrupt:
            raise QueueEndedError("all series are recorded", ExitCode.INTERRUPTED) from None

    def _next_entry(self, stop_asked: Callable[[], bool]) -> QueueEntry | None:
        """Run the next session; return the entry on its end, or None if no session is left."""
        self.results.raise_error()
        state = self._journal.state
        waiting = state.in_state(TargetState.WAITING)
        recorded = state.in_state(TargetState.A_RECORDED)
        if not (waiting or recorded):
            return None
        if stop_asked():
            self._wait_for_results()
            raise QueueEndedError("stopped after a target, as asked", ExitCode.INTERRUPTED)
        if waiting:
            return _judge_a(waiting[0], self._sessions.run_target(waiting[0]))
        if state.order_b is None:
            outcome, flipped = self._sessions.run_flip(recorded)
            if flipped is None:
                raise _ended("the flip", outcome)
            return flipped
        return _judge_b(recorded[0], self._sessions.run_target(recorded[0]))


def _exit_code(state: QueueState) -> ExitCode:
    """Return the exit code of a queue that has run to its end."""
    if state.in_state(TargetState.SET_ASIDE):
        return ExitCode.SAFETY
    problems = any(state.targets[name].reason for name in state.in_state(TargetState.DONE))
    return ExitCode.PROCESSING_FAILED if problems else ExitCode.OK


def _judge_a(name: str, outcome: Outcome) -> QueueEntry:
    _raise_if_it_concerns_all(name, outcome)
    if outcome.exit_code == ExitCode.OK and "A" in outcome.recorded:
        return SeriesRecorded(target=name, series="A")
    return TargetSetAside(target=name, series="A", reason=outcome.reason)


def _judge_b(name: str, outcome: Outcome) -> QueueEntry:
    _raise_if_it_concerns_all(name, outcome)
    if "B" in outcome.recorded:
        problem = "" if outcome.exit_code == ExitCode.OK else outcome.reason
        return SeriesRecorded(target=name, series="B", problem=problem)
    return TargetSetAside(target=name, series="B", reason=outcome.reason)


def _raise_if_it_concerns_all(name: str, outcome: Outcome) -> None:
    """End the queue where the next target would fare no better: a stop, the bridge, a check."""
    concerns_all = (None, ExitCode.INTERRUPTED, ExitCode.BRIDGE, ExitCode.USAGE)
    if outcome.exit_code in concerns_all or not outcome.began:
        raise _ended(name, outcome)


def _ended(name: str, outcome: Outcome) -> QueueEndedError:
    if outcome.exit_code is None:
        code, reason = ExitCode.INTERNAL_ERROR, "the session was killed"
    elif outcome.exit_code == ExitCode.OK:  # it ended well, but did not do what the queue needs
        code, reason = ExitCode.SAFETY, "the session ended too early"
    elif outcome.exit_code == ExitCode.INTERRUPTED:
        code, reason = outcome.exit_code, "the session was stopped"
    else:
        code, reason = outcome.exit_code, "the session failed"
    return QueueEndedError(f"{name}: {outcome.reason or reason}", code)
