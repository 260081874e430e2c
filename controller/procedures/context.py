"""Services available to a running step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from controller.common.errors import DualtiltError, SafetyStopError
from controller.model.base import SeriesName
from controller.model.commands import Answer
from controller.model.events import Alerted, Level, PauseCause, Publish
from controller.model.processing_jobs import ProcessingJobs
from controller.model.prompts import Prompt
from controller.model.protocol import Protocol as SessionProtocol
from controller.model.steps import step_name
from controller.procedures.guarded_microscope import GuardedMicroscope
from controller.session.session import Session

T = TypeVar("T")

RETRY_WRITE_AFTER_S = 2.0
"""Shortest wait before a failed write is tried again."""


class StopRequestedError(Exception):
    """Ends the session's work in an orderly way; the engine makes the microscope safe."""


class ContinuesLaterError(StopRequestedError):
    """The session of a target ends here and goes on later; not the operator's stop."""


class TargetLostError(SafetyStopError):
    """A target is not where it should be: its session ends, those of the others go on."""


class Operator(Protocol):
    """Operator, as a step sees them.

    Every call may raise :class:`StopRequestedError`. The beam is blanked while a call waits.
    """

    def checkpoint(self) -> None:
        """Wait here if a pause was requested; raise if a stop was requested."""

    def between_steps(self, *, ends_series: bool) -> None:
        """Wait here if a pause was requested; raise if a stop that takes effect here was.

        That is a stop now or after a tilt and, if the series ends here, one at its end.
        """

    def ask(self, step_id: str, prompt: Prompt) -> Answer:
        """Wait for the answer to a prompt."""

    def suspend(
        self,
        reason: str,
        ready: Callable[[], bool] | None = None,
        cause: PauseCause | None = None,
    ) -> None:
        """Pause until the operator goes on, or until `ready` returns True."""


@dataclass(kw_only=True)
class ResultsContext:
    """Services available to a step that makes results: no microscope is among them.

    Attributes
    ----------
    failures
        Errors that did not end the session; they decide its exit code.
    """

    session: Session
    operator: Operator
    jobs: ProcessingJobs
    publish: Publish
    write_report: Callable[[Path], Path]
    failures: list[DualtiltError] = field(default_factory=list)

    @property
    def protocol(self) -> SessionProtocol:
        return self.session.protocol

    def alert(self, level: Level, text: str, where: str) -> None:
        """Publish a message that needs no answer."""
        self.publish(Alerted(level=level, text=text, where=step_name(where)))

    def persist(self, write: Callable[[], T], what: str) -> T:
        """Write data that must not be lost; while the disk is full or missing, pause and retry.

        Parameters
        ----------
        what
            Name of the data, for the message.
        """
        while True:
            try:
                return write()
            except OSError as error:
                reason = error.strerror or str(error)
                self.operator.suspend(
                    f"{what} cannot be written to {self.session.folder.path}: {reason}; "
                    "it is kept in memory; resumes automatically when there is room",
                    self.make_room_check(),
                    PauseCause.HANDS,
                )

    def make_room_check(self) -> Callable[[], bool]:
        """Return a function that tells whether to retry a write: after a wait, if there is room."""
        not_before_s = time.monotonic() + RETRY_WRITE_AFTER_S
        return lambda: time.monotonic() >= not_before_s and self.session.has_disk_space()


@dataclass(kw_only=True)
class Context(ResultsContext):
    """Services available to any step.

    Attributes
    ----------
    left_s
        Estimated microscope time from the end of a step, given its id, to the end of its phase.
    tilts_left
        Number of tilts of a series still to be recorded.
    """

    microscope: GuardedMicroscope
    left_s: Callable[[str], float]
    tilts_left: Callable[[SeriesName], int]

    def lose_object(self, reason: str, remedy: str) -> None:
        """Pause until the operator has brought the object back.

        Raises
        ------
        TargetLostError
            The object is one of several targets: nobody is waited for.
        """
        if self.protocol.targets is not None:
            raise TargetLostError(reason)
        self.operator.suspend(f"{reason}{remedy}")
