"""Content of the page of `dualtilt inspect --browser`, made from files and results."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from controller.app.cli.inspect_browser import NAMES, Source
from controller.app.cli.inspect_session import PROCESSED, series_lines
from controller.app.cli.print_inputs import described
from controller.app.cli.print_results import count_lines, verdict_lines
from controller.app.compare_results import made_again
from controller.app.inspect_pictures import tilt_figures
from controller.app.inspected_results import MISFIT_PX, Results, read_results, tilt_names
from controller.app.recorded_series import dropped_tilts
from controller.common.errors import UsageError, path_error_text, quoted
from controller.common.python_command import python_module_command
from controller.model.frames import tilt_name
from controller.report.figures import as_file
from controller.report.report_data import read_report_data
from controller.report.tilt_pictures import (
    grey_levels,
    half_width_of_slices_nm,
    slices_with_particles,
)
from controller.ui.web.inspected import InspectedImage, InspectedPage, InspectedSeries
from processing.errors import InputFileError, ProcessingError
from processing.files.examine import Examined, examine_series
from processing.files.held_folder import held
from processing.results import LeftOut

if TYPE_CHECKING:
    from processing.results import SeriesName

PICTURES = ("alignment", "sinogram", "residuals")
"""Pictures of each series with results."""


class InspectedSource:
    """Content of the page for one source; see `controller.ui.web.inspected.Inspected`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._examined: dict[SeriesName, Examined | None] = {}
        self._pictures: dict[tuple[str, str], bytes] = {}

    def page(self, results: str) -> InspectedPage:
        """Return the content; of the results shown first if there are none of that name."""
        with self._reading():
            folders = self._folders()
            asked = (results, self._source.first_shown, PROCESSED)
            shown = next((name for name in asked if name in folders), "")
            found = read_results(folders[shown]) if shown else None
            return InspectedPage(
                name=self._source.folder.absolute().name,
                folder=str(self._source.folder.absolute()),
                results=tuple(folders),
                shown=shown,
                lines=tuple(self._lines(found)),
                series=tuple(self._series(found)),
                pictures=tuple(
                    f"{name}-{what}"
                    for name in (found.series if found is not None else ())
                    for what in PICTURES
                ),
                slices_half_width_nm=(
                    half_width_of_slices_nm(read_report_data(folders[shown])) if shown else None
                ),
                command=tuple(self._shown_command()),
                can_process=self._source.session is not None,
            )

    def image(self, series: str, section: int, largest_side_px: int) -> bytes:
        """Return a recorded image as PNG."""
        from PIL import Image

        with self._reading():
            examined = self._examine("A" if series == "A" else "B")
            if examined is None or section >= len(examined.images):
                raise LookupError(f"there is no image {section} of series {series}")
            image = np.asarray(examined.images[section], np.float32)
            step = -(-max(image.shape) // largest_side_px)
            content = io.BytesIO()
            Image.fromarray(grey_levels(image[::-step, ::step])).save(content, "PNG")
            return content.getvalue()

    def picture(self, results: str, name: str) -> bytes:
        """Return a picture as PNG; all of its series are drawn at once and kept."""
        with self._reading():
            if (results, name) not in self._pictures:
                folder = self._folder(results)
                found = read_results(folder)
                for series, outcome in found.series.items() if found is not None else ():
                    if name.startswith(f"{series}-"):
                        for drawn, figure in tilt_figures(folder, series, outcome):
                            self._pictures[results, drawn] = as_file(figure, "png")
            if (results, name) not in self._pictures:
                raise LookupError(f"{results} does not hold what {name} shows")
            return self._pictures[results, name]

    def slices(self, results: str, off_middle_nm: float) -> bytes:
        """Return x-z slices with particles as PNG."""
        with self._reading():
            data = read_report_data(self._folder(results))
            figure = slices_with_particles(data, off_middle_nm)
            if figure is None:
                raise LookupError(f"{results} holds no volumes")
            return as_file(figure, "png")

    def command(self, drops: Sequence[str]) -> list[str]:
        """Return the command that processes the session again without some tilts.

        Raises
        ------
        UsageError
            A drop is no list of tilts, or there is no session.
        """
        session = self._source.session
        if session is None:
            raise UsageError("only the series of a session can be processed from the page")
        words = ["process", str(session.absolute()), *self._source.words]
        for drop in drops:
            try:
                dropped_tilts(drop)
            except ValueError:
                raise UsageError(f"{drop} names no tilts") from None
            words += ["--drop", drop]
        return python_module_command("controller.app.cli.main", *words)

    def _shown_command(self) -> Iterator[str]:
        source = self._source
        yield "dualtilt process"
        if source.session is not None:
            yield quoted(source.session)
        elif source.files:
            yield from (quoted(path) for path, _ in source.files.values())
        else:
            yield "A.mrc B.mrc"
        yield from map(quoted, source.words)
        if source.session is None:
            yield "--out NEW"

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Hold the folder; raise LookupError for a file that cannot be read."""
        try:
            with held(self._source.folder):
                yield
        except (ProcessingError, OSError) as error:
            raise LookupError(path_error_text(error, self._source.folder)) from error

    def _folder(self, results: str) -> Path:
        folder = self._folders().get(results)
        if folder is None:
            raise LookupError(f"there are no results {results}")
        return folder

    def _folders(self) -> dict[str, Path]:
        """Return the folder of all complete or begun results, by their names."""
        home = self._source.folder
        if self._source.plain:
            return {}
        first = {PROCESSED: home} if read_results(home) is not None else {}
        return first | {path.name: path for path in made_again(home)}

    def _lines(self, found: Results | None) -> list[str]:
        if found is None:
            return ["no results yet"]
        if found.summary is None:
            return ["no count of both series: processing has not ended"]
        return [*count_lines(found.summary), *verdict_lines(found.summary)]

    def _series(self, found: Results | None) -> Iterator[InspectedSeries]:
        outcomes = found.series if found is not None else {}
        for name in NAMES:
            examined, outcome = self._examine(name), outcomes.get(name)
            if examined is None and outcome is None:
                continue
            lines = [] if examined is None else described(examined.inputs)
            number = outcome.images if outcome is not None else 0
            if examined is not None:
                number = len(examined.images)
            names = self._names(name, number)
            if outcome is not None:
                lines += series_lines(name, outcome, names)
            yield InspectedSeries(
                name=name,
                lines=tuple(lines),
                has_images=examined is not None,
                images=tuple(self._images(name, names, found)),
            )

    def _names(self, series: SeriesName, images: int) -> list[str]:
        """Return the name of the tilt of each image, as `--drop` counts."""
        if self._source.plain:
            return [tilt_name(series, section + 1) for section in range(images)]
        return tilt_names(self._source.folder, series, images)

    def _images(
        self, series: SeriesName, names: Sequence[str], found: Results | None
    ) -> Iterator[InspectedImage]:
        examined = self._examine(series)
        angles = examined.inputs.angles_deg if examined is not None else None
        outcome = found.series.get(series) if found is not None else None
        aligned = outcome.summary.images if outcome is not None else []
        in_use = {
            name
            for name, one in zip(names, aligned, strict=False)
            if one.left_out not in (LeftOut.MARKED, LeftOut.RETAKEN)
        }
        for section, name in enumerate(names):
            one = aligned[section] if section < len(aligned) else None
            used = one is not None and one.left_out is None
            yield InspectedImage(
                section=section,
                tilt=int(name.partition("#")[2]),
                name=name,
                angle_deg=angles[section] if angles else None,
                residual_px=one.residual_px if one is not None and used else None,
                left_out="" if one is None or one.left_out is None else str(one.left_out),
                misfit=one is not None and used and one.residual_px > MISFIT_PX,
                dropped=one is not None and name not in in_use,
            )

    def _examine(self, name: SeriesName) -> Examined | None:
        """Read a series once; None without its file, or if that cannot be read."""
        if name not in self._examined:
            file = self._source.files.get(name)
            try:
                self._examined[name] = None if file is None else examine_series(*file)
            except InputFileError:
                self._examined[name] = None
        return self._examined[name]
