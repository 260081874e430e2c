"""The live child's work: each new frame into a growing volume, and what it looks like by then."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from controller.model.base import SeriesName
from controller.model.events import Advised, Event, ProcessingProgressed, TiltJudged
from controller.model.frames import RecordedFrame
from controller.model.processing_jobs import LIVE_JOBS
from controller.model.protocol import read_protocol
from controller.session.previews import brightest, write_preview
from controller.worker.child import Handler, Reporter, first_line
from controller.worker.known import KnownAlignment, alignment_so_far
from controller.worker.messages import AnyTask, CatchUp, Ended, Said, Working
from processing.errors import ProcessingError
from processing.files.section import read_section
from processing.live.frame_check import FrameCheck
from processing.live.reconstruction import LiveReconstruction, LiveTilt

MOVED_WITH_A_FRAME, MOVED_BETWEEN = 6, 20
"""Tilts that are put where the count's alignment wants them at a time: a fraction of a second's
work, and what the next frame may wait for."""


def handler(folder: Path, report: Reporter) -> Handler:
    """What the child does with a task."""
    watched: dict[SeriesName, LiveSeries] = {}

    def handle(task: AnyTask) -> Ended:
        assert isinstance(task, CatchUp)
        if task.series not in watched:
            watched.clear()  # one volume at a time: B begins where A has ended
            watched[task.series] = LiveSeries(folder, task.series, report)
        return watched[task.series].catch_up(task)

    return handle


class LiveSeries:
    """One series as it grows."""

    def __init__(self, folder: Path, series: SeriesName, report: Reporter) -> None:
        self._folder, self._series, self._report = folder, series, report
        protocol = read_protocol(folder / "protocol.toml")
        scan = protocol.scan
        self._planned = len(protocol.series(series).tilts_deg)
        self._volume = LiveReconstruction((scan.height_px, scan.width_px), scan.pixel_nm)
        self._frame_check = FrameCheck(scan.pixel_nm)
        self._known: KnownAlignment | None = None
        self._in_volume: dict[int, RecordedFrame] = {}
        self._tried: set[int] = set()

    def catch_up(self, task: CatchUp) -> Ended:
        """Have exactly the task's frames in the volume; show the result once, at the end."""
        wanted = {frame.section for frame in task.frames}
        for section in self._in_volume.keys() - wanted:  # withdrawn: recorded again
            self._volume.remove(section)
            del self._in_volume[section]
        fresh = [frame for frame in task.frames if frame.section not in self._tried]
        trouble: list[str] = []
        for number, frame in enumerate(fresh, start=1):
            self._report(Working(section=frame.section))
            self._tried.add(frame.section)
            try:
                self._add(frame, behind=len(fresh) - number, tilts_left=task.tilts_left)
            except (ProcessingError, ValueError) as error:
                trouble.append(f"frame {frame.name} left out: {first_line(error)}")
        self._show()
        self._apply_alignment(self._most_moves(task, bool(fresh)))
        return Ended(ok=not trouble, reason="; ".join(trouble))

    def _most_moves(self, task: CatchUp, after_a_frame: bool) -> int:
        """Return the limit on tilts moved at once: none where no frame waits any more."""
        if task.tilts_left == 0:
            return self._planned
        return MOVED_WITH_A_FRAME if after_a_frame else MOVED_BETWEEN

    def _say(self, event: Event) -> None:
        self._report(Said(event=event))

    def _add(self, frame: RecordedFrame, behind: int, tilts_left: int) -> None:
        image = read_section(self._folder / f"{self._series}.mrc", frame.section)
        if behind == 0:
            caption = f"{frame.name} {frame.actual_deg:+.1f}°"
            self._say(write_preview(self._folder, "frame", image, caption))
        pixels = np.asarray(image, np.float32)
        tilt = self._volume.add(frame.section, pixels, frame.actual_deg)
        self._in_volume[frame.section] = frame
        self._judge(frame, tilt)
        if fault := self._frame_check.fault(pixels, tilt):
            text = f"{fault} at {frame.actual_deg:+.1f}°; record it again"
            self._say(
                Advised(
                    series=self._series,
                    topic="retake",
                    text=text,
                    ok=False,
                    tilt_number=frame.tilt_number,
                )
            )
        self._say(
            ProcessingProgressed(
                job=LIVE_JOBS[self._series],
                stage="live reconstruction",
                fraction=max(0.0, (self._planned - tilts_left - behind) / self._planned),
                behind=behind,
            )
        )

    def _judge(self, frame: RecordedFrame, tilt: LiveTilt) -> None:
        self._say(
            TiltJudged(
                series=self._series,
                tilt_number=frame.tilt_number,
                section=frame.section,
                residual_px=tilt.residual_px,
                shift_px=tilt.shift_px,
            )
        )

    def _apply_alignment(self, most: int) -> None:
        """Apply the counter's refined alignment, within a limit on the tilts moved."""
        known = alignment_so_far(self._folder, self._series)
        if known is not None and known != self._known:
            self._known = known
            self._volume.revise_alignment(known.sections, known.alignment)
        for section, tilt in self._volume.move_tilts(most).items():
            self._judge(self._in_volume[section], tilt)

    def _show(self) -> None:
        if self._volume.tilts:
            caption = f"{self._series} x-z, {self._volume.tilts} tilts"
            view = f"slice-{self._series}"
            image = self._volume.slice_xz()
            limits = (0.0, brightest(image))
            self._say(write_preview(self._folder, view, image, caption, limits))
