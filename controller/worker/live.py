"""Work of the live child: add each new frame to a growing volume and publish its slices."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from controller.common.errors import UsageError
from controller.model.base import SeriesName
from controller.model.events import Advised, Event, ProcessingProgressed, TiltJudged
from controller.model.frames import RecordedFrame
from controller.model.processing_jobs import LIVE_JOBS
from controller.session.folder import SessionFolder
from controller.session.previews import brightest, write_preview
from controller.worker.child import Handler, Send, describe_error
from controller.worker.child_messages import AnyTask, CatchUp, Ended, Published, Working
from controller.worker.freed_memory import keep_freed_memory
from controller.worker.refined_alignment import RefinedAlignment, read_refined_alignment
from processing.errors import ProcessingError
from processing.files.section import read_section
from processing.images.repair_pixels import repair_image
from processing.images.upright import turned_upright, upright_shape
from processing.live.frame_check import FrameCheck
from processing.live.reconstruction import LiveReconstruction, LiveTilt

MAX_MOVES = 4
"""Largest number of tilts moved at once to their refined shifts: not half a second's work, for
which the next frame may have to wait."""


def handler(folder: Path, send: Send) -> Handler:
    """Return the function that carries out the tasks of this child."""
    keep_freed_memory()
    reconstruction = cache(partial(_reconstruction, folder))
    with suppress(UsageError):  # a task tells what is wrong with the protocol
        # before the first frame: the system takes a second to hand out the memory
        reconstruction()
    watched: dict[SeriesName, LiveSeries] = {}

    def handle(task: AnyTask) -> Ended:
        assert isinstance(task, CatchUp)
        if task.series not in watched:
            watched.clear()  # one series at a time: B begins when A has ended
            volume = reconstruction()
            volume.clear()
            watched[task.series] = LiveSeries(folder, task.series, volume, send)
        return watched[task.series].catch_up(task)

    return handle


def _reconstruction(folder: Path) -> LiveReconstruction:
    """Return an empty reconstruction from frames of the session's size."""
    protocol = SessionFolder(folder).read_protocol()
    frame = protocol.scan.height_px, protocol.scan.width_px
    shape = upright_shape(frame, protocol.column.tilt_axis_deg)
    return LiveReconstruction(shape, protocol.scan.pixel_nm)


class LiveSeries:
    """Live reconstruction of one growing series."""

    def __init__(
        self, folder: Path, series: SeriesName, volume: LiveReconstruction, send: Send
    ) -> None:
        self._folder, self._series, self._send = folder, series, send
        protocol = SessionFolder(folder).read_protocol()
        self._planned = len(protocol.series(series).tilts_deg)
        self._pixel_nm = protocol.scan.pixel_nm
        self._tilt_axis_deg = protocol.column.tilt_axis_deg
        self._volume = volume
        self._frame_check = FrameCheck(self._volume.pixel_nm, self._volume.binning)
        self._refined: RefinedAlignment | None = None
        self._in_volume: dict[int, RecordedFrame] = {}
        self._tried: set[int] = set()
        self._beside = ThreadPoolExecutor(1)
        self._frame_shown: Future[None] | None = None

    def catch_up(self, task: CatchUp) -> Ended:
        """Bring the volume to exactly the frames of the task; publish its slice at the end."""
        wanted = {frame.section for frame in task.frames}
        for section in self._in_volume.keys() - wanted:  # withdrawn: the tilt is recorded again
            self._volume.remove(section)
            del self._in_volume[section]
        fresh = [frame for frame in task.frames if frame.section not in self._tried]
        failures: list[str] = []
        for number, frame in enumerate(fresh, start=1):
            self._send(Working(section=frame.section))
            self._tried.add(frame.section)
            try:
                self._add(frame, behind=len(fresh) - number, tilts_left=task.tilts_left)
            except (ProcessingError, ValueError) as error:
                failures.append(f"{frame.name} left out: {describe_error(error)}")
        self._show()
        shown, self._frame_shown = self._frame_shown, None
        if shown is not None:
            shown.result()
        # a complete series takes its last alignment as a whole
        self._apply_alignment(MAX_MOVES if task.tilts_left else self._planned)
        return Ended(ok=not failures, reason="; ".join(failures))

    def _publish(self, event: Event) -> None:
        self._send(Published(event=event))

    def _add(self, frame: RecordedFrame, behind: int, tilts_left: int) -> None:
        image = read_section(self._folder / f"{self._series}.mrc", frame.section)
        if behind == 0:
            # the disk may take half a second for a large frame; the slice does not wait for it
            self._frame_shown = self._beside.submit(self._show_frame, frame, image)
        repaired = repair_image(self._volume.binned(image))
        pixels = turned_upright(repaired, self._tilt_axis_deg)
        tilt = self._volume.add(frame.section, pixels, frame.actual_deg)
        self._in_volume[frame.section] = frame
        self._publish_tilt(frame, tilt)
        if fault := self._frame_check.fault(pixels, tilt):
            remedy = "record it again (r, with enough tilts to reach it)"
            text = f"{fault} at {frame.actual_deg:+.1f}°; {remedy}"
            self._publish(
                Advised(
                    series=self._series,
                    topic="retake",
                    text=text,
                    ok=False,
                    tilt_number=frame.tilt_number,
                )
            )
        self._publish(
            ProcessingProgressed(
                job=LIVE_JOBS[self._series],
                stage="live reconstruction",
                fraction=max(0.0, (self._planned - tilts_left - behind) / self._planned),
                behind=behind,
            )
        )

    def _publish_tilt(self, frame: RecordedFrame, tilt: LiveTilt) -> None:
        self._publish(
            TiltJudged(
                series=self._series,
                tilt_number=frame.tilt_number,
                section=frame.section,
                residual_px=tilt.residual_px,
                shift_px=tilt.shift_px,
            )
        )

    def _apply_alignment(self, limit: int) -> None:
        """Apply the refined alignment of the count child, moving at most `limit` tilts."""
        refined = read_refined_alignment(self._folder, self._series)
        if refined is not None and refined != self._refined:
            self._refined = refined
            self._volume.revise_alignment(refined.sections, refined.alignment)
        for section, tilt in self._volume.move_tilts(limit).items():
            self._publish_tilt(self._in_volume[section], tilt)

    def _show_frame(self, frame: RecordedFrame, image: NDArray[np.generic]) -> None:
        caption = f"{frame.name} {frame.actual_deg:+.1f}°"
        self._publish(write_preview(self._folder, "frame", image, caption, self._pixel_nm))

    def _show(self) -> None:
        if self._volume.tilts:
            caption = f"{self._series} x-z, {self._volume.tilts} tilts"
            view = f"slice-{self._series}"
            image = self._volume.slice_xz()
            limits = (0.0, brightest(image))
            pixel_nm = self._volume.pixel_nm
            self._publish(write_preview(self._folder, view, image, caption, pixel_nm, limits))
