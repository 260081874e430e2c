"""Pictures of a session for `dualtilt inspect`: files, and what the terminal and the page show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from controller.app.inspected_results import Results, SeriesOutcome, tilt_names
from controller.common.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from processing.files.examine import ReadingOptions
    from processing.results import SeriesName

SHEET_IMAGES = 40
"""Images in a contact sheet, evenly over the angles; those that were left out come on top."""


def write_pictures(
    into: Path,
    folder: Path,
    files: Mapping[SeriesName, Path],
    options: Mapping[SeriesName, ReadingOptions],
    results: Results | None,
) -> list[Path]:
    """Write a PNG file for each picture that the data allow; return their paths.

    Raises
    ------
    UsageError
        `into` lies in the folder that is inspected, or cannot be written.
    """
    if into.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"{into}: lies in the folder that is inspected, where nothing is written; choose "
            "another folder for the pictures"
        )
    return _written(into, session_pictures(folder, files, options, results))


def write_sheets(
    into: Path, files: Sequence[Path], options: Sequence[ReadingOptions]
) -> list[Path]:
    """Write a contact sheet of each series that can be read; return the paths of the PNG files.

    Raises
    ------
    UsageError
        `into` cannot be written.
    """
    return _written(into, contact_sheets(files, options))


def contact_sheets(
    files: Sequence[Path], options: Sequence[ReadingOptions]
) -> Iterator[tuple[str, Figure]]:
    """Yield name and contact sheet of each series that can be read."""
    for number, (path, chosen) in enumerate(zip(files, options, strict=True), start=1):
        first = "" if len(files) == 1 else f"{number}-"
        page = _contact_sheet(path, chosen, set(), _image_names)
        if page is not None:
            yield f"{first}{path.name.split('.')[0]}-images", page


def _image_names(images: int) -> list[str]:
    return [f"section {section}" for section in range(images)]


def _written(into: Path, pictures: Iterable[tuple[str, Figure]]) -> list[Path]:
    from controller.report.figures import as_file
    from processing.files.atomic import replace_file

    written = []
    try:
        into.mkdir(parents=True, exist_ok=True)
        for name, page in pictures:
            path = into / f"{name}.png"
            with replace_file(path, durable=False) as unfinished:
                unfinished.write_bytes(as_file(page, "png"))
            written.append(path)
    except OSError as error:
        raise UsageError(f"{into}: cannot be written: {error.strerror}") from error
    return written


def session_pictures(
    folder: Path,
    files: Mapping[SeriesName, Path],
    options: Mapping[SeriesName, ReadingOptions],
    results: Results | None,
) -> Iterator[tuple[str, Figure]]:
    """Yield name and figure of each picture that the data allow."""
    from controller.report.report_data import read_report_data
    from controller.report.tilt_pictures import slices_with_particles

    outcomes = {} if results is None else results.series
    for name, path in files.items():
        outcome = outcomes.get(name)
        excluded = set() if outcome is None else set(outcome.summary.excluded)
        page = _contact_sheet(path, options[name], excluded, partial(tilt_names, folder, name))
        if page is not None:
            yield f"{name}-images", page
    for name, outcome in outcomes.items():
        yield from tilt_figures(folder, name, outcome)
    if results is not None and results.summary is not None:
        slices = slices_with_particles(read_report_data(folder))
        if slices is not None:
            yield "slices", slices


def _contact_sheet(
    path: Path,
    options: ReadingOptions,
    excluded: set[int],
    names_of: Callable[[int], Sequence[str]],
) -> Figure | None:
    """Return the contact sheet of the images as recorded; None if they cannot be read.

    Without tilt angles the images stand in the order of the stack. `names_of` gives the names of
    all images, from their number.
    """
    from controller.report.tilt_pictures import contact_sheet
    from processing.errors import InputFileError
    from processing.files.examine import examine_series

    try:
        examined = examine_series(path, options)
    except InputFileError:
        return None  # its reason is printed with the files
    images = examined.images
    angles = examined.inputs.angles_deg
    order = np.arange(len(images)) if angles is None else np.argsort(angles, kind="stable")
    shown = np.isin(order, list(excluded))
    shown[np.linspace(0, len(order) - 1, SHEET_IMAGES).round().astype(int)] = True
    chosen = order[shown]
    names = names_of(len(images))
    return contact_sheet(
        [images[section] for section in chosen],
        [
            names[section] if angles is None else f"{names[section]} {angles[section]:+.1f}°"
            for section in map(int, chosen)
        ],
        [int(section) in excluded for section in chosen],
    )


def tilt_figures(
    folder: Path, name: SeriesName, outcome: SeriesOutcome
) -> Iterator[tuple[str, Figure]]:
    """Yield sinogram, alignment and residual images, as far as their data are stored."""
    from controller.report.tilt_pictures import alignment_curves, residual_pictures, sinogram
    from processing.align.series import linearised
    from processing.errors import InputFileError
    from processing.files.mrc import read_stack
    from processing.pipeline.results_folder import PROCESSED, read_record
    from processing.reconstruct.projector import Projector
    from processing.series import TiltSeries

    processed = folder / PROCESSED
    used, worst = outcome.used_sections, outcome.worst_sections
    alignment = outcome.summary.images
    try:
        record = read_record(folder, name)
        images = read_stack(processed / f"{name}_aligned.mrc").data
        angles_deg = np.array(record.angles_deg)
        aligned = TiltSeries(images, angles_deg, record.pixel_nm, name=name)
        yield f"{name}-sinogram", sinogram(images, angles_deg, record.pixel_nm)
        if not worst or len(used) != aligned.tilts:
            return
        shifts_px = np.array([alignment[section].shift_px for section in used])
        residuals_px = np.array([alignment[section].residual_px for section in used])
        yield f"{name}-alignment", alignment_curves(angles_deg, shifts_px, residuals_px)
        volume = read_stack(processed / f"{name}_sirt.mrc").data
    except (InputFileError, FileNotFoundError):
        return  # not stored, or not complete
    places = [used.index(section) for section in worst]
    names = tilt_names(folder, name, outcome.images)
    projections = Projector(aligned.angles_rad[places], images.shape[2]).forward(volume)
    yield (
        f"{name}-residuals",
        residual_pictures(
            linearised(aligned).images[places],
            projections,
            [
                f"{names[section]} {angles_deg[place]:+.1f}°\n{residuals_px[place]:.3f} px"
                for section, place in zip(worst, places, strict=True)
            ],
        ),
    )
