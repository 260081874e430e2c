"""Simulate one experiment, process it as a session does, and score it."""

from __future__ import annotations

import importlib
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from controller.app.paper.experiments import (
    CURRENT_PA,
    DWELL_US,
    PIXEL_NM,
    SHOWER_E_PER_A2,
    Experiment,
)
from controller.app.paper.outcome import CountOutcome, Outcome
from controller.model.count_verdict import Trust
from controller.model.scan import ScanSettings
from controller.rehearsal.accuracy_checks import Score

if TYPE_CHECKING:
    from processing.progress import Progress
    from processing.results import Count
    from processing.series import TiltSeries

A_DEG, B_DEG = (-70.0, 74.0), (-74.0, 72.0)
"""First and last tilt of the series, as in the paper."""
PROCESSED = 0.9
"""Progress of an experiment when its series are processed; the resolution can follow."""


def run_experiment(experiment: Experiment, folder: Path, progress: Progress) -> Outcome:
    """Record, process and score an experiment; results go to the folder.

    A registration that is refused leaves the counts of the single series.
    """
    from processing.errors import ProcessingError
    from processing.pipeline.process_all import process_all
    from processing.pipeline.results_folder import read_summary
    from processing.pipeline.settings import ProcessSettings
    from processing.progress import within

    begun_s = time.monotonic()
    dual = _recorded(experiment)
    series = [_as_read(dual.a, "A")]
    if experiment.series_b:
        series.append(_as_read(dual.b, "B"))
    failure, settings = "", ProcessSettings(analysis=False)  # the truth is known
    try:
        process_all(series, folder, settings, progress=within(progress, 0.0, PROCESSED))
    except ProcessingError as error:
        failure = str(error)
    try:
        summary = read_summary(folder)
    except ProcessingError:
        return Outcome(
            experiment=experiment.name,
            version=version("dualtilt"),
            truth=len(dual.truth),
            counts={},
            failure=failure,
            duration_s=time.monotonic() - begun_s,
        )
    found = {"A": summary.counts.A, "B": summary.counts.B, "fused": summary.counts.fused}
    counts = {name: count for name, count in found.items() if count is not None}
    registration = summary.registration
    measured = experiment.resolution and "fused" in counts
    return Outcome(
        experiment=experiment.name,
        version=version("dualtilt"),
        truth=len(dual.truth),
        counts=_scored(counts, folder, dual.truth),
        shrinkage=None if registration is None else registration.scale - 1,
        resolution_nm=_resolution_nm(folder, within(progress, PROCESSED, 1.0)) if measured else {},
        failure=failure,
        duration_s=time.monotonic() - begun_s,
    )


def _resolution_nm(folder: Path, progress: Progress) -> dict[str, float]:
    """Return the resolution of each volume over all directions (nm).

    Where the voxels limit it, it is that limit.
    """
    from processing.pipeline.settings import ProcessSettings
    from processing.resolution.folder import measure_folder
    from processing.resolution.shells import Sector

    found = measure_folder(folder, ProcessSettings(), progress=progress)
    return {
        part.volume.value: part.resolution_nm or found.voxel_limit_nm
        for part in found.parts
        if part.sector is Sector.ALL and part.depth_nm is None
    }


def _recorded(experiment: Experiment) -> Any:
    settings = importlib.import_module("simulator.settings").SimulatorSettings
    scan = ScanSettings(
        width_px=experiment.width_px,
        height_px=experiment.width_px,
        pixel_nm=PIXEL_NM,
        dwell_us=DWELL_US * experiment.dose,
    )
    angles = [np.arange(first, last + 0.1, experiment.step_deg) for first, last in (A_DEG, B_DEG)]
    return importlib.import_module("simulator.series").simulate_dual(
        settings.model_validate(experiment.settings()),
        scan,
        *angles,
        CURRENT_PA,
        shower_dose_e_per_A2=SHOWER_E_PER_A2 if experiment.shower else 0.0,
    )


def _as_read(raw: Any, name: str) -> TiltSeries:
    from processing.series import TiltSeries

    images = raw.counts.astype(np.float32)
    return TiltSeries(images, raw.reported_deg, PIXEL_NM, name=name)


def _scored(counts: dict[str, Count], folder: Path, truth: Any) -> dict[str, CountOutcome]:
    from processing.files.particles import read_csv

    tables = {
        name: read_csv(folder / "processed" / f"particles_{name}.csv").centres_nm for name in counts
    }
    accuracy = importlib.import_module("simulator.scoring").score_tables(truth, tables)
    return {
        name: CountOutcome(
            n=count.n,
            n_low=count.n_low,
            n_high=count.n_high,
            verdict=Trust(count.verdict.state) if count.verdict else Trust.TRUSTED,
            score=Score.model_validate(accuracy.tables[name].model_dump()),
        )
        for name, count in counts.items()
    }
