"""Settings and input files of a result, by which an unchanged session is recognised."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from processing.pipeline.settings import ProcessSettings
from processing.results import SeriesName


class FileStamp(BaseModel):
    """Size and time of the last change of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: int
    modified_ns: int


class GivenFacts(BaseModel):
    """Facts about the files that the operator gave; None leaves them to the files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pixel_nm: float | None = None
    tilt_axis_deg: float | None = None
    tilt_sense: int = 1


class MadeWith(BaseModel):
    """Everything that a result depends on; with the same, it need not be made again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: ProcessSettings
    given: GivenFacts = GivenFacts()
    files: dict[str, FileStamp]
    """Stamp of each input file, by its path in the session's folder."""


def made_with(
    session: Path, name: SeriesName, settings: ProcessSettings, given: GivenFacts | None = None
) -> MadeWith:
    """Return settings and stamps of the files of a series: all that are named A.* or in folder A.

    Raises
    ------
    OSError
        A file cannot be examined.
    """
    stamps = {}
    for path in sorted([*session.glob(f"{name}.*"), *(session / name).glob("*")]):
        found = path.stat()
        stamp = FileStamp(bytes=found.st_size, modified_ns=found.st_mtime_ns)
        stamps[path.relative_to(session).as_posix()] = stamp
    return MadeWith(settings=settings, given=given or GivenFacts(), files=stamps)
