"""How engine and steps hand work to processing, which runs in a process of its own."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from controller.model.base import Data, SeriesName
from controller.model.frames import RecordedFrame


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

    def frame_recorded(self, frame: RecordedFrame, tilts_left: int) -> None:
        """Tell that a frame is safe on disk, and how many tilts of its series are left."""

    def frame_withdrawn(self, series: SeriesName, section: int) -> None:
        """Tell that a frame must not be used any more: its tilt is recorded again."""

    def tilt_missed(self, series: SeriesName, tilts_left: int) -> None:
        """Tell that a tilt was skipped, and how many of its series are left."""

    def submit(self, job: Job) -> None:
        """Ask for a job; results go to the folder, progress becomes events."""

    def wait(self, job: Job, timeout_s: float) -> JobOutcome | None:
        """Wait up to `timeout_s`; None while the job is still running."""
