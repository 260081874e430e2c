"""Rebuild a damaged journal from its good lines, and from stack and mdoc for the lost frames.

This is done only when the operator asks for it. Every line with the right checksum is kept. A
frame whose line is lost is described from its stack and its mdoc. The dose of exposures that may
have been lost is charged to the specimen.
"""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.common.bounded_read import LOG_BYTES
from controller.model.base import SeriesName
from controller.model.frames import FrameVerdict
from controller.model.plan import Plan
from controller.model.request_ids import RequestName, make_request_id
from controller.model.scan import FrameInfo
from controller.model.stage import StagePosition
from controller.model.steps import FLIP_STEP_ID, Tilt
from controller.session.entries import (
    JOURNAL_FORMAT,
    Entry,
    Exposing,
    FrameWritten,
    SessionOpened,
    StepDone,
    TiltReopened,
    TiltsLeftOut,
)
from controller.session.errors import JournalDamagedError
from controller.session.folder import SessionFolder
from controller.session.folder_lock import FolderLock
from controller.session.journal import Salvaged, salvage, write_journal
from controller.session.ledger import replay
from controller.session.mdoc_sections import mdoc_sections, prior_dose, recorded_at
from controller.session.quarantine import quarantine
from controller.session.read_plain import read_plain
from controller.session.recorder import WITHDRAWN
from controller.session.recovery import SERIES, journaled_protocol
from processing.errors import InputFileError
from processing.files.mdoc import MdocSection
from processing.files.mrc_writer import HEADER_BYTES
from processing.files.section import read_section

MDOC_ROUNDING = 1 + 1e-6
"""Factor that rounds up the seven-digit numbers of the mdoc, so that no dose is lost."""


def rebuild_journal(folder: SessionFolder, plan: Plan) -> tuple[str, ...]:
    """Rebuild the journal of a session; the damaged journal goes into quarantine.

    Parameters
    ----------
    folder
        Folder of a session that does not run.
    plan
        Plan made from the protocol in the folder.

    Returns
    -------
    tuple of str
        Damage found and repairs made, one line each.

    Raises
    ------
    SessionInUseError
        A run uses the folder.
    JournalDamagedError
        A frame has neither a line in the journal nor a section in its mdoc; nothing is changed.
    """
    with FolderLock(folder):
        found = salvage(folder.journal)
        entries = list(_with_opening(folder, [line.entry for line in found.lines]))
        report = [f"journal: line {number} is damaged or missing" for number in found.lost]
        for series in SERIES:
            rebuilt = list(_rebuilt_frames(folder, series, entries, plan))
            report += [
                f"{folder.stack(series).name}: {frame.name} ({frame.nominal_deg:+g} degrees) was "
                "restored from the stack and its mdoc"
                for frame in rebuilt
                if isinstance(frame, FrameWritten)
            ]
            entries = _insert_in_order(entries, series, rebuilt)
        entries += _implied_steps(entries, plan)
        entries += _tilts_before_flip(entries, plan)
        charged = _charge_for_lost_lines(folder, entries, found, plan)
        if charged is not None:
            entries.append(charged)
            report.append(
                f"dose: {charged.dose_e_per_A2:.0f} e/Å² charged for exposures "
                "that the lost lines may record"
            )
        kept = quarantine(folder, "journal.jsonl", read_plain(folder.journal, LOG_BYTES))
        write_journal(folder.journal, entries)
    return (*report, f"journal: rebuilt; the damaged journal is kept in {kept}")


def _with_opening(folder: SessionFolder, entries: list[Entry]) -> Iterator[Entry]:
    """Yield the entries, after a new opening entry if theirs was lost."""
    openings = [entry for entry in entries if isinstance(entry, SessionOpened)]
    if openings:
        yield from entries
        return
    protocol = journaled_protocol(folder.read_protocol())
    yield SessionOpened(
        journal_format=JOURNAL_FORMAT, session_id=uuid.uuid4().hex[:12], protocol=protocol
    )
    yield from entries


