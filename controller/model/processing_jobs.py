"""Interface through which engine and steps give work to the processing process."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from controller.model.base import Data, SeriesName
from controller.model.frames import RecordedFrame
from controller.model.more_tilts import MoreTilts


class Job(StrEnum):
    """Kinds of processing jobs; each reads the files in the session's folder."""

    A = "A"
    B = "B"
    FUSE = "fuse"


class JobName(StrEnum):
    """Work of processing as named in events: the live reconstructions, and each `Job`."""

    LIVE_A = "live-A"
    LIVE_B = "live-B"
    A = Job.A.value
    B = Job.B.value
    FUSE = Job.FUSE.value

    @property
    def live_series(self) -> SeriesName | None:
        """Series of a live reconstruction; None for a job on complete series."""
        return _LIVE_SERIES.get(self)

    @property
    def is_live(self) -> bool:
        """True for a live reconstruction."""
        return self.live_series is not None


LIVE_JOBS: dict[SeriesName, JobName] = {"A": JobName.LIVE_A, "B": JobName.LIVE_B}
"""Live reconstruction of each series."""
_LIVE_SERIES = {job: series for series, job in LIVE_JOBS.items()}


class JobOutcome(Data):
    """Outcome of a job."""

    job: Job
    ok: bool
    refused: bool = False
    """True where B does not show the flipped object of A."""
    reason: str = ""


class ProcessingJobs(Protocol):
    """A queue of jobs; nothing here ever blocks acquisition."""

    def frame_recorded(self, frame: RecordedFrame, tilts_left: int) -> None:
        """Announce a frame that is safe on disk, and the number of tilts left in its series."""

    def frame_withdrawn(self, series: SeriesName, section: int) -> None:
        """Withdraw a frame: its tilt is recorded again."""

    def tilt_missed(self, series: SeriesName, tilts_left: int) -> None:
        """Announce tilts without a frame, and the number of tilts left in their series."""

    def more_tilts(self, series: SeriesName) -> MoreTilts | None:
        """Return what more tilts would add, by the newest live count; None if none tells it."""

    def submit(self, job: Job) -> None:
        """Queue a job; results go to the folder, progress is published as events."""

    def wait(self, job: Job, timeout_s: float) -> JobOutcome | None:
        """Wait up to `timeout_s`; return None while the job is still running."""
