"""A damaged journal written anew: from its own good lines, and from the frames where those fail.

Never done by itself: the operator asks for it. What the journal still says is kept, line by line,
each by its own checksum. A frame whose line is gone is taken from its stack and its mdoc. What
may have exposed the specimen and is not known any more is charged to it.
"""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.model.base import SeriesName
from controller.model.frames import FrameVerdict
from controller.model.plan import Plan
from controller.model.request_ids import RequestName, make_request_id
from controller.model.scan import FrameInfo
from controller.model.stage import StagePosition
from controller.model.steps import Tilt
from controller.session.entries import (
    JOURNAL_FORMAT,
    Entry,
    Exposing,
    FrameWritten,
    SessionOpened,
    StepDone,
    TiltReopened,
)
from controller.session.errors import JournalDamagedError
from controller.session.folder import FolderLock, SessionFolder
from controller.session.journal import Salvaged, salvage, write_journal
from controller.session.ledger import replay
from controller.session.recorder import WITHDRAWN
from controller.session.recovery import SERIES, as_run, keep
from processing.errors import InputFileError
from processing.files.mdoc import MdocSection, read_mdoc
from processing.files.mrc_writer import HEADER_BYTES
from processing.files.section import read_section

MDOC_ROUNDING = 1 + 1e-6
"""Its numbers have seven digits: rounded up, nothing is forgotten."""


def rebuild_journal(folder: SessionFolder, plan: Plan) -> tuple[str, ...]:
    """Write the journal of a session anew; the damaged one goes into quarantine.

    Parameters
    ----------
    folder
        Of a session that does not run.
    plan
        Made from the folder's own protocol.

    Returns
    -------
    tuple of str
        What was found and done, a line each.

    Raises
    ------
    SessionInUseError
        A run holds the folder.
    JournalDamagedError
        A frame has neither a line in the journal nor a section in its mdoc; nothing was changed.
    """
    lock = FolderLock(folder)
    try:
        found = salvage(folder.journal)
        entries = list(_opened(folder, [line.entry for line in found.lines]))
        report = [f"journal: line {number} is damaged or gone" for number in found.lost]
        for series in SERIES:
            rebuilt = list(_rebuilt_frames(folder, series, entries, plan))
            report += [
                f"{folder.stack(series).name}: {frame.name} ({frame.nominal_deg:+g} degrees) was "
                "entered anew, from the stack and its mdoc"
                for frame in rebuilt
                if isinstance(frame, FrameWritten)
            ]
            entries = _in_order(entries, series, rebuilt)
        entries += _implied(entries, plan)
        charged = _charged_for_the_lost(folder, entries, found, plan)
        if charged is not None:
            entries.append(charged)
            report.append(
                f"dose: {charged.dose_e_per_A2:.0f} e/Å² charged for what the lost lines may hold"
            )
        kept = keep(folder, "journal.jsonl", folder.journal.read_bytes())
        write_journal(folder.journal, entries)
    finally:
        lock.release()
    return (*report, f"journal: written anew; the damaged one is kept in {kept}")


def _opened(folder: SessionFolder, entries: list[Entry]) -> Iterator[Entry]:
    """Have the opening entry come first, made anew where it was lost."""
    openings = [entry for entry in entries if isinstance(entry, SessionOpened)]
    if openings:
        yield from entries
        return
    protocol = as_run(folder.read_protocol())
    yield SessionOpened(
        journal_format=JOURNAL_FORMAT, session_id=uuid.uuid4().hex[:12], protocol=protocol
    )
    yield from entries


def _rebuilt_frames(
    folder: SessionFolder, series: SeriesName, entries: Iterable[Entry], plan: Plan
) -> Iterator[FrameWritten | TiltReopened]:
    """Make the entries of the frames that only stack and mdoc still know."""
    ledger = replay(entries)
    known = {frame.section for frame in ledger.frames[series]}
    if not folder.stack(series).exists():
        return
    described = _described(folder, series)
    tilts = [
        step
        for step in plan.steps
        if isinstance(step, Tilt) and step.series == series and step.id not in ledger.completed
    ]
    lost = sorted(set(described) - known)
    missing = set(range(max(known, default=-1))) - known - set(described)
    if missing:
        raise JournalDamagedError(
            f"{folder.journal}: frame {min(missing)} of {series} has neither a good line nor a "
            "section in the mdoc; restore the journal from a copy"
        )
    for index in lost:
        mdoc = described[index]
        tilt = min(tilts, key=lambda step: abs(step.nominal_deg - mdoc.tilt_angle_deg))
        try:
            pixels = read_section(folder.stack(series), index)
        except InputFileError as error:
            raise JournalDamagedError(f"{error}; restore the stack from a copy") from None
        yield _frame(folder, ledger.session_id, tilt, mdoc, pixels)
        if _mdoc_verdict(mdoc) == WITHDRAWN:  # a later frame is of this tilt as well
            yield TiltReopened(step_id=tilt.id, series=series, section=index)
        else:
            tilts.remove(tilt)


