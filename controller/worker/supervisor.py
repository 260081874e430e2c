"""Processing jobs of a session: queues that never block, and child processes that may die."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from controller.common.python_command import python_module_command
from controller.model.base import SeriesName
from controller.model.events import (
    Advised,
    Alerted,
    Counted,
    Event,
    Level,
    ProcessingFailed,
    Publish,
)
from controller.model.frames import RecordedFrame
from controller.model.more_tilts import MoreTilts
from controller.model.processing_jobs import LIVE_JOBS, Job, JobName, JobOutcome
from controller.worker.child_messages import AnyTask, CatchUp, CountFrames, Ended, RunJob, count_key
from controller.worker.count_schedule import RecordingPace
from controller.worker.lane import Lane

Command = Callable[[str], Sequence[str]]
"""Role (live, count or jobs) -> command line of the child."""

ROLES = ("live", "count", "jobs")
SILENT_LIMIT_S = 600.0
"""Longest time without a message from a working child; then it is restarted."""


class Supervisor:
    """Processing jobs in three child processes.

    One child adds each frame to the live reconstruction, one counts the particles so far, one runs
    the jobs, so that none waits for another. The queues hold only references to files: at most one
    live task and one count for each series, and one entry for each job.

    Parameters
    ----------
    folder
        Folder of the session; the children read and write only there.
    publish
        Receives events; must never block or raise.
    command
        Command line of a child by its role; for tests.
    silent_limit_s
        Longest time without a message from a working child; then it is restarted.
    roles
        Children to start; of a session that is recorded, the jobs child alone.
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
        roles: Sequence[str] = ROLES,
        counts_at_full_size: bool = False,
    ) -> None:
        self._publish = publish
        self._counts_at_full_size = counts_at_full_size
        self._changed = threading.Condition()
        self._outcomes: dict[Job, JobOutcome] = {}
        self._frames: dict[SeriesName, dict[int, RecordedFrame]] = {"A": {}, "B": {}}
        self._pace: dict[SeriesName, RecordingPace] = {"A": RecordingPace(), "B": RecordingPace()}
        self._tilts_left: dict[SeriesName, int] = {"A": 0, "B": 0}
        self._newest_used: dict[SeriesName, int] = {}
        self._more_tilts: dict[str, MoreTilts | None] = {}
        self._final: set[str] = set()
        """Volumes whose final count is published: live counts that are late tell nothing."""
        commands = command or _command_for(folder)
        passed_on = {"count": self._pass_on_live, "jobs": self._pass_on_final}
        self._lanes = {
            role: Lane(
                commands(role),
                folder,
                folder / "run" / f"worker-{role}.log",
                passed_on.get(role, publish),
                self._ended,
                self._give_up,
                silent_limit_s,
            )
            for role in roles
        }

    @property
    def behind(self) -> int:
        """Number of frames on disk that the live reconstruction has not used yet."""
        with self._changed:
            return sum(
                section > self._newest_used.get(series, -1)
                for series, frames in self._frames.items()
                for section in frames
            )

    @property
    def pids(self) -> dict[str, int | None]:
        """Process id of each child by its role; None while it is being started."""
        return {role: lane.pid for role, lane in self._lanes.items()}

    def frame_recorded(self, frame: RecordedFrame, tilts_left: int) -> None:
        """Announce a frame that is safe on disk, and the number of tilts left in its series."""
        with self._changed:
            self._frames[frame.series][frame.section] = frame
            self._tilts_left[frame.series] = tilts_left
            self._pace[frame.series].arrived(time.monotonic())
            self._follow(frame.series)

    def frame_withdrawn(self, series: SeriesName, section: int) -> None:
        """Withdraw a frame: its tilt is recorded again."""
        with self._changed:
            self._frames[series].pop(section, None)
            self._more_tilts.pop(series, None)  # a count to come tells it
            self._tilts_left[series] += 1
            self._follow(series)

    def tilt_missed(self, series: SeriesName, tilts_left: int) -> None:
        """Announce tilts without a frame, and the number of tilts left in their series."""
        with self._changed:
            self._tilts_left[series] = tilts_left
            self._follow(series)

    def more_tilts(self, series: SeriesName) -> MoreTilts | None:
        """Return what more tilts would add, by the newest live count; None if none tells it."""
        with self._changed:
            return self._more_tilts.get(series)

    def submit(self, job: Job) -> None:
        """Queue a job; a job that is submitted again is run again."""
        with self._changed:
            self._outcomes.pop(job, None)
            self._final.discard(job.value)
        if self._counts_at_full_size and job is not Job.FUSE:
            self._lanes["count"].abandon(count_key(job.value))
        self._lanes["jobs"].add(RunJob(job=job))

    def wait(self, job: Job, timeout_s: float) -> JobOutcome | None:
        """Wait up to `timeout_s`; return None while the job is still running.

        A job whose lane has ended is not waited for: it has failed.
        """
        with self._changed:
            if self._changed.wait_for(lambda: job in self._outcomes, timeout_s):
                return self._outcomes[job]
        ended_by = self._lanes["jobs"].ended_by
        if not ended_by:
            return None
        reason = f"the thread that runs job {job.value} has ended: {ended_by}"
        self._settle(job, Ended(ok=False, reason=reason))
        return self._outcomes[job]

    def close(self) -> None:
        """Kill the children, even during a task."""
        for lane in self._lanes.values():
            lane.close()

    def _pass_on_final(self, event: Event) -> None:
        """Publish an event of the jobs child; note the volumes that it has counted."""
        if isinstance(event, Counted):
            with self._changed:
                self._final.add(event.which)
        self._publish(event)

    def _pass_on_live(self, event: Event) -> None:
        """Publish an event of the count child; keep what it says about more tilts.

        Nothing is published about a volume whose final count is known.
        """
        with self._changed:
            match event:
                case Counted(which=name) | Advised(series=name) if name in self._final:
                    return
                case Counted():
                    self._more_tilts.pop(event.which, None)  # the advice follows
                case Advised(topic="convergence"):
                    self._more_tilts[event.series] = event.more_tilts
        self._publish(event)

    def _follow(self, series: SeriesName) -> None:
        """Queue the live reconstruction and the count of a series; the caller holds the lock."""
        catch_up = self._catch_up(series)
        if not catch_up.frames:
            return
        self._lanes["live"].add(catch_up)
        self._lanes["count"].add(
            CountFrames(
                series=series,
                frames=catch_up.frames,
                tilts_left=catch_up.tilts_left,
                tilt_s=self._pace[series].tilt_s,
            )
        )

    def _catch_up(self, series: SeriesName) -> CatchUp:
        frames = self._frames[series]  # in order of section
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
                    self._newest_used[task.series] = max(
                        newest, self._newest_used.get(task.series, -1)
                    )
                self._warn("reconstruction", task, ended)
            case CountFrames():
                self._warn("count", task, ended)
                with self._changed:  # apply the alignment that the count has refined
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
        outcome = JobOutcome(job=job, ok=ended.ok, refused=ended.refused, reason=ended.reason)
        try:
            if not ended.ok:
                self._publish(
                    ProcessingFailed(job=JobName(job), reason=ended.reason, refused=ended.refused)
                )
        finally:
            with self._changed:
                self._outcomes[job] = outcome
                self._changed.notify_all()

    def _give_up(self, task: AnyTask, section: int | None, cause: str) -> None:
        """Give up a task that ended its child twice; a series continues without the frame."""
        match task:
            case RunJob():
                reason = (
                    f"job {task.job.value} ended its process twice ({cause}); it is not tried again"
                )
                self._settle(task.job, Ended(ok=False, reason=reason))
            case CountFrames():
                reason = f"{len(task.frames)} images ended its process twice ({cause}); not counted"
                self._warn("count", task, Ended(ok=False, reason=reason))
            case CatchUp() if section is None:
                reason = f"the live reconstruction of {task.series} does not start ({cause})"
                self._publish(ProcessingFailed(job=LIVE_JOBS[task.series], reason=reason))
            case CatchUp():
                self._give_up_frame(task, section, cause)

    def _give_up_frame(self, task: CatchUp, section: int, cause: str) -> None:
        name = next(frame.name for frame in task.frames if frame.section == section)
        reason = f"{name} ended its process twice ({cause}); the live reconstruction leaves it out"
        self._publish(ProcessingFailed(job=LIVE_JOBS[task.series], reason=reason))
        with self._changed:
            self._frames[task.series].pop(section, None)
            self._follow(task.series)


def _command_for(folder: Path) -> Command:
    return lambda role: python_module_command(
        "controller.worker.child", role, str(folder.absolute())
    )
