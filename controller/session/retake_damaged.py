"""Have the tilts of damaged frames recorded again, also of frames that a stack has lost.

This is done only when the operator asks for it. A stack that was cut off is filled up with zeros,
so that every frame keeps its section and the lost ones count as damaged; the piece of a frame that
was left is kept in quarantine.
"""

from __future__ import annotations

from controller.model.base import SeriesName
from controller.session.entries import FrameWritten, TiltReopened
from controller.session.folder import SessionFolder
from controller.session.folder_lock import FolderLock
from controller.session.journal import read_journal
from controller.session.ledger import replay
from controller.session.quarantine import quarantine_tail
from controller.session.recovery import SERIES, realign_frames, stored_bytes
from controller.session.session import Session
from processing.files.atomic import open_plain, sync_data


def retake_damaged(folder: SessionFolder) -> tuple[str, ...]:
    """Enter in the journal that the tilts of all damaged frames are recorded again.

    The dose of the damaged frames stays charged. A frame of series A is only left out once the grid
    is flipped.

    Returns
    -------
    tuple of str
        Damage found and repairs made, one line each.

    Raises
    ------
    UsageError
        A run uses the folder, or it is damaged beyond this.
    """
    report = _fill_cut_off(folder)
    session = Session.open(folder)
    try:
        report += session.recovery_report
        for series, section in sorted(set(session.ledger.damaged) - session.ledger.withdrawn):
            frame = session.ledger.frames[series][section]
            if series == "A" and session.ledger.is_flipped:
                report.append(f"{frame.name}: left out; the grid is flipped")
                continue
            session.enter(TiltReopened(step_id=frame.step_id, series=series, section=section))
            report.append(f"{frame.name} ({frame.nominal_deg:+g} degrees) is recorded again")
        for series in SERIES:
            session.write_companions(series)
    finally:
        session.close()
    return tuple(report)


def _fill_cut_off(folder: SessionFolder) -> list[str]:
    """Fill up each stack that is shorter than its journal says."""
    with FolderLock(folder):
        frames = replay(line.entry for line in read_journal(folder.journal).lines).frames
        report: list[str] = []
        for series in SERIES:
            if frames[series] and folder.stack(series).exists():
                report += realign_frames(folder, series, frames[series])
                report += _fill_up(folder, series, frames[series])
    return report


def _fill_up(
    folder: SessionFolder, series: SeriesName, frames: tuple[FrameWritten, ...]
) -> list[str]:
    path = folder.stack(series)
    size = path.stat().st_size
    lost = [frame for frame in frames if frame.offset + stored_bytes(frame) > size]
    if not lost:
        return []
    name = f"{series}-section-{lost[0].section}-cut-off"
    kept = quarantine_tail(folder, name, path, lost[0].offset)
    with open_plain(path, "r+b") as stack:
        stack.truncate(lost[-1].offset + stored_bytes(lost[-1]))
        sync_data(stack.fileno())
    return [
        f"{path.name}: cut off within {lost[0].name}; {len(lost)} of {len(frames)} frames are lost "
        f"(what was left of the first is kept in {kept})"
    ]
