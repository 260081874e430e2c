"""What the session and its processing children say to each other: JSON, a line a message.

Down goes one task at a time; up come what the child is working on, events for everyone, and how
the task ended. A child that dies loses nothing but time: every task works from the files in the
session's folder.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from controller.model.base import Data, SeriesName
from controller.model.events import Event
from controller.model.frames import RecordedFrame
from controller.model.processing_jobs import Job


class CatchUp(Data):
    """Bring a live reconstruction up to the newest frame that is safe on disk."""

    kind: Literal["catch-up"] = "catch-up"
    series: SeriesName
    frames: tuple[RecordedFrame, ...]
    """Frames to be in the volume: recorded, neither withdrawn nor given up; in order of section."""
    tilts_left: int
    """Tilts of the series still to be recorded."""

    @property
    def key(self) -> str:
        """Tasks with the same key replace one another while they wait."""
        return f"live-{self.series}"


class CountFrames(Data):
    """Count the particles in the frames of a series that are safe on disk."""

    kind: Literal["count-frames"] = "count-frames"
    series: SeriesName
    frames: tuple[RecordedFrame, ...]
    """Frames to be counted from, in order of section."""
    tilts_left: int
    """Tilts of the series still to be recorded."""

    @property
    def key(self) -> str:
        """One count waits, of the newest frames."""
        return count_key(self.series)


def count_key(series: str) -> str:
    """Key of every count of a series."""
    return f"count-{series}"


class RunJob(Data):
    """Carry out a job on complete series."""

    kind: Literal["run-job"] = "run-job"
    job: Job

    @property
    def key(self) -> str:
        """A job waits once, however often it is asked for."""
        return self.job.value


AnyTask = CatchUp | CountFrames | RunJob
Task = Annotated[AnyTask, Field(discriminator="kind")]
TASK: TypeAdapter[AnyTask] = TypeAdapter(Task)


class Working(Data):
    """Frame in progress, blamed if the worker dies."""

    kind: Literal["working"] = "working"
    section: int


class Said(Data):
    """Something for the log, the screens and the report."""

    kind: Literal["said"] = "said"
    event: Event


class Ended(Data):
    """The task is over."""

    kind: Literal["ended"] = "ended"
    ok: bool = True
    refused: bool = False
    """Where B was found to be no flipped A."""
    reason: str = ""


Report = Annotated[Working | Said | Ended, Field(discriminator="kind")]
REPORT: TypeAdapter[Working | Said | Ended] = TypeAdapter(Report)