def _described(folder: SessionFolder, series: SeriesName) -> dict[int, MdocSection]:
    try:
        return {image.section: image for image in read_mdoc(folder.mdoc(series)).sections}
    except InputFileError:
        return {}


def _frame(
    folder: SessionFolder,
    session_id: str,
    tilt: Tilt,
    mdoc: MdocSection,
    pixels: NDArray[Any],
) -> FrameWritten:
    """Make a frame's entry from what its mdoc says; its checksum is that of the bytes found."""
    crc32 = zlib.crc32(pixels.tobytes())
    stage = StagePosition(
        alpha_deg=mdoc.tilt_angle_deg,
        x_nm=1000 * (mdoc.stage_x_um or 0.0),
        y_nm=1000 * (mdoc.stage_y_um or 0.0),
        z_nm=1000 * (mdoc.stage_z_um or 0.0),
    )
    info = FrameInfo(
        request_id=make_request_id(RequestName(session_id, tilt.id, "rebuilt")),
        scan=folder.read_protocol().scan,
        stage=stage,
        current_pA=mdoc.probe_current_pA or 0.0,
        started_s=0.0,
        dose_e_per_A2=mdoc.dose_e_per_A2 or 0.0,
        dtype=pixels.dtype.name,
        crc32=crc32,
    )
    return FrameWritten(
        step_id=tilt.id,
        series=tilt.series,
        tilt_number=tilt.tilt_number,
        nominal_deg=tilt.nominal_deg,
        actual_deg=mdoc.tilt_angle_deg,
        section=mdoc.section,
        offset=HEADER_BYTES + mdoc.section * pixels.nbytes,
        crc32=crc32,
        info=info,
        recorded_at=_recorded_at(mdoc),
        mean_counts=float(np.nan_to_num(pixels).mean()),
        shift_px=(0.0, 0.0),
        verdict=_verdict(mdoc),
        retakes=0,
        dose_before_e_per_A2=_prior_dose(mdoc),
    )


def _mdoc_verdict(mdoc: MdocSection) -> str:
    return mdoc.extra.get("Verdict", "")


def _verdict(mdoc: MdocSection) -> FrameVerdict:
    """Return the verdict that the mdoc gives; ok where it gives none."""
    known = {verdict.value: verdict for verdict in FrameVerdict}
    return known.get(_mdoc_verdict(mdoc), FrameVerdict.OK)


def _recorded_at(mdoc: MdocSection) -> str:
    taken = datetime.strptime(mdoc.date_time or "01-Jan-70  00:00:00", "%d-%b-%y  %H:%M:%S")
    return taken.astimezone().isoformat(timespec="seconds")


def _prior_dose(mdoc: MdocSection) -> float:
    return float(mdoc.extra.get("PriorRecordDose", 0.0))


def _in_order(
    entries: list[Entry], series: SeriesName, rebuilt: Iterable[FrameWritten | TiltReopened]
) -> list[Entry]:
    """Put each rebuilt entry before the first later frame of its series, else at the end."""
    ordered = list(entries)
    for entry in rebuilt:
        later = (
            place
            for place, other in enumerate(ordered)
            if isinstance(other, FrameWritten)
            and other.series == series
            and other.section > entry.section
        )
        ordered.insert(next(later, len(ordered)), entry)
    return ordered


def _implied(entries: Iterable[Entry], plan: Plan) -> list[Entry]:
    """Enter as done what must have been, since something after it was."""
    done = replay(entries).completed
    last = max((i for i, step in enumerate(plan.steps) if step.id in done), default=0)
    return [
        StepDone(step_id=step.id)
        for step in plan.steps[:last]
        if step.kind in ("shower", "eucentric", "focus", "flip") and step.id not in done
    ]


def _charged_for_the_lost(
    folder: SessionFolder, entries: Iterable[Entry], found: Salvaged, plan: Plan
) -> Exposing | None:
    """Charge what the mdocs show to be spent, and a step for lines lost behind the last frame."""
    ledger = replay(entries)
    shown = max(
        (
            _prior_dose(section) + (section.dose_e_per_A2 or 0.0)
            for series in SERIES
            for section in _described(folder, series).values()
        ),
        default=0.0,
    )
    missing = max(0.0, MDOC_ROUNDING * shown - ledger.dose_e_per_A2)
    last_frame = max(
        (line.seq + 1 for line in found.lines if isinstance(line.entry, FrameWritten)), default=0
    )
    if any(number > last_frame for number in found.lost):
        missing += max(step.dose_e_per_A2 for step in plan.steps)
    if missing == 0.0:
        return None
    return Exposing(
        step_id="rebuilt",
        purpose="lost",
        request_id=f"{ledger.session_id}/rebuilt/{uuid.uuid4().hex[:8]}",
        boot_id="",
        dose_e_per_A2=missing,
    )
