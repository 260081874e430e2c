"""Raw files of the tilt series of a session."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from processing.errors import InputFileError
from processing.export.finished import Finished
from processing.results import SeriesInputs


@dataclass(frozen=True)
class RawSeries:
    """A tilt series as it was recorded.

    Attributes
    ----------
    mdoc
        None if there is none beside the images.
    angles
        Files of tilt angles beside the images.
    """

    name: str
    images: Path
    mdoc: Path | None
    angles: tuple[Path, ...]
    inputs: SeriesInputs

    @property
    def files(self) -> list[Path]:
        """All files of the series."""
        return [self.images, *([self.mdoc] if self.mdoc else []), *self.angles]


def raw_series(finished: Finished) -> list[RawSeries]:
    """Find the images of each processed series, in the session or where they were processed.

    Raises
    ------
    InputFileError
        The images are not there any more, lie in a folder of single images, or the results do not
        say where they were.
    """
    return [
        _raw(finished.session, name, summary.inputs)
        for name, summary in finished.summary.series.items()
    ]


def _raw(session: Path, name: str, inputs: SeriesInputs | None) -> RawSeries:
    if inputs is None:
        raise InputFileError(f"{session}: the results do not name the files of series {name}")
    known = Path(inputs.file)
    images = next((path for path in (session / known.name, known) if path.exists()), None)
    if images is None:
        raise InputFileError(f"{known}: no such file; put series {name} back, or into {session}")
    if not images.is_file():
        raise InputFileError(f"{images}: is a folder; give EMPIAR the single images as they are")
    mdocs = (images.with_name(f"{images.name}.mdoc"), images.with_suffix(".mdoc"))
    angles = (images.with_suffix(suffix) for suffix in (".rawtlt", ".tlt"))
    return RawSeries(
        name,
        images,
        next((path for path in mdocs if path.is_file()), None),
        tuple(path for path in angles if path.is_file()),
        inputs,
    )
