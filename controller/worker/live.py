"""The live child's work: each new frame into a growing volume, and what it looks like by then."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from controller.model.base import SeriesName
from controller.model.events import Advised, Event, ProcessingProgressed, TiltJudged
from controller.model.protocol import read_protocol
from controller.session.previews import brightest, write_preview
from controller.worker.child import Handler, Reporter, first_line
from controller.worker.frames import angle_deg, superseded
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
        self._angles_deg: dict[int, float] = {}
        self._next = 0

    def catch_up(self, task: CatchUp) -> Ended:
        """Add every frame up to `task.upto`; show once, at the end."""
        trouble: list[str] = []
        most = MOVED_WITH_A_FRAME if task.upto >= self._next else MOVED_BETWEEN
        if task.upto + 1 >= self._planned:
            most = self._planned  # no frame waits any more
        for index in range(self._next, task.upto + 1):
            if index not in task.skip:
                self._report(Working(index=index))
                try:
                    self._add(index, task.upto)
                except (ProcessingError, ValueError) as error:
                    trouble.append(f"frame {self._series}#{index} left out: {first_line(error)}")
            self._next = index + 1
        self._show()
        self._revise(most)
        return Ended(ok=not trouble, reason="; ".join(trouble))

    def _say(self, event: Event) -> None:
        self._report(Said(event=event))

    def _add(self, index: int, upto: int) -> None:
        image = read_section(self._folder / f"{self._series}.mrc", index)
        alpha_deg = angle_deg(self._folder, self._series, index)
        if index == upto:
            caption = f"{self._series}#{index + 1} {alpha_deg:+.1f}°"
            self._say(write_preview(self._folder, "frame", image, caption))
        pixels = np.asarray(image, np.float32)
        for before in superseded(alpha_deg, self._angles_deg):
            self._volume.remove(before)
            del self._angles_deg[before]
        self._angles_deg[index] = alpha_deg
        tilt = self._volume.add(index, pixels, alpha_deg)
        self._judge(index, tilt)
        if fault := self._frame_check.fault(pixels, tilt):
            text = f"#{index + 1} at {alpha_deg:+.1f}°: {fault}; take it again"
            self._say(
                Advised(series=self._series, topic="retake", text=text, ok=False, index=index)
            )
        self._say(
            ProcessingProgressed(
                job="live-A" if self._series == "A" else "live-B",
                stage="live reconstruction",
                fraction=min(1.0, (index + 1) / self._planned),
                behind=upto - index,
            )
        )

    def _judge(self, index: int, tilt: LiveTilt) -> None:
        self._say(
            TiltJudged(
                series=self._series,
                index=index,
                residual_px=tilt.residual_px,
                shift_px=tilt.shift_px,
            )
        )

    def _revise(self, most: int) -> None:
        """Go after what counting has found out about the alignment, as far as there is time."""
        known = alignment_so_far(self._folder, self._series)
        if known is not None and known != self._known:
            self._known = known
            self._volume.revise_alignment(known.sections, known.alignment)
        for index, tilt in self._volume.move_tilts(most).items():
            self._judge(index, tilt)

    def _show(self) -> None:
        if self._volume.tilts:
            caption = f"{self._series} x-z, {self._volume.tilts} tilts"
            view = f"slice-{self._series}"
            image = self._volume.slice_xz()
            limits = (0.0, brightest(image))
            self._say(write_preview(self._folder, view, image, caption, limits))
