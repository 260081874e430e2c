"""Series in the folder of a session, to be processed again: files, settings, dropped tilts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from controller.common.bounded_read import read_whole
from controller.common.errors import UsageError
from controller.common.open_inside import open_inside

if TYPE_CHECKING:
    from controller.model.base import SeriesName
    from processing.series import TiltSeries

DROPPED = re.compile(r"([AB])[:#](\d+(?:,\d+)*)")


@dataclass(frozen=True)
class DroppedTilts:
    """Tilts of a series that are left out, as people count them, from 1."""

    series: SeriesName
    numbers: tuple[int, ...]


def dropped_tilts(text: str) -> DroppedTilts:
    """Read ``A:12,13``.

    Raises
    ------
    ValueError
        The text names no tilts.
    """
    found = DROPPED.fullmatch(text.strip())
    if found is None:
        raise ValueError(text)
    name: SeriesName = "A" if found[1] == "A" else "B"
    return DroppedTilts(name, tuple(int(number) for number in found[2].split(",")))


def recorded_series(folder: Path) -> dict[SeriesName, Path]:
    """Return the stacks A and B of a folder; empty if it is no folder of a dual tilt series.

    Raises
    ------
    UsageError
        Several files could be the same series.
    """
    from processing.batch.find_series import find_series
    from processing.errors import InputFileError

    if not folder.is_dir():
        return {}
    if not any(path.stem.split(".")[0] == "A" for path in folder.iterdir()):
        return {}  # a folder of single images, which is one series
    try:
        return find_series(folder)
    except InputFileError as error:
        raise UsageError(str(error)) from error


def recorded_settings(folder: Path) -> dict[str, Any]:
    """Return the settings of processing in the session's protocol; none if it has no protocol.

    Raises
    ------
    UsageError
        The protocol cannot be read, or is a link.
    """
    from controller.model.protocol import read_protocol

    file = folder / "protocol.toml"
    if not os.path.lexists(file):
        return {}
    return read_protocol(file, lambda _: _read_inside(folder, file.name)).processing.model_dump()


def _read_inside(folder: Path, name: str) -> bytes:
    """Return the content of a session's file, which is reached through no link."""
    with open_inside(folder, name) as file:
        return read_whole(file)


def free_results_folder(session: Path) -> Path:
    """Return ``processed-2``, or the next number that the session's folder does not hold yet."""
    return next(
        path for number in count(2) if not (path := session / f"processed-{number}").exists()
    )


def without_dropped(
    series: Sequence[TiltSeries], dropped: Sequence[DroppedTilts]
) -> list[TiltSeries]:
    """Mark the dropped tilts of each series as excluded.

    In a session, a number is that of the tilt in the plan, and all its frames are left out.
    Elsewhere, the images of the stack are counted.

    Raises
    ------
    UsageError
        A series or a tilt does not exist, or too few images are left.
    """
    from processing.pipeline.check_series import FEWEST_IMAGES

    by_name = {one.name: one for one in series}
    for drop in dropped:
        if drop.series not in by_name:
            raise UsageError(f"--drop {drop.series}: there is no series {drop.series} here")
        one = by_name[drop.series]
        numbers = np.array(one.tilt_numbers or range(1, one.tilts + 1))
        unknown = [number for number in drop.numbers if number not in numbers]
        if unknown:
            raise UsageError(
                f"--drop {drop.series}:{unknown[0]}: series {drop.series} has the tilts "
                f"{numbers.min()} to {numbers.max()}, counted from 1"
            )
        excluded = one.excluded | np.isin(numbers, drop.numbers)
        left = int((~excluded).sum())
        if left < FEWEST_IMAGES:
            raise UsageError(
                f"--drop {drop.series}: leaves {left} of {one.tilts} images in use; "
                f"at least {FEWEST_IMAGES} are needed"
            )
        by_name[drop.series] = replace(one, excluded=np.asarray(excluded))
    return [by_name[one.name] for one in series]


def sections_by_tilt(
    name: SeriesName, images: int, session: Path | None
) -> Mapping[int, Sequence[int]]:
    """Return the sections in the stack that belong to each tilt number.

    Parameters
    ----------
    images
        Number of images in the stack.
    session
        Folder whose journal has the numbers; without a journal the images are counted.
    """
    # slow to load, and not needed for files alone
    from controller.session.folder import SessionFolder
    from controller.session.journal import read_journal
    from controller.session.ledger import replay

    journal = None if session is None else SessionFolder(session).journal
    if journal is None or not journal.exists():
        return {section + 1: [section] for section in range(images)}
    ledger = replay(line.entry for line in read_journal(journal).lines)
    sections: dict[int, list[int]] = {}
    for frame in ledger.frames[name]:
        if frame.section < images:
            sections.setdefault(frame.tilt_number, []).append(frame.section)
    return sections
