"""Processing of both series: side by side on a machine with more than two cores.

Python's interpreter lock lets one process use a few cores only. Series B is therefore processed in
a process of its own, which gets the series through a pipe and returns its result through another.
"""

from __future__ import annotations

from collections.abc import Iterator

from processing.image_size import SMALL_SIDE_PX, volumes_GB
from processing.parallel import threads_for_two_processes
from processing.pipeline.memory import SINGLE_VOLUMES
from processing.pipeline.series_process import SeriesProcess, many_cores
from processing.pipeline.series_search import SeriesResult
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.single import process_series
from processing.progress import Progress, silent, within
from processing.series import TiltSeries


def process_pair(
    a: TiltSeries,
    b: TiltSeries,
    settings: ProcessSettings,
    *,
    process_b: SeriesProcess | None = None,
    progress: Progress = silent,
) -> Iterator[SeriesResult]:
    """Yield the result of A, then that of B.

    Parameters
    ----------
    process_b
        Process for B that was started before; one is started if need be.

    Raises
    ------
    ProcessingError
        As `process_series`; if B fails, A is yielded first.
    """
    if not _side_by_side(a, b, settings):
        yield process_series(a, settings, progress=within(progress, 0.0, 0.5))
        yield process_series(b, settings, progress=within(progress, 0.5, 1.0))
        return
    with threads_for_two_processes(), process_b or SeriesProcess(settings.device) as child:
        result_b = child.process(b, settings)
        yield process_series(a, settings, progress=within(progress, 0.0, 0.9))
        progress(f"series {b.name}", 0.9)
        yield result_b.result()
        progress(f"series {b.name}", 1.0)


def _side_by_side(a: TiltSeries, b: TiltSeries, settings: ProcessSettings) -> bool:
    """Return true if there are cores and memory for both series at a time."""
    rows, columns = (
        min(SMALL_SIDE_PX, max(one.images.shape[axis] for one in (a, b))) for axis in (1, 2)
    )
    needed_GB = volumes_GB(columns, rows, 2 * SINGLE_VOLUMES)
    return many_cores() and needed_GB <= settings.memory_limit_GB
