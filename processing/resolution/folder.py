"""Resolution of the volumes in a folder of results, written beside them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from processing.combine.pose import Pose
from processing.files.atomic import replace_text
from processing.pipeline.register_series import with_reversed_sense
from processing.pipeline.results_folder import (
    PROCESSED,
    RESOLUTION,
    RESOLUTION_CURVES,
    read_series_result,
    read_summary,
)
from processing.pipeline.settings import ProcessSettings
from processing.progress import Progress, silent
from processing.resolution.measure import Combination, measure_resolution
from processing.resolution.results import Measured, Resolution
from processing.results import Fusion, Registration

COLUMNS = ("volume", "sector", "depth_nm", "frequency_per_nm", "correlation")


def measure_folder(
    session: Path, settings: ProcessSettings, *, progress: Progress = silent
) -> Resolution:
    """Measure the volumes of a session or of a processed folder; write the record and the curves.

    Rule, wavelet and level of the fusion are those of the results, whatever `settings` says.

    Raises
    ------
    InputFileError
        Results are missing or damaged.
    ProcessingError
        As `measure_resolution`.
    """
    summary = read_summary(session)
    if summary.fusion is not None:
        settings = settings.model_copy(update=_fusion_settings(summary.fusion))
    measured = measure_resolution(
        read_series_result(session, "A"),
        _combination(session, summary.registration),
        settings,
        progress=progress,
    )
    found = Resolution(voxel_limit_nm=2 * summary.pixel_nm, parts=[each.part for each in measured])
    replace_text(session / PROCESSED / RESOLUTION_CURVES, _table(measured))
    replace_text(session / PROCESSED / RESOLUTION, found.model_dump_json(indent=2) + "\n")
    return found


def _fusion_settings(fusion: Fusion) -> dict[str, object]:
    return {"fusion_rule": fusion.rule, "wavelet": fusion.wavelet, "level": fusion.level}


def _combination(session: Path, registration: Registration | None) -> Combination | None:
    """Return B and its pose; None if the results are those of one series."""
    if registration is None:
        return None
    b = read_series_result(session, "B")
    if registration.sense_reversed:
        b = with_reversed_sense(b)
    matrix, shift_nm = np.array(registration.matrix), np.array(registration.shift_nm)
    return Combination(b, Pose(matrix, shift_nm, registration.scale))


def _table(measured: list[Measured]) -> str:
    """Return the curves as CSV, one line for each shell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for each in measured:
        part, curve = each.part, each.curve
        depth = "" if part.depth_nm is None else f"{part.depth_nm:.2f}"
        shells = zip(curve.frequencies_per_nm, curve.correlation, strict=True)
        writer.writerows(
            (part.volume, part.sector, depth, f"{frequency:.5f}", f"{correlation:.4f}")
            for frequency, correlation in shells
        )
    return text.getvalue()
