"""`dualtilt inspect --browser`: series and results on a page, from which they are processed again.

The page commands no session and no microscope. All it can start is `dualtilt process SESSION`,
which writes into a new folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from controller.app.cli.inspect_session import require_no_links
from controller.app.cli.reading_arguments import reading_options, reading_words
from controller.app.inspected_results import session_of
from controller.app.recorded_series import recorded_series
from controller.common.errors import UsageError

if TYPE_CHECKING:
    from processing.files.examine import ReadingOptions
    from processing.results import SeriesName

NAMES: tuple[SeriesName, ...] = ("A", "B")


@dataclass(frozen=True)
class Source:
    """Series and results to be shown.

    Attributes
    ----------
    folder
        Folder of the first results, or of the series.
    session
        Folder of the session; None for plain files, and for results without their series.
    files
        Stack of each series, and what the person says about it.
    words
        What the person says about the files, as words of the command `process`.
    first_shown
        Name of the results that are shown first; empty for plain files.
    """

    folder: Path
    session: Path | None
    files: Mapping[SeriesName, tuple[Path, ReadingOptions]]
    words: Sequence[str]
    first_shown: str

    @property
    def plain(self) -> bool:
        """True for files alone: results beside them may be those of others."""
        return not self.first_shown


def folder_source(folder: Path, args: argparse.Namespace) -> Source:
    """Return the source for the folder of a session or of results.

    Raises
    ------
    UsageError
        A series is a link, or several files could be the same series.
    """
    session = session_of(folder)
    home = session or folder
    files = recorded_series(home)
    require_no_links(files.values())
    options = reading_options(args, len(files))
    return Source(
        folder=home,
        session=session,
        files={name: (files[name], one) for name, one in zip(files, options, strict=True)},
        words=reading_words(args),
        first_shown=folder.absolute().name,
    )


def files_source(args: argparse.Namespace) -> Source:
    """Return the source for one or two files of series.

    Raises
    ------
    UsageError
        There are more files, or one cannot be read.
    """
    if len(args.files) > len(NAMES):
        raise UsageError(f"--browser shows one or two series, not {len(args.files)}")
    for path in args.files:
        if not path.exists():
            raise UsageError(f"{path}: no such file")
    options = reading_options(args, len(args.files))
    return Source(
        folder=args.files[0].absolute().parent,
        session=None,
        files=dict(zip(NAMES, zip(args.files, options, strict=True), strict=False)),
        words=reading_words(args),
        first_shown="",
    )
