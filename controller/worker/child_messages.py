"""Messages between the session and its processing children: one JSON line each.

The session sends one task at a time. The child sends the frame in progress, events to publish, and
the end of the task. A dead child costs only time: every task works from the files in the
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
    """Bring the live reconstruction up to date with the frames on disk."""

    kind: Literal["catch-up"] = "catch-up"
    series: SeriesName
    frames: tuple[RecordedFrame, ...]
    """Frames to be in the volume, without those withdrawn or given up; in order of section."""
    tilts_left: int
    """Tilts of the series still to be recorded."""

    @property
    def key(self) -> str:
        """Key of the task; a task replaces a waiting task with the same key."""
        return f"live-{self.series}"


class CountFrames(Data):
    """Count the particles in the frames of a series on disk."""

    kind: Literal["count-frames"] = "count-frames"
    series: SeriesName
    frames: tuple[RecordedFrame, ...]
    """Frames to use, in order of section."""
    tilts_left: int
    """Tilts of the series still to be recorded."""
    tilt_s: float | None = None
    """Time that a tilt takes (s); None if it is unknown."""

    @property
    def key(self) -> str:
        """Key of the task: of each series one count waits, of the newest frames."""
        return count_key(self.series)


def count_key(series: str) -> str:
    """Return the key of the counts of a series."""
    return f"count-{series}"


class RunJob(Data):
    """Carry out a job on complete series."""

    kind: Literal["run-job"] = "run-job"
    job: Job

    @property
    def key(self) -> str:
        """Key of the task: each job waits at most once."""
        return self.job.value


AnyTask = CatchUp | CountFrames | RunJob
Task = Annotated[AnyTask, Field(discriminator="kind")]
TASK: TypeAdapter[AnyTask] = TypeAdapter(Task)


class Working(Data):
    """Section of the frame in progress, blamed if the child dies."""

    kind: Literal["working"] = "working"
    section: int


class Published(Data):
    """Event for the log, the screens and the report."""

    kind: Literal["published"] = "published"
    event: Event


class Ended(Data):
    """The task is over."""

    kind: Literal["ended"] = "ended"
    ok: bool = True
    refused: bool = False
    """True if B does not show the flipped object of A."""
    reason: str = ""


Reply = Annotated[Working | Published | Ended, Field(discriminator="kind")]
REPLY: TypeAdapter[Working | Published | Ended] = TypeAdapter(Reply)