def _rebuilt_frames(
    folder: SessionFolder, series: SeriesName, entries: Iterable[Entry], plan: Plan
) -> Iterator[FrameWritten | TiltReopened]:
    """Make entries for the frames that only stack and mdoc describe."""
    ledger = replay(entries)
    known = {frame.section for frame in ledger.frames[series]}
    if not folder.stack(series).exists():
        return
    described = mdoc_sections(folder, series)
    tilts = [
        step
        for step in plan.steps
        if isinstance(step, Tilt) and step.series == series and step.id not in ledger.completed
    ]
    lost = sorted(set(described) - known)
    missing = set(range(max(known, default=-1))) - known - set(described)
    if missing:
        raise JournalDamagedError(
            f"{folder.journal}: section {min(missing)} of {folder.stack(series).name} has "
            "neither a good line in the journal nor a section in the mdoc; restore the journal "
            "from a copy"
        )
    for section in lost:
        mdoc = described[section]
        tilt = min(tilts, key=lambda step: abs(step.nominal_deg - mdoc.tilt_angle_deg))
        try:
            pixels = read_section(folder.stack(series), section)
        except InputFileError as error:
            raise JournalDamagedError(
                f"{error} (section {section}); restore the stack from a copy"
            ) from None
        yield _frame(folder, ledger.session_id, tilt, mdoc, pixels)
        if _mdoc_verdict(mdoc) == WITHDRAWN:  # a later frame shows this tilt, too
            yield TiltReopened(step_id=tilt.id, series=series, section=section)
        else:
            tilts.remove(tilt)


def _frame(
    folder: SessionFolder,
    session_id: str,
    tilt: Tilt,
    mdoc: MdocSection,
    pixels: NDArray[Any],
) -> FrameWritten:
    """Make the entry of a frame from its mdoc and the checksum of the pixels found."""
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
        recorded_at=recorded_at(mdoc),
        mean_counts=float(np.nan_to_num(pixels).mean()),
        shift_px=(0.0, 0.0),
        verdict=_verdict(mdoc),
        retakes=0,
        dose_before_e_per_A2=prior_dose(mdoc),
    )


def _mdoc_verdict(mdoc: MdocSection) -> str:
    return mdoc.extra.get("Verdict", "")


def _verdict(mdoc: MdocSection) -> FrameVerdict:
    """Return the verdict in the mdoc; OK if it has none."""
    known = {verdict.value: verdict for verdict in FrameVerdict}
    return known.get(_mdoc_verdict(mdoc), FrameVerdict.OK)


def _insert_in_order(
    entries: list[Entry], series: SeriesName, rebuilt: Iterable[FrameWritten | TiltReopened]
) -> list[Entry]:
    """Insert each rebuilt entry before the first later frame of its series, else at the end."""
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


BEFORE_FRAMES = ("find-target", "shower", "eucentric", "focus", "flip", "find-flipped")
"""Kinds of steps that were done if a frame behind them was recorded."""


def _implied_steps(entries: Iterable[Entry], plan: Plan) -> list[Entry]:
    """Make `StepDone` entries for steps that must be done because a later step is."""
    done = replay(entries).completed
    last = max((i for i, step in enumerate(plan.steps) if step.id in done), default=0)
    return [
        StepDone(step_id=step.id)
        for step in plan.steps[:last]
        if step.kind in BEFORE_FRAMES and step.id not in done
    ]


def _tilts_before_flip(entries: Iterable[Entry], plan: Plan) -> list[Entry]:
    """Leave out tilts of A without a frame once the grid is flipped: their lines are lost."""
    done = replay(entries).completed
    flip = next((i for i, step in enumerate(plan.steps) if step.id == FLIP_STEP_ID), None)
    if flip is None or not any(step.id in done for step in plan.steps[flip:]):
        return []
    missing = tuple(
        step.id for step in plan.steps[:flip] if isinstance(step, Tilt) and step.id not in done
    )
    return [TiltsLeftOut(series="A", step_ids=missing, more_tilts=None)] if missing else []


def _charge_for_lost_lines(
    folder: SessionFolder, entries: Iterable[Entry], found: Salvaged, plan: Plan
) -> Exposing | None:
    """Charge the dose the mdocs show, and one step's dose for lines lost after the last frame."""
    ledger = replay(entries)
    shown = max(
        (
            prior_dose(section) + (section.dose_e_per_A2 or 0.0)
            for series in SERIES
            for section in mdoc_sections(folder, series).values()
        ),
        default=0.0,
    )
    missing = max(0.0, MDOC_ROUNDING * shown - ledger.dose_e_per_A2)
    last_frame = max(
        (line.seq + 1 for line in found.lines if isinstance(line.entry, FrameWritten)), default=0
    )
    before = replay(line.entry for line in found.lines)
    cut_off = any(len(ledger.frames[s]) > len(before.frames[s]) for s in SERIES) and not found.lost
    if cut_off or any(number > last_frame for number in found.lost):
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
