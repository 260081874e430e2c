"""The counting child's work: the particles in the frames so far, and what the count says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from controller.model.base import SeriesName
from controller.model.events import Advised, Event
from controller.model.protocol import read_protocol
from controller.worker.child import Handler, Reporter
from controller.worker.counted import counted
from controller.worker.known import keep_alignment
from controller.worker.messages import AnyTask, CountFrames, Ended, Said, Working
from processing.errors import InputFileError, ProcessingError
from processing.files.section import read_section
from processing.live.series_counter import (
    LiveCount,
    SeriesCounter,
    expected_change,
    fuse_so_far,
    reduce_to_counting_size,
    widen_interval,
)
from processing.pipeline.results_folder import PROCESSED, read_series_result
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.single import SeriesResult
from processing.progress import Progress
from processing.results import Count
from processing.series import TiltSeries

TILTS_BETWEEN_COUNTS = 8
LEAST_NEW_TILTS = 2
"""For the count at the end of a series."""
SETTLED_SHARE = 0.01
"""Of the count: if no more is to come, more tilts are spent on something else."""
ENOUGH_FOR_BLUR_DEG = 90.0
"""Tilts over less than this know too little of the side where the beam leaves."""
ENOUGH_TO_FIT_DEG = 75.0
"""Tilts of B over less than this may be refused though they are of A's object."""
BLURRED_SHARE = 0.25
"""Of the diameter: a beam as wide as that, where it leaves, hides particles there."""


def handler(folder: Path, report: Reporter) -> Handler:
    """What the child does with a task."""
    watched: dict[SeriesName, CountedSeries] = {}

    def handle(task: AnyTask) -> Ended:
        assert isinstance(task, CountFrames)
        if task.series not in watched:
            watched.clear()
            watched[task.series] = CountedSeries(folder, task.series, report)
        return watched[task.series].count(task)

    return handle


