"""Work of the jobs child: process each complete series, then fuse both."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.model.base import SeriesName, Which
from controller.model.events import ProcessingProgressed, Publish
from controller.model.processing_jobs import Job, JobName
from controller.session.folder import SessionFolder
from controller.session.previews import brightest, write_preview
from controller.worker.child import Handler, Send
from controller.worker.child_messages import AnyTask, Ended, Published, RunJob
from controller.worker.count_event import count_event
from controller.worker.refined_alignment import read_refined_alignment
from processing.errors import InputFileError, ProcessingError, RegistrationRefusedError
from processing.files.tilt_series import load_tilt_series
from processing.pipeline.dual import combine_series
from processing.pipeline.made_with import made_with
from processing.pipeline.results_folder import (
    read_series_result,
    write_fused_result,
    write_series_result,
    write_summary,
)
from processing.pipeline.series_search import SeriesResult
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.single import process_series
from processing.progress import Progress
from processing.results import Count, FusionRule, Summary

PROGRESS_EVERY_S = 0.25
"""Shortest time between two progress events of one stage."""
WRITING, STRUCTURE = "writing the results", "structure of the assembly"
"""Stages after the search: each is shown, so that a long silence means a process that hangs."""


def handler(folder: Path, send: Send) -> Handler:
    """Return the function that carries out the tasks of this child."""
    work = JobRunner(folder, lambda event: send(Published(event=event)))

    def handle(task: AnyTask) -> Ended:
        assert isinstance(task, RunJob)
        return work.run(task.job)

    return handle


class JobRunner:
    """Runner of processing jobs; all its input and output lie in the session's folder."""

    def __init__(self, folder: Path, publish: Publish) -> None:
        self._folder, self._publish = folder, publish
        wanted = SessionFolder(folder).read_protocol().processing
        self._settings = ProcessSettings.model_validate(wanted.model_dump())

    def run(self, job: Job) -> Ended:
        """Run one job; the reason of a failure is one line."""
        try:
            match job:
                case Job.A:
                    self._process("A")
                case Job.B:
                    self._process("B")
                case Job.FUSE:
                    self._fuse()
        except RegistrationRefusedError as error:
            return Ended(ok=False, refused=True, reason=str(error))
        except ProcessingError as error:
            return Ended(ok=False, reason=str(error))
        return Ended()

    def _process(self, name: SeriesName) -> None:
        inputs = made_with(self._folder, name, self._settings)
        series = load_tilt_series(self._folder / f"{name}.mrc", name=name)
        # live counts align images that are already upright
        start = None if series.tilt_axis_deg else read_refined_alignment(self._folder, name)
        progress = self._progress(Job(name))
        result = process_series(
            series,
            self._settings,
            start=None if start is None else start.for_first_images(series),
            progress=progress,
        )
        progress(WRITING, 1.0)
        write_series_result(self._folder, name, result, inputs)
        progress(STRUCTURE, 1.0)
        structure = self._summarise(name, result)
        pixel_nm = result.aligned.pixel_nm
        self._show(f"slice-{name}", result.volume, pixel_nm, f"{name} x-z, SIRT")
        self._count_series(name, result, result.detection.count, structure)

    def _summarise(self, name: SeriesName, result: SeriesResult) -> str:
        """Write a summary of the results so far: the session may end here; return the structure."""
        if name == "A":
            return _headline(write_summary(self._folder, result))
        with suppress(InputFileError):  # A failed: there is no summary for B alone
            write_summary(self._folder, read_series_result(self._folder, "A"), result)
        return ""

    def _fuse(self) -> None:
        a, b = (read_series_result(self._folder, name) for name in ("A", "B"))
        progress = self._progress(Job.FUSE)
        result = combine_series(a, b, self._settings, progress=progress)
        progress(WRITING, 1.0)
        write_fused_result(self._folder, result)
        progress(STRUCTURE, 1.0)
        summary = write_summary(self._folder, a, b, result)
        pixel_nm = result.pixel_nm
        self._show("slice-B", result.registered_b, pixel_nm, "B x-z in A's frame, SIRT")
        self._show("slice-fused", result.volume, pixel_nm, "fused x-z")
        self._show_difference(a.volume, result.registered_b, pixel_nm)
        self._count_series("A", a, result.count_a)
        self._count_series("B", b, result.count_b)
        tilts = a.summary.tilts + b.summary.tilts
        if (mean := result.controls.get(FusionRule.MEAN)) is not None:
            self._count("mean", mean.count, tilts, result.diameter.value)
        structure, diameter_nm = _headline(summary), result.diameter.value
        self._count("fused", result.detection.count, tilts, diameter_nm, structure)

    def _count_series(
        self, name: SeriesName, series: SeriesResult, count: Count, structure: str = ""
    ) -> None:
        """Publish the final count of one series, with the residual of its alignment."""
        self._publish(
            count_event(
                name,
                count,
                series.summary.tilts,
                series.diameter.value,
                live=False,
                structure=structure,
                final_residual_px=series.summary.align_rms_px,
            )
        )

    def _count(
        self, which: Which, count: Count, tilts: int, diameter_nm: float, structure: str = ""
    ) -> None:
        self._publish(
            count_event(which, count, tilts, diameter_nm, live=False, structure=structure)
        )

    def _show(self, view: str, volume: NDArray[Any], pixel_nm: float, caption: str) -> None:
        image = volume[:, volume.shape[1] // 2]
        limits = (0.0, brightest(image))
        self._publish(write_preview(self._folder, view, image, caption, pixel_nm, limits))

    def _show_difference(self, a: NDArray[Any], b: NDArray[Any], pixel_nm: float) -> None:
        middle = a.shape[1] // 2
        scaled = [image / max(brightest(image), 1e-12) for image in (a[:, middle], b[:, middle])]
        difference = np.asarray(scaled[1] - scaled[0])
        caption = "B - A x-z: bright where only B has signal"
        self._publish(
            write_preview(
                self._folder, "slice-difference", difference, caption, pixel_nm, (-1.0, 1.0)
            )
        )

    def _progress(self, job: Job) -> Progress:
        """Return a progress function that publishes events at a readable rate."""
        last_stage, last_s = "", 0.0

        def progress(stage: str, fraction: float) -> None:
            nonlocal last_stage, last_s
            now_s = time.monotonic()
            if stage != last_stage or now_s - last_s > PROGRESS_EVERY_S:
                last_stage, last_s = stage, now_s
                self._publish(
                    ProcessingProgressed(job=JobName(job), stage=stage, fraction=fraction)
                )

        return progress


def _headline(summary: Summary) -> str:
    return "" if summary.structure is None else summary.structure.headline()
