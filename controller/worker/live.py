"""The live child's work: each new frame into a growing volume, shown and counted as it goes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from controller.events import Counted, Event, ProcessingProgressed, SeriesName, TiltJudged
from controller.protocol import read_protocol
from controller.worker.child import Handler, Reporter, one_line
from controller.worker.messages import CatchUp, Ended, RunJob, Said, Working
from controller.worker.previews import brightest, write_preview
from processing.errors import ProcessingError
from processing.files.rawtlt import read_rawtlt
from processing.files.section import read_section
from processing.live import LiveReconstruction

TILTS_BETWEEN_COUNTS = 8
LEAST_NEW_TILTS = 4
"""For a last count at the end: the change since the one before is part of its range."""
ANGLE_WAIT_S = 2.0
"""A frame is announced a moment before its angle is in the rawtlt."""


def handler(folder: Path, report: Reporter) -> Handler:
    """What the child does with a task."""
    watched: dict[SeriesName, LiveSeries] = {}

    def handle(task: CatchUp | RunJob) -> Ended:
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
        planned = protocol.series_a if series == "A" else protocol.series_b
        self._planned = len(planned.tilts_deg)
        self._diameter_nm = protocol.processing.diameter_nm
        self._volume = LiveReconstruction((scan.height_px, scan.width_px), scan.pixel_nm)
        self._next = 0
        self._counted_at = 0

    def catch_up(self, task: CatchUp) -> Ended:
        """Add every frame up to `task.upto`; show and count once, at the end."""
        trouble: list[str] = []
        for index in range(self._next, task.upto + 1):
            if index not in task.skip:
                self._report(Working(index=index))
                try:
                    self._add(index, task.upto)
                except (ProcessingError, ValueError) as error:
                    trouble.append(f"frame {self._series}#{index} left out: {one_line(error)}")
            self._next = index + 1
        self._show()
        wanted = LEAST_NEW_TILTS if self._next >= self._planned else TILTS_BETWEEN_COUNTS
        if self._volume.tilts - self._counted_at >= wanted:
            self._count()
        return Ended(ok=not trouble, reason="; ".join(trouble))

    def _say(self, event: Event) -> None:
        self._report(Said(event=event))

    def _add(self, index: int, upto: int) -> None:
        image = read_section(self._folder / f"{self._series}.mrc", index)
        angle_deg = self._angle_deg(index)
        if index == upto:
            caption = f"{self._series}#{index + 1} {angle_deg:+.1f}°"
            self._say(write_preview(self._folder, "frame", image, caption))
        tilt = self._volume.add(np.asarray(image, np.float32), angle_deg)
        self._say(
            TiltJudged(
                series=self._series,
                index=index,
                residual_px=tilt.residual_px,
                shift_px=tilt.shift_px,
            )
        )
        self._say(
            ProcessingProgressed(
                job="live-A" if self._series == "A" else "live-B",
                stage="live reconstruction",
                fraction=min(1.0, (index + 1) / self._planned),
                behind=upto - index,
            )
        )

    def _angle_deg(self, index: int) -> float:
        path = self._folder / f"{self._series}.rawtlt"
        until = time.monotonic() + ANGLE_WAIT_S
        while time.monotonic() < until:
            if path.exists() and len(angles := read_rawtlt(path)) > index:
                return float(angles[index])
            time.sleep(0.01)
        raise ProcessingError(f"{path}: no angle for image {index}")

    def _show(self) -> None:
        if self._volume.tilts:
            caption = f"{self._series} x-z, {self._volume.tilts} tilts"
            view = f"slice-{self._series}"
            image = self._volume.slice_xz()
            limits = (0.0, brightest(image))
            self._say(write_preview(self._folder, view, image, caption, limits))

    def _count(self) -> None:
        self._counted_at = self._volume.tilts
        found = self._volume.count()
        if found is not None:
            self._say(
                Counted(
                    which=self._series,
                    n=found.n,
                    n_low=found.n_low,
                    n_high=found.n_high,
                    tilts_used=self._volume.tilts,
                    live=True,
                    diameter_nm=self._diameter_nm,
                )
            )
