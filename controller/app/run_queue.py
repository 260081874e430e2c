"""Queue of targets on one grid: series A of each, one flip, then series B of each.

The queue only decides which session comes next and what its end means. Each session is an ordinary
one with its own journal, so that a queue that was killed continues where its sessions are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from controller.common.errors import DualtiltError
from controller.common.exit_codes import ExitCode
from controller.model.base import SeriesName
from controller.session.queue_journal import (
    GridFlipped,
    QueueEntry,
    QueueJournal,
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
        """Run a target's session: up to the flip, or after the flip to its end."""

    def run_flip(self, recorded: tuple[str, ...]) -> tuple[Outcome, GridFlipped | None]:
        """Flip the grid for the targets with a series A; None if they were not found."""


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
) -> ExitCode:
    """Run all targets that are left; return the exit code.

    Parameters
    ----------
    stop_asked
        Tells whether to stop after the present target.
    show
        Called after each change of the journal's state.

    Raises
    ------
    QueueEndedError
        The operator stopped, or a session ended for a reason that also concerns the others.
    """
    show()
    while (entry := _next_entry(journal, sessions, stop_asked)) is not None:
        journal.append(entry)
        show()
    done = journal.state.in_state(TargetState.DONE)
    problems = any(journal.state.targets[name].reason for name in done)
    if journal.state.in_state(TargetState.SET_ASIDE):
        return ExitCode.SAFETY
    return ExitCode.PROCESSING_FAILED if problems else ExitCode.OK


def _next_entry(
    journal: QueueJournal, sessions: Sessions, stop_asked: Callable[[], bool]
) -> QueueEntry | None:
    """Run the next session; return the entry on its end, or None if no session is left."""
    state = journal.state
    waiting = state.in_state(TargetState.WAITING)
    recorded = state.in_state(TargetState.A_RECORDED)
    if not (waiting or recorded):
        return None
    if stop_asked():
        raise QueueEndedError("stopped after a target, as asked", ExitCode.INTERRUPTED)
    if waiting:
        return _judge_a(waiting[0], sessions.run_target(waiting[0]))
    if state.order_b is None:
        outcome, flipped = sessions.run_flip(recorded)
        if flipped is None:
            raise _ended("the flip", outcome)
        return flipped
    return _judge_b(recorded[0], sessions.run_target(recorded[0]))


def _judge_a(name: str, outcome: Outcome) -> QueueEntry:
    _raise_if_it_concerns_all(name, outcome)
    if outcome.exit_code == ExitCode.OK and "A" in outcome.recorded:
        return SeriesRecorded(target=name)
    return TargetSetAside(target=name, series="A", reason=outcome.reason)


def _judge_b(name: str, outcome: Outcome) -> QueueEntry:
    _raise_if_it_concerns_all(name, outcome)
    if "B" in outcome.recorded:
        problem = "" if outcome.exit_code == ExitCode.OK else outcome.reason
        return TargetDone(target=name, problem=problem)
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
    else:
        code, reason = outcome.exit_code, "the session failed"
    return QueueEndedError(f"{name}: {outcome.reason or reason}", code)
