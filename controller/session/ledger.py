"""State of a session, computed from the entries of its journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from pydantic import JsonValue

from controller.model.base import SeriesName
from controller.model.events import FlipChecked
from controller.model.frames import FrameVerdict
from controller.model.processing_jobs import Job
from controller.model.prompts import PromptId
from controller.model.stage import StagePosition
from controller.session.entries import (
    Answered,
    CompleteAsked,
    Entry,
    Exposed,
    Exposing,
    FlipJudged,
    Focused,
    FrameDamaged,
    FrameRejected,
    FrameWritten,
    HeightMeasured,
    JobEnded,
    MapRecorded,
    SessionOpened,
    SessionResumed,
    StepDone,
    TiltReopened,
    TiltSkipped,
    TiltsLeftOut,
)


@dataclass(frozen=True)
class Exposure:
    """A request that exposes, or may have exposed, the specimen."""

    intent: Exposing
    dose_e_per_A2: float
    settled: bool


@dataclass(frozen=True)
class Ledger:
    """State of a session after the entries of its journal.

    Attributes
    ----------
    completed
        Ids of the steps that are done.
    frames
        Acknowledged frames by series, in order of section.
    damaged
        Frames that differ from what was recorded, by (series, section).
    withdrawn
        Frames, as (series, section), whose tilt the operator has recorded again.
    left_out
        Tilts that are left out, by series that ended early.
    complete_asked
        Series whose tilts the operator wants all.
    exposures
        Exposures by request id; one with an unknown outcome is charged in full.
    centre
        Last stage position with the object in view.
    maps
        Survey images by name.
    flip
        Result of the flip check, once B may be recorded.
    focus
        Defocus in force, once focusing was done.
    heights
        Eucentric height as it was last measured, by the series that follows.
    """

    session_id: str = ""
    protocol: Mapping[str, JsonValue] = field(default_factory=dict)
    completed: frozenset[str] = frozenset()
    frames: Mapping[SeriesName, tuple[FrameWritten, ...]] = field(
        default_factory=lambda: MappingProxyType({"A": (), "B": ()})
    )
    damaged: Mapping[tuple[SeriesName, int], FrameDamaged] = field(default_factory=dict)
    withdrawn: frozenset[tuple[SeriesName, int]] = frozenset()
    skipped: tuple[TiltSkipped, ...] = ()
    left_out: Mapping[SeriesName, TiltsLeftOut] = field(default_factory=dict)
    complete_asked: frozenset[SeriesName] = frozenset()
    exposures: Mapping[str, Exposure] = field(default_factory=dict)
    answers: tuple[Answered, ...] = ()
    centre: StagePosition = field(default_factory=StagePosition)
    maps: Mapping[str, MapRecorded] = field(default_factory=dict)
    flip: FlipChecked | None = None
    focus: Focused | None = None
    heights: Mapping[SeriesName, HeightMeasured] = field(default_factory=dict)
    jobs_done: frozenset[Job] = frozenset()

    @property
    def dose_e_per_A2(self) -> float:
        """Dose charged to the specimen so far, including exposures with an unknown outcome."""
        return sum(exposure.dose_e_per_A2 for exposure in self.exposures.values())

    @property
    def is_flipped(self) -> bool:
        """True once the grid has been flipped: series A cannot be continued."""
        flipped = any(answer.prompt_id is PromptId.FLIP for answer in self.answers)
        return flipped or self.flip is not None or bool(self.frames["B"])

    def pending(self, step_id: str, purpose: str) -> Exposure | None:
        """Return the latest exposure for this purpose if its outcome is unknown, else None."""
        latest = self._exposures_for(step_id, purpose)
        return latest[-1] if latest and not latest[-1].settled else None

    def attempts(self, step_id: str, purpose: str) -> int:
        """Count the requests made so far for this purpose."""
        return len(self._exposures_for(step_id, purpose))

    @property
    def pixel_type(self) -> str | None:
        """numpy name of the pixel type of the recorded frames; None without frames."""
        return next((f.info.dtype for frames in self.frames.values() for f in frames), None)

    def unusable(self, frame: FrameWritten) -> bool:
        """Tell whether a frame must not be used: invalid, damaged or withdrawn."""
        place = (frame.series, frame.section)
        invalid = frame.verdict is FrameVerdict.INVALID
        return invalid or place in self.damaged or place in self.withdrawn

    def usable(self, series: SeriesName) -> list[FrameWritten]:
        """Return the frames of a series that may be used, in order of section."""
        return [frame for frame in self.frames[series] if not self.unusable(frame)]

    def frames_with_object(self, series: SeriesName) -> list[FrameWritten]:
        """Return the usable frames of a series that show the object at full signal."""
        shows = (FrameVerdict.OK, FrameVerdict.SHIFTED)
        return [frame for frame in self.usable(series) if frame.verdict in shows]

    def _exposures_for(self, step_id: str, purpose: str) -> list[Exposure]:
        return [
            exposure
            for exposure in self.exposures.values()
            if (exposure.intent.step_id, exposure.intent.purpose) == (step_id, purpose)
        ]


def add_entry(ledger: Ledger, entry: Entry) -> Ledger:
    """Return the ledger after one more entry."""
    match entry:
        case SessionOpened():
            return replace(ledger, session_id=entry.session_id, protocol=entry.protocol)
        case SessionResumed():
            return ledger
        case Exposing():
            return _add_exposure(ledger, Exposure(entry, entry.dose_e_per_A2, settled=False))
        case Exposed():
            return _settle(ledger, entry.request_id, entry.dose_e_per_A2)
        case FrameRejected():
            return _settle(ledger, entry.request_id, entry.dose_e_per_A2)
        case FrameWritten():
            return _add_frame(ledger, entry)
        case FrameDamaged():
            where = (entry.series, entry.section)
            return replace(ledger, damaged={**ledger.damaged, where: entry})
        case TiltReopened():
            return _reopen(ledger, entry)
        case TiltSkipped():
            return replace(_complete_step(ledger, entry.step_id), skipped=(*ledger.skipped, entry))
        case TiltsLeftOut():
            return _leave_out(ledger, entry)
        case CompleteAsked():
            return _restore_left_out(ledger, entry.series)
        case Answered():
            # the grid was taken out: the operator has focused again
            focus = None if entry.prompt_id is PromptId.FLIP else ledger.focus
            return replace(ledger, answers=(*ledger.answers, entry), focus=focus)
        case MapRecorded():
            charged = _settle(ledger, entry.info.request_id, entry.info.dose_e_per_A2)
            return replace(charged, maps={**ledger.maps, entry.name: entry})
        case FlipJudged():
            return replace(ledger, flip=entry.check)
        case JobEnded():
            return replace(ledger, jobs_done=ledger.jobs_done | {entry.job}) if entry.ok else ledger
        case Focused():
            return replace(ledger, focus=entry)
        case HeightMeasured():
            return replace(ledger, heights={**ledger.heights, entry.series: entry})
        case StepDone():
            return replace(
                _complete_step(ledger, entry.step_id), centre=entry.centre or ledger.centre
            )


def replay(entries: Iterable[Entry]) -> Ledger:
    """Return the ledger after all entries of a journal."""
    ledger = Ledger()
    for entry in entries:
        ledger = add_entry(ledger, entry)
    return ledger


def _complete_step(ledger: Ledger, step_id: str) -> Ledger:
    return replace(ledger, completed=ledger.completed | {step_id})


def _add_frame(ledger: Ledger, entry: FrameWritten) -> Ledger:
    frames = {**ledger.frames, entry.series: (*ledger.frames[entry.series], entry)}
    settled = _settle(ledger, entry.info.request_id, entry.info.dose_e_per_A2)
    return replace(
        _complete_step(settled, entry.step_id),
        frames=MappingProxyType(frames),
        centre=entry.info.stage,
    )


def _leave_out(ledger: Ledger, entry: TiltsLeftOut) -> Ledger:
    """Mark the tilts of a series that are left out as done."""
    return replace(
        ledger,
        completed=ledger.completed.union(entry.step_ids),
        left_out={**ledger.left_out, entry.series: entry},
    )


def _restore_left_out(ledger: Ledger, series: SeriesName) -> Ledger:
    """Mark the tilts that were left out as not done; the series is then processed again."""
    asked = replace(ledger, complete_asked=ledger.complete_asked | {series})
    if series not in ledger.left_out:
        return asked
    return replace(
        asked,
        completed=ledger.completed.difference(ledger.left_out[series].step_ids),
        left_out={name: entry for name, entry in ledger.left_out.items() if name != series},
        jobs_done=ledger.jobs_done - {Job(series)},
    )


def _reopen(ledger: Ledger, entry: TiltReopened) -> Ledger:
    """Mark a tilt as not done and withdraw its frame; results with it are made again."""
    return replace(
        ledger,
        jobs_done=ledger.jobs_done - {Job(entry.series), Job.FUSE},
        completed=ledger.completed - {entry.step_id},
        withdrawn=ledger.withdrawn | {(entry.series, entry.section)},
    )


def _add_exposure(ledger: Ledger, exposure: Exposure) -> Ledger:
    exposures = {**ledger.exposures, exposure.intent.request_id: exposure}
    return replace(ledger, exposures=exposures)


def _settle(ledger: Ledger, request_id: str, dose_e_per_A2: float) -> Ledger:
    known = ledger.exposures.get(request_id)
    if known is None:
        return ledger
    return _add_exposure(ledger, replace(known, dose_e_per_A2=dose_e_per_A2, settled=True))
