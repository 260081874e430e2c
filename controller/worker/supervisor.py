"""Processing as the session sees it: a queue that never blocks and children that may die."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic

from controller.common.python_command import python_module_command
from controller.model.base import SeriesName
from controller.model.events import Alerted, Level, ProcessingFailed, Publish
from controller.model.frames import RecordedFrame
from controller.model.processing_jobs import LIVE_JOBS, Job, JobName, JobOutcome
from controller.worker.lane import Lane
from controller.worker.messages import AnyTask, CatchUp, CountFrames, Ended, RunJob, count_key

Command = Callable[[str], Sequence[str]]
"""Role (live, count or jobs) -> command line of the child."""

SILENT_LIMIT_S = 600.0


class Supervisor:
    """Processing jobs in three child processes.

    One child follows the frames as they come, one counts the particles in what there is, one
    carries out the jobs, so that none waits for another. What waits are references to files: the
    newest frame of either series, twice, and at most one entry a job.

    Parameters
    ----------
    folder
        The session's folder; the children read and write there and nowhere else.
    publish
        Takes events; never blocks, never raises.
    command
        Command line of a child by its role; for tests.
    silent_limit_s
        A child that works and says nothing for so long is started again.
    counts_at_full_size
        Live counts use the images as recorded. The job on a complete series then repeats its live
        count at the same cost, and the count is abandoned when the job begins.
    """

    def __init__(
        self,
        folder: Path,
        publish: Publish,
        *,
        command: Command | None = None,
        silent_limit_s: float = SILENT_LIMIT_S,
        counts_at_full_size: bool = False,
    ) -> None:
        self._publish = publish
        self._counts_at_full_size = counts_at_full_size
        self._changed = threading.Condition()
        self._outcomes: dict[Job, JobOutcome] = {}
        self._frames: dict[SeriesName, dict[int, RecordedFrame]] = {"A": {}, "B": {}}
        self._tilts_left: dict[SeriesName, int] = {"A": 0, "B": 0}
        self._seen: dict[SeriesName, int] = {}
        commands = command or _command_for(folder)
        self._lanes = {
            role: Lane(
                commands(role),
                folder / "run" / f"worker-{role}.log",
                publish,
                self._ended,
                self._killed_twice,
                silent_limit_s,
            )
            for role in ("live", "count", "jobs")
        }

    @property
    def behind(self) -> int:
        """Frames on disk that the live reconstruction has not used yet."""
        with self._changed:
            return sum(
                section > self._seen.get(series, -1)
                for series, frames in self._frames.items()
                for section in frames
            )

    @property
    def pids(self) -> dict[str, int | None]:
        """Process of each child by its role; None while one is being started."""
        return {role: lane.pid for role, lane in self._lanes.items()}

    def frame_recorded(self, frame: RecordedFrame, tilts_left: int) -> None:
        """Tell that a frame is safe on disk, and how many tilts of its series are left."""
        with self._changed:
            self._frames[frame.series][frame.section] = frame
            self._tilts_left[frame.series] = tilts_left
            self._follow(frame.series)

    def frame_withdrawn(self, series: SeriesName, section: int) -> None:
        """Tell that a frame must not be used any more: its tilt is recorded again."""
        with self._changed:
            self._frames[series].pop(section, None)
            self._tilts_left[series] += 1
            self._follow(series)

    def tilt_missed(self, series: SeriesName, tilts_left: int) -> None:
        """Tell that a tilt was skipped, and how many of its series are left."""
        with self._changed:
            self._tilts_left[series] = tilts_left
            self._follow(series)

    def submit(self, job: Job) -> None:
        """Ask for a job; a job asked for again is done again."""
        with self._changed:
            self._outcomes.pop(job, None)
        if self._counts_at_full_size and job is not Job.FUSE:
            self._lanes["count"].abandon(count_key(job.value))
        self._lanes["jobs"].add(RunJob(job=job))

    def wait(self, job: Job, timeout_s: float) -> JobOutcome | None:
        """Wait up to `timeout_s`; None while the job is still running."""
        until = monotonic() + timeout_s
        with self._changed:
            self._changed.wait_for(lambda: job in self._outcomes, max(0.0, until - monotonic()))
            return self._outcomes.get(job)

    def close(self) -> None:
        """End the children, whatever they do."""
        for lane in self._lanes.values():
            lane.close()

    def _follow(self, series: SeriesName) -> None:
        """Queue the live reconstruction and the count of a series; the caller holds the lock."""
        catch_up = self._catch_up(series)
        if not catch_up.frames:
            return
        self._lanes["live"].add(catch_up)
        self._lanes["count"].add(
            CountFrames(series=series, frames=catch_up.frames, tilts_left=catch_up.tilts_left)
        )

    def _catch_up(self, series: SeriesName) -> CatchUp:
        frames = self._frames[series]  # told in order of section
        return CatchUp(
            series=series,
            frames=tuple(frames.values()),
            tilts_left=self._tilts_left[series],
        )

    def _ended(self, task: AnyTask, ended: Ended) -> None:
        match task:
            case RunJob():
                self._settle(task.job, ended)
            case CatchUp():
                with self._changed:
                    newest = task.frames[-1].section
                    self._seen[task.series] = max(newest, self._seen.get(task.series, -1))
                self._warn("reconstruction", task, ended)
            case CountFrames():
                self._warn("count", task, ended)
                with self._changed:  # the count has refined the alignment: apply it
                    self._lanes["live"].add(self._catch_up(task.series))

    def _warn(self, what: str, task: CatchUp | CountFrames, ended: Ended) -> None:
        if not ended.ok:
            self._publish(
                Alerted(
                    level=Level.WARNING,
                    text=f"live {what} of {task.series}: {ended.reason}",
                    where=task.frames[-1].name,
                )
            )

    def _settle(self, job: Job, ended: Ended) -> None:
        if not ended.ok:
            self._publish(
                ProcessingFailed(job=JobName(job), reason=ended.reason, refused=ended.refused)
            )
        outcome = JobOutcome(job=job, ok=ended.ok, refused=ended.refused, reason=ended.reason)
        with self._changed:
            self._outcomes[job] = outcome
            self._changed.notify_all()

    def _killed_twice(self, task: AnyTask, section: int | None, how: str) -> None:
        """Give up what killed its child twice; a series continues without the frame."""
        match task:
            case RunJob():
                reason = f"job {task.job.value} ended its process twice ({how}) and is given up"
                self._settle(task.job, Ended(ok=False, reason=reason))
            case CountFrames():
                reason = (
                    f"of {len(task.frames)} images ended its process twice ({how}) and is left out"
                )
                self._warn("count", task, Ended(ok=False, reason=reason))
            case CatchUp() if section is None:
                reason = f"the live reconstruction of {task.series} does not start ({how})"
                self._publish(ProcessingFailed(job=LIVE_JOBS[task.series], reason=reason))
            case CatchUp():
                self._give_up_frame(task, section, how)

    def _give_up_frame(self, task: CatchUp, section: int, how: str) -> None:
        name = next(frame.name for frame in task.frames if frame.section == section)
        reason = f"frame {name} ended its process twice ({how}) and is skipped"
        self._publish(ProcessingFailed(job=LIVE_JOBS[task.series], reason=reason))
        with self._changed:
            self._frames[task.series].pop(section, None)
            self._follow(task.series)


def _command_for(folder: Path) -> Command:
    return lambda role: python_module_command("controller.worker.child", role, str(folder))
