"""How engine and steps hand work to processing, which runs in a process of its own."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from controller.model.base import Data, SeriesName


class Job(StrEnum):
    """What processing can be asked for; each works from the files in the session's folder."""

    A = "A"
    B = "B"
    FUSE = "fuse"


class JobOutcome(Data):
    """How a job ended."""

    job: Job
    ok: bool
    refused: bool = False
    """True where B was found to be no flipped A."""
    reason: str = ""


class ProcessingJobs(Protocol):
    """A queue of jobs; nothing here ever blocks acquisition."""

    def frame_recorded(self, series: SeriesName, index: int) -> None:
        """Tell that section `index` of a series is safe on disk."""

    def submit(self, job: Job) -> None:
        """Ask for a job; results go to the folder, progress becomes events."""

    def wait(self, job: Job, timeout_s: float) -> JobOutcome | None:
        """Wait up to `timeout_s`; None while the job is still running."""
