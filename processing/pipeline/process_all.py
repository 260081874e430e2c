"""Process one series, or two and their fusion, and write all results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from processing.pipeline.dual import combine_series
from processing.pipeline.made_with import MadeWith
from processing.pipeline.pair import process_pair
from processing.pipeline.results_folder import (
    analysed,
    summarise,
    write_fused_tables,
    write_fused_volumes,
    write_series_result,
    write_summarised,
)
from processing.pipeline.series_process import SeriesProcess
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
    process_b: SeriesProcess | None = None,
    progress: Progress = silent,
) -> Summary:
    """Process series A, or A and B, and write each result as soon as it is complete.

    Parameters
    ----------
    out
        Folder of the session; results go to its subfolder ``processed``.
    inputs
        Settings and input files of each series, to be written beside its result.
    process_b
        See `process_pair`.

    Raises
    ------
    ProcessingError
        A series cannot be processed, or B is not the flipped A.
    """
    inputs = inputs or {}
    if len(series) == 1:
        a = process_series(series[0], settings, progress=progress)
        write_series_result(out, "A", a, inputs.get("A"))
        return write_summarised(out, _analysed(out, summarise(a), settings))
    results = process_pair(
        series[0],
        series[1],
        settings,
        process_b=process_b,
        progress=within(progress, 0.0, 0.8),
    )
    with _written_beside() as write:
        a = next(results)
        write(write_series_result, out, "A", a, inputs.get("A"))
        b = next(results)
        write(write_series_result, out, "B", b, inputs.get("B"))
        fused = combine_series(a, b, settings, progress=within(progress, 0.8, 1.0))
        write(write_fused_volumes, out, fused)
        write_fused_tables(out, fused)
        summary = _analysed(out, summarise(a, b, fused), settings)
    return write_summarised(out, summary)


def _analysed(out: Path, summary: Summary, settings: ProcessSettings) -> Summary:
    return analysed(out, summary) if settings.analysis else summary


@contextmanager
def _written_beside() -> Iterator[Callable[..., None]]:
    """Give a function that writes files in a thread of its own, one call after the other.

    At the end, and after an error too, every file is written. An error of an earlier call is raised
    by the next one, or at the end.
    """
    waiting: list[Future[None]] = []

    def finish() -> None:
        while waiting:
            waiting.pop(0).result()

    with ThreadPoolExecutor(1, "write") as thread:

        def write(work: Callable[..., None], *arguments: object) -> None:
            finish()
            waiting.append(thread.submit(work, *arguments))

        try:
            yield write
        finally:
            finish()
