"""Process one series, or two and their fusion, and write all results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from processing.pipeline.dual import combine_series
from processing.pipeline.made_with import MadeWith
from processing.pipeline.pair import process_pair
from processing.pipeline.results_folder import (
    write_fused_result,
    write_series_result,
    write_summary,
)
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.single import process_series
from processing.progress import Progress, silent, within
from processing.results import SeriesName, Summary
from processing.series import TiltSeries


def process_all(
    series: Sequence[TiltSeries],
    out: Path,
    settings: ProcessSettings,
    *,
    inputs: Mapping[SeriesName, MadeWith] | None = None,
    progress: Progress = silent,
) -> Summary:
    """Process series A, or A and B, and write each result as soon as it is complete.

    Parameters
    ----------
    out
        Folder of the session; results go to its subfolder ``processed``.
    inputs
        Settings and input files of each series, to be written beside its result.

    Raises
    ------
    ProcessingError
        A series cannot be processed, or B is not the flipped A.
    """
    inputs = inputs or {}
    if len(series) == 1:
        a = process_series(series[0], settings, progress=progress)
        write_series_result(out, "A", a, inputs.get("A"))
        return write_summary(out, a)
    results = process_pair(series[0], series[1], settings, progress=within(progress, 0.0, 0.8))
    a = next(results)
    write_series_result(out, "A", a, inputs.get("A"))
    b = next(results)
    write_series_result(out, "B", b, inputs.get("B"))
    fused = combine_series(a, b, settings, progress=within(progress, 0.8, 1.0))
    write_fused_result(out, fused)
    return write_summary(out, a, b, fused)
