"""What a step is given to be carried out with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from controller.common.errors import DualtiltError
from controller.model.base import SeriesName
from controller.model.commands import Answer
from controller.model.events import Alerted, Level, Publish
from controller.model.processing_jobs import ProcessingJobs
from controller.model.prompts import Prompt
from controller.model.protocol import Protocol as SessionProtocol
from controller.procedures.guarded_microscope import GuardedMicroscope
from controller.session.session import Session

T = TypeVar("T")

WRITE_AGAIN_AFTER_S = 2.0
"""At the soonest, after a write that failed."""


class StopRequestedError(Exception):
    """Ends the session's work where it stands, in order; the engine makes safe."""


class Operator(Protocol):
    """The person in charge, as far as a step is concerned.

    Every call may raise :class:`StopRequestedError`; the beam is blanked while any of them waits.
    """

    def checkpoint(self) -> None:
        """Give way to a pause or a stop."""

    def ask(self, step_id: str, prompt: Prompt) -> Answer:
        """Wait for the answer to a prompt."""

    def suspend(self, reason: str, ready: Callable[[], bool] | None = None) -> None:
        """Pause until the operator goes on, or until `ready` says so by itself."""


@dataclass
class Context:
    """Everything outside a step that it may use.

    Attributes
    ----------
    left_s
        Estimated microscope time from the end of a step, given its id, to the end of its phase.
    tilts_left
        Tilts of a series still to be recorded.
    failures
        What went wrong without ending the session; decides how it ends.
    """

    session: Session
    microscope: GuardedMicroscope
    operator: Operator
    jobs: ProcessingJobs
    publish: Publish
    write_report: Callable[[Path], Path]
    left_s: Callable[[str], float]
    tilts_left: Callable[[SeriesName], int]
    failures: list[DualtiltError] = field(default_factory=list)

    @property
    def protocol(self) -> SessionProtocol:
        return self.session.protocol

    def alert(self, level: Level, text: str, where: str) -> None:
        """Tell the operator something that needs no answer."""
        self.publish(Alerted(level=level, text=text, where=where))

    def persist(self, write: Callable[[], T], what: str) -> T:
        """Write what must not be lost: a full or missing disk is waited for."""
        while True:
            try:
                return write()
            except OSError as error:
                reason = error.strerror or str(error)
                self.operator.suspend(
                    f"{what} cannot be written to {self.session.folder.path}: {reason}; "
                    "it is kept in memory; goes on when there is room",
                    self.room_again(),
                )

    def room_again(self) -> Callable[[], bool]:
        """Make what tells that writing may be tried again: not at once, and only if it can work."""
        not_before_s = time.monotonic() + WRITE_AGAIN_AFTER_S
        return lambda: time.monotonic() >= not_before_s and self.session.has_disk_space()
