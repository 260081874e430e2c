"""Work of the count child: count the particles in the frames so far, and advise the operator."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from controller.model.base import SeriesName
from controller.model.events import Advised, Event
from controller.session.folder import SessionFolder
from controller.worker.child import Handler, Send
from controller.worker.child_messages import AnyTask, CountFrames, Ended, Published, Working
from controller.worker.count_event import count_event, more_tilts
from controller.worker.count_schedule import CountSchedule
from controller.worker.refined_alignment import write_refined_alignment
from processing.count.second_series import second_series_line
from processing.errors import InputFileError, ProcessingError
from processing.files.section import read_section
from processing.images.binning import block_mean
from processing.images.repair_pixels import repair_image
from processing.images.upright import turned_upright, upright_shape
from processing.live.count_size import binning_on_reading
from processing.live.fused_counter import FusedCount, FusedCounter
from processing.live.live_structure import load_structure_library, structure_line
from processing.live.more_tilts import CountSoFar, count_so_far, what_more_tilts_add
from processing.live.series_counter import (
    LiveCount,
    LiveSearch,
    SeriesCounter,
    reduce_to_counting_size,
)
from processing.pipeline.results_folder import PROCESSED, read_series_result
from processing.pipeline.sampling import binned_field, in_recorded_pixels
from processing.pipeline.series_search import SeriesResult
from processing.pipeline.settings import ProcessSettings
from processing.progress import Progress
from processing.series import Float32, TiltSeries

MIN_RANGE_FOR_BLUR_DEG = 90.0
"""Smallest tilt range that shows how blurred the exit side of the beam is."""
MIN_RANGE_FOR_FIT_DEG = 75.0
"""Smallest tilt range of B for a warning; with less, the right object may not fit A."""


def handler(folder: Path, send: Send) -> Handler:
    """Return the function that carries out the tasks of this child."""
    load_structure_library()
    watched: dict[SeriesName, CountedSeries] = {}

    def handle(task: AnyTask) -> Ended:
        assert isinstance(task, CountFrames)
        if task.series not in watched:
            watched.clear()
            watched[task.series] = CountedSeries(folder, task.series, send)
        return watched[task.series].count(task)

    return handle


class CountedSeries:
    """Repeated counts of one growing series, from the files in the session's folder."""

    def __init__(self, folder: Path, series: SeriesName, send: Send) -> None:
        self._folder, self._series, self._send = folder, series, send
        protocol = SessionFolder(folder).read_protocol()
        self._planned_deg = protocol.series(series).tilts_deg
        scan = protocol.scan
        self._pixel_nm = scan.pixel_nm
        self._tilt_axis_deg = protocol.column.tilt_axis_deg
        height, width = upright_shape((scan.height_px, scan.width_px), self._tilt_axis_deg)
        self._sampling = binned_field(width, height, binning_on_reading(width))
        skipped = dict.fromkeys(("controls", "own_diameters", "thorough"), False)
        wanted = {**protocol.processing.model_dump(), **skipped}
        self._settings = self._of_series = ProcessSettings.model_validate(wanted)
        self._counter: SeriesCounter | None = None
        self._a: SeriesResult | None = None
        self._fused: FusedCounter | None = None
        self._images: dict[int, Float32] = {}
        self._counted: list[int] = []
        self._schedule = CountSchedule()
        self._history: list[CountSoFar] = []

    def count(self, task: CountFrames) -> Ended:
        """Count if there are enough new tilts; publish the count and the advice."""
        if (self._folder / PROCESSED / f"{self._series}.json").exists():
            return Ended()  # the final count exists
        # read as they come, so that a count does not wait for it
        sections = self._read_images(task)
        self._read_result_of_a()
        started_s = time.monotonic()
        if not self._schedule.due(len(task.frames), task.tilts_left, task.tilt_s):
            return Ended()
        newest = task.frames[-1].section
        self._send(Working(section=newest))
        series = self._series_of(task, sections)
        if self._counter is None:
            self._counter = SeriesCounter(self._of_series)
        progress = self._keep_alive(newest)
        searched = self._counter.search(series, progress=progress)
        found, fused = None, None
        if searched is not None:
            fused = self._fuse_before_fit(searched, progress)
            found = self._fit(searched, fused, progress)
        if found is None:
            self._forget_counts()
        else:
            self._publish_count(found, sections, task.tilts_left)
            self._fuse_unless_confirmed(found, fused, progress)
        if found is not None or fused is not None:  # else too few tilts, which take no time
            self._schedule.took(time.monotonic() - started_s)
        return Ended()

    def _publish_count(self, found: LiveCount, sections: list[int], tilts_left: int) -> None:
        """Publish a count and what follows from it: nothing but its state if it is refused."""
        alignment = in_recorded_pixels(found.alignment, self._sampling)
        write_refined_alignment(self._folder, self._series, sections, alignment)
        used = found.result.summary.tilts
        diameter_nm = found.result.diameter.value
        refused = found.count.is_refused
        order = "" if refused else structure_line(found.result.detection.table, found.count)
        self._publish(
            count_event(self._series, found.count, used, diameter_nm, live=True, structure=order)
        )
        if refused:
            self._forget_counts()
            return
        self._advise(found, tilts_left)

    def _keep_alive(self, section: int) -> Progress:
        """Return a progress function that only tells the supervisor that the child is working."""
        return lambda stage, fraction: self._send(Working(section=section))

    def _read_images(self, task: CountFrames) -> list[int]:
        """Read and repair the images that are new; return the sections of the task's frames."""
        sections = [frame.section for frame in task.frames]
        for section in sections:
            if section not in self._images:
                image = read_section(self._folder / f"{self._series}.mrc", section)
                repaired = repair_image(block_mean(image, self._sampling.bin))
                self._images[section] = turned_upright(repaired, self._tilt_axis_deg)
        return sections

    def _series_of(self, task: CountFrames, sections: list[int]) -> TiltSeries:
        """Return the tilt series of the task's frames."""
        if sections[: len(self._counted)] != self._counted:
            self._counter = None  # its alignment includes withdrawn images
            self._forget_counts()
        self._counted = sections
        return TiltSeries(
            images=np.stack([self._images[section] for section in sections]),
            angles_deg=np.array([frame.actual_deg for frame in task.frames]),
            pixel_nm=self._pixel_nm * self._sampling.bin,
            name=self._series,
            tilt_numbers=tuple(frame.tilt_number for frame in task.frames),
        )

    def _read_result_of_a(self) -> None:
        """During B, read the final result of A once it exists; B uses the sizes found in A."""
        if self._series == "A" or self._a is not None:
            return
        try:
            self._a = reduce_to_counting_size(read_series_result(self._folder, "A"))
        except (InputFileError, ProcessingError):
            return
        self._fused = FusedCounter(self._a, self._settings)
        known = self._a.diameter
        # the complete A was searched for a second size; few tilts of B often hint at one
        known_sizes = {"diameter_nm": known.value, "second_size": bool(known.kinds)}
        self._of_series = self._settings.model_copy(update=known_sizes)
        self._counter = None
        self._forget_counts()

    def _fuse_before_fit(self, searched: LiveSearch, progress: Progress) -> FusedCount | None:
        """Count A and B together before B is counted alone; return None if that is not possible."""
        if self._fused is None:
            return None
        return self._fused.count_before_fit(searched, progress=progress)

    def _fit(
        self, searched: LiveSearch, fused: FusedCount | None, progress: Progress
    ) -> LiveCount | None:
        """Count the series alone, and publish meanwhile the count of both, where there is one."""
        assert self._counter is not None
        if fused is None:
            return self._counter.fit(searched, progress=progress)
        # its structure, on one core, takes part of the time that the fit leaves one idle
        with ThreadPoolExecutor(1) as beside:
            published = beside.submit(self._publish_fused, fused)
            found = self._counter.fit(fused.start_of(searched), progress=progress)
        published.result()
        return found

    def _fuse_unless_confirmed(
        self, found: LiveCount, before_fit: FusedCount | None, progress: Progress
    ) -> None:
        """Count A and B together, unless the fitted B confirms the count made before its fit."""
        if self._fused is None or found.count.is_refused:
            return
        if before_fit is not None and self._fused.holds_for(found.result):
            return
        fused = self._fused.count(found.result, progress=progress)
        if fused is None:
            self._warn_of_misfit(found)
        else:
            self._publish_fused(fused)

    def _publish_fused(self, fused: FusedCount) -> None:
        order = structure_line(fused.result.detection.table, fused.count)
        diameter_nm = fused.result.diameter.value
        self._publish(
            count_event("fused", fused.count, fused.images, diameter_nm, live=True, structure=order)
        )
        self._publish(Advised(series="B", topic="fit", text="B fits A", ok=True))

    def _warn_of_misfit(self, found: LiveCount) -> None:
        """Publish that B cannot be registered to A, if its tilt range is large enough."""
        if np.ptp(found.result.aligned.angles_deg) < MIN_RANGE_FOR_FIT_DEG:
            return
        used = found.result.summary.tilts
        text = f"B does not fit A after {used} tilts: check that it is the same object, flipped"
        self._publish(Advised(series="B", topic="fit", text=text, ok=False))

    def _publish(self, event: Event) -> None:
        self._send(Published(event=event))

    def _forget_counts(self) -> None:
        """Take back the advice on more tilts: the next count does not continue the last ones."""
        if len(self._history) > 1:
            text = "more tilts are needed: the count begins again"
            self._publish(Advised(series=self._series, topic="convergence", text=text, ok=False))
        self._history = []

    def _advise(self, found: LiveCount, tilts_left: int) -> None:
        self._history.append(count_so_far(found, self._planned_deg))
        judged = what_more_tilts_add(self._history, tilts_left)
        if judged is not None and tilts_left > 0:
            more = more_tilts(found.count, judged)
            self._publish(
                Advised(
                    series=self._series,
                    topic="convergence",
                    text=more.line,
                    ok=more.enough,
                    more_tilts=more,
                )
            )
        if np.ptp(found.result.aligned.angles_deg) < MIN_RANGE_FOR_BLUR_DEG:
            return
        diameter_nm = found.result.diameter.value
        blur_nm = found.result.detection.exit_blurs_nm[0]
        width = f"probe about {blur_nm:.1f} nm wide at the exit surface"
        adds = second_series_line(found.result.detection.table.confidence)
        text = f"{width} (diameter {diameter_nm:.1f} nm): {adds}"
        # always ok: the second series resolves the blurred side
        self._publish(Advised(series=self._series, topic="blurred-side", text=text, ok=True))
