"""Have the tilts recorded after all that an early end has left out."""

from __future__ import annotations

from controller.common.errors import UsageError
from controller.model.base import SeriesName
from controller.session.entries import CompleteAsked
from controller.session.folder import SessionFolder
from controller.session.session import Session


def restore_left_out(folder: SessionFolder, series: SeriesName) -> int:
    """Enter in the journal that a series is continued to its last tilt; return the tilts left.

    Raises
    ------
    UsageError
        The series has not ended early, or its side of the grid is no longer in the beam.
    """
    session = Session.open(folder)
    try:
        left_out = session.ledger.left_out.get(series)
        if left_out is None:
            raise UsageError(f"{folder.path}: series {series} has not ended early")
        if series == "A" and session.ledger.is_flipped:
            raise UsageError(f"{folder.path}: series A cannot be continued: the grid is flipped")
        session.enter(CompleteAsked(series=series))
    finally:
        session.close()
    return len(left_out.step_ids)
