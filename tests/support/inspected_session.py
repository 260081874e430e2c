"""A session of one series with the results that `dualtilt inspect` shows, of a few pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from processing import SeriesSummary, Summary, write_images, write_volume
from processing.files.rawtlt import write_rawtlt
from processing.pipeline.results_folder import SeriesRecord
from processing.results import ImageAlignment, LeftOut
from tests.support.finished_session import make_finished

ANGLES = np.arange(-60.0, 61.0, 20.0)
RESIDUALS_PX = (0.01, 0.02, 0.03, 0.04, 0.9, 0.05, 0.06)
LEFT_OUT = {1: LeftOut.MARKED, 4: LeftOut.MISFIT}
SIDE_PX = 16
SERIES = SeriesSummary(
    tilts=5,
    excluded=sorted(LEFT_OUT),
    align_rms_px=0.041,
    tilt_axis_deg=0.5,
    images=[
        ImageAlignment(shift_px=(3 * n, 4 * n), residual_px=px, left_out=LEFT_OUT.get(n))
        for n, px in enumerate(RESIDUALS_PX)
    ],
)


def make_inspected(path: Path) -> Path:
    """Write a session of one series, with images and results of a few pixels; return its folder."""
    folder = make_finished(path)
    images = np.random.default_rng(0).normal(100, 5, (len(ANGLES), SIDE_PX, SIDE_PX))
    images[:, 5:11, 5:11] += 200
    write_images(folder / "A.mrc", images.astype(np.float32), 1.2)
    write_rawtlt(folder / "A.rawtlt", ANGLES)
    keep_summary(folder, SERIES)
    return folder


def keep_summary(folder: Path, series: SeriesSummary) -> Summary:
    """Write the summary of series A into the results; return that of the results."""
    path = folder / "processed/summary.json"
    summary = Summary.model_validate_json(path.read_text())
    summary = summary.model_copy(update={"series": {"A": series}})
    path.write_text(summary.model_dump_json())
    return summary


def keep_series(folder: Path) -> None:
    """Write aligned images, volume and record of series A."""
    processed = folder / "processed"
    summary = Summary.model_validate_json((processed / "summary.json").read_text())
    used = [section for section in range(len(ANGLES)) if section not in LEFT_OUT]
    images = np.random.default_rng(1).random((len(used), SIDE_PX, SIDE_PX), np.float32)
    write_images(processed / "A_aligned.mrc", images, 1.2)
    write_volume(processed / "A_sirt.mrc", np.ones((SIDE_PX,) * 3, np.float32), 1.2)
    record = SeriesRecord(
        pixel_nm=1.2,
        angles_deg=ANGLES[used].tolist(),
        count=summary.counts.A,
        diameter=summary.diameter_nm,
        summary=SERIES,
        warnings=(),
    )
    (processed / "A.json").write_text(record.model_dump_json())
