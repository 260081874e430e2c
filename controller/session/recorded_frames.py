"""Frames that another session has recorded; only read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from controller.model.base import SeriesName
from controller.session.entries import FrameWritten
from controller.session.folder import SessionFolder
from controller.session.journal import read_journal
from controller.session.ledger import replay
from processing.files.mrc import read_stack


def usable_frames(folder: SessionFolder, series: SeriesName) -> list[FrameWritten]:
    """Return the records of the usable frames of a series, in order of section."""
    return replay(line.entry for line in read_journal(folder.journal).lines).usable(series)


def read_images(
    folder: SessionFolder, series: SeriesName, frames: list[FrameWritten]
) -> Iterator[NDArray[Any]]:
    """Give the image [y, x] of each frame.

    Raises
    ------
    InputFileError
        The stack is missing or damaged.
    """
    data = read_stack(folder.stack(series)).data
    for frame in frames:
        yield data[frame.section]
