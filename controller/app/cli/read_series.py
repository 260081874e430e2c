"""Read tilt series for `dualtilt process`, and refuse what cannot be processed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from controller.app.recorded_series import DroppedTilts, without_dropped
from controller.common.errors import UsageError, path_error_text, quoted

if TYPE_CHECKING:
    from processing.files.examine import ReadingOptions
    from processing.pipeline.settings import ProcessSettings
    from processing.series import TiltSeries


def read_series(
    paths: list[Path],
    options: list[ReadingOptions],
    session: Path | None,
    settings: ProcessSettings,
    regions: list[list[float]] | None,
    dropped: Sequence[DroppedTilts],
) -> list[TiltSeries]:
    """Read and check all series before any of them is processed.

    Parameters
    ----------
    paths, options
        Stack of each series, and what the operator said about it.
    session
        Folder of the session that the stacks belong to, if the user gave one.
    regions
        Column, row and radius (px) of the object in each series; None where it is to be found.
    dropped
        Tilts to leave out.

    Raises
    ------
    InputFileError, ImpossibleDiameterError, ImpossibleSamplingError, UsageError
        A series cannot be processed, or not with these settings.
    """
    from processing.pipeline.check_diameter import require_possible_diameter
    from processing.pipeline.check_sampling import require_possible_sampling

    series = _with_regions(_load(paths, options, session), regions)
    _require_two_objects(series, paths)
    series = without_dropped(series, dropped)
    for one in series:
        require_possible_diameter(one, settings.known_diameter_nm)
        require_possible_sampling(one, settings)
    return series


@contextmanager
def unusable_input_refused(folder: Path) -> Iterator[None]:
    """Raise a UsageError for input that cannot be processed; `folder` is named if no file is."""
    from processing.errors import (
        DeviceError,
        ImpossibleDiameterError,
        ImpossibleSamplingError,
        InputFileError,
        ResultsInUseError,
    )

    try:
        yield
    except (
        InputFileError,
        ImpossibleDiameterError,
        ImpossibleSamplingError,
        DeviceError,
        ResultsInUseError,
        OSError,
    ) as error:
        raise UsageError(path_error_text(error, folder)) from error


def _require_two_objects(series: list[TiltSeries], paths: list[Path]) -> None:
    """Refuse a copy of A as B; the first image that differs ends the comparison."""
    import numpy as np

    if len(series) < 2:
        return
    a, b = (one.images for one in series)
    if a.shape == b.shape and all(map(np.array_equal, a, b)):
        raise UsageError(
            f"{paths[1]}: holds the same images as {paths[0]}; name the flipped series, or leave "
            "B out"
        )


def _load(
    paths: list[Path], options: list[ReadingOptions], session: Path | None
) -> list[TiltSeries]:
    """Read and check all series before any of them is processed."""
    from processing.errors import InputFileError
    from processing.files.examine import examine_series, tilt_series_of
    from processing.files.recorded_images import require_recorded_images
    from processing.pipeline.check_series import require_tilt_series

    series: list[TiltSeries] = []
    for path, chosen, name in zip(paths, options, "AB", strict=False):
        try:
            series.append(tilt_series_of(examine_series(path, chosen), name))
            require_recorded_images(path, series[-1].excluded)
            require_tilt_series(series[-1])
        except InputFileError as error:
            if session is None or name == "A":
                raise
            raise InputFileError(
                f"{error}; to process A alone: dualtilt process {quoted(paths[0])} --out DIR"
            ) from error
    return series


def _with_regions(series: list[TiltSeries], regions: list[list[float]] | None) -> list[TiltSeries]:
    """Name the object to be counted in each series, if the operator did."""
    if regions is None:
        return series
    if len(regions) != len(series):
        raise UsageError(
            f"--region: number of regions {len(regions)}, number of series {len(series)}; "
            "give one region for each"
        )
    return [
        replace(one, region_px=_region_in(one, *region))
        for one, region in zip(series, regions, strict=True)
    ]


def _region_in(
    series: TiltSeries, column: float, row: float, radius: float
) -> tuple[float, float, float]:
    """Return the region, whose centre must lie in the images; a turn may swap their sides."""
    rows, columns = series.images.shape[1:]
    inside = any(
        0 <= column < width and 0 <= row < height
        for width, height in ((columns, rows), (rows, columns))
    )
    if not inside or not 0 < radius < float("inf"):
        raise UsageError(
            f"--region {column:g} {row:g} {radius:g}: is not in series {series.name}, whose images "
            f"have {columns} x {rows} pixels; give column, row and radius of the object"
        )
    return column, row, radius