class CountedSeries:
    """One series as it grows, from its files."""

    def __init__(self, folder: Path, series: SeriesName, report: Reporter) -> None:
        self._folder, self._series, self._report = folder, series, report
        protocol = read_protocol(folder / "protocol.toml")
        self._planned = len(protocol.series(series).tilts_deg)
        self._pixel_nm = protocol.scan.pixel_nm
        wanted = {**protocol.processing.model_dump(), "controls": False}
        self._settings = ProcessSettings.model_validate(wanted)
        self._counter: SeriesCounter | None = None
        self._a: SeriesResult | None = None
        self._fused: Count | None = None
        self._images: dict[int, NDArray[np.generic]] = {}
        self._counted: list[int] = []
        self._counted_at = 0
        self._history: list[tuple[int, int]] = []

    def count(self, task: CountFrames) -> Ended:
        """Count where enough is new; say what follows from it."""
        if (self._folder / PROCESSED / f"{self._series}.json").exists():
            return Ended()  # the final count is there
        tilts = len(task.frames)
        wanted = LEAST_NEW_TILTS if task.tilts_left == 0 else TILTS_BETWEEN_COUNTS
        if tilts - self._counted_at < wanted:
            return Ended()
        self._counted_at = tilts
        newest = task.frames[-1].section
        self._report(Working(section=newest))
        series, sections = self._so_far(task)
        self._know_a()
        if self._counter is None:
            self._counter = SeriesCounter(self._settings)
        found = self._counter.count(series, progress=self._alive(newest))
        if found is None:
            return Ended()
        keep_alignment(self._folder, self._series, sections, found.alignment)
        used = found.result.summary.tilts
        diameter_nm = found.result.diameter.value
        self._say(counted(self._series, found.count, used, diameter_nm, live=True))
        self._advise(found, used)
        self._fuse(found, used, newest)
        return Ended()

    def _alive(self, section: int) -> Progress:
        """A progress that only tells the supervisor that the child is at work."""
        return lambda stage, fraction: self._report(Working(section=section))

    def _so_far(self, task: CountFrames) -> tuple[TiltSeries, list[int]]:
        """Return the series of the task's frames, and their sections."""
        sections = [frame.section for frame in task.frames]
        for section in sections:
            if section not in self._images:
                self._images[section] = read_section(self._folder / f"{self._series}.mrc", section)
        if sections[: len(self._counted)] != self._counted:
            self._counter = None  # it continues from images that are no longer there
        self._counted = sections
        series = TiltSeries(
            images=np.stack([self._images[section] for section in sections]).astype(np.float32),
            angles_deg=np.array([frame.actual_deg for frame in task.frames]),
            pixel_nm=self._pixel_nm,
            name=self._series,
        )
        return series, sections

    def _know_a(self) -> None:
        """During B: A's final result, as soon as it is there; its diameter is B's as well."""
        if self._series == "A" or self._a is not None:
            return
        try:
            self._a = reduce_to_counting_size(read_series_result(self._folder, "A"))
        except (InputFileError, ProcessingError):
            return
        diameter_nm = self._a.diameter.value
        self._settings = self._settings.model_copy(update={"diameter_nm": diameter_nm})
        self._counter = None

    def _fuse(self, found: LiveCount, used: int, newest: int) -> None:
        if self._a is None:
            return
        progress = self._alive(newest)
        fused = fuse_so_far(self._a, found.result, self._settings, progress=progress)
        if fused is None:
            self._doubt_the_fit(found, used)
        else:
            count = widen_interval(fused.detection.count, self._fused or self._a.detection.count)
            self._fused = fused.detection.count
            tilts, diameter_nm = self._a.summary.tilts + used, found.result.diameter.value
            self._say(counted("fused", count, tilts, diameter_nm, live=True))
            self._say(Advised(series="B", topic="fit", text="B fits A", ok=True))

    def _doubt_the_fit(self, found: LiveCount, used: int) -> None:
        """Say that B cannot be brought onto A, once it has angles enough to be expected to."""
        if np.ptp(found.result.aligned.angles_deg) < ENOUGH_TO_FIT_DEG:
            return
        text = f"B does not fit A after {used} tilts: is it the same object, flipped?"
        self._say(Advised(series="B", topic="fit", text=text, ok=False))

    def _say(self, event: Event) -> None:
        self._report(Said(event=event))

    def _advise(self, found: LiveCount, used: int) -> None:
        self._history.append((used, found.count.n))
        if len(self._history) > 1:
            self._say(self._convergence(found.count))
        if np.ptp(found.result.aligned.angles_deg) < ENOUGH_FOR_BLUR_DEG:
            return
        diameter_nm = found.result.diameter.value
        blur_nm = found.result.detection.exit_blurs_nm[0]
        blurred = blur_nm > BLURRED_SHARE * diameter_nm
        text = f"where the beam leaves, it is {blur_nm:.1f} nm wide (d {diameter_nm:.1f} nm): " + (
            "that side is blurred, the other series sees it"
            if blurred
            else "neither side is blurred"
        )
        # blur is what the second series is for: nothing to act on
        self._say(Advised(series=self._series, topic="blurred-side", text=text, ok=True))

    def _convergence(self, count: Count) -> Advised:
        (t1, n1), (t2, n2) = self._history[-2:]
        more, left = expected_change(self._history, self._planned), self._planned - t2
        latest = round(abs(n2 - n1) * min(1.0, TILTS_BETWEEN_COUNTS / (t2 - t1)))
        settled = max(abs(more), latest) <= SETTLED_SHARE * count.n
        word = "settled" if settled else "not settled"
        text = f"count {word}: the {left} tilts to come should change it by {more:+d}"
        if left <= 0:
            text = f"count {word}: {TILTS_BETWEEN_COUNTS} tilts change it by {latest}"
        return Advised(series=self._series, topic="convergence", text=text, ok=settled)
