"""Entries of the journal: everything `resume` must know, and nothing else.

An exposure is entered before it happens (:class:`Exposing`) and settled after it. An exposure
whose outcome is unknown is therefore still charged to the specimen.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from controller.model.base import Data, NotNegative, RequestId, SeriesName
from controller.model.events import FlipChecked
from controller.model.frames import FrameVerdict, RecordedFrame
from controller.model.more_tilts import MoreTilts
from controller.model.processing_jobs import Job
from controller.model.prompts import PromptId
from controller.model.scan import FrameInfo
from controller.model.stage import StagePosition

JOURNAL_FORMAT = 2
"""Format that is written. Format 1 numbered the steps of tilts from 0."""


class SessionOpened(Data):
    """First entry of every journal."""

    kind: Literal["session-opened"] = "session-opened"
    journal_format: int = 1
    """Format of the journal; see `JOURNAL_FORMAT`."""
    session_id: str
    """Part of every request id, so that no two sessions share one."""
    protocol: dict[str, JsonValue]
    """Protocol of the session; a resumed session must have the same."""


class SessionResumed(Data):
    """A later run has opened the session."""

    kind: Literal["session-resumed"] = "session-resumed"
    report: tuple[str, ...]
    """Damage found on disk and repairs made, one line each."""


class Exposing(Data):
    """The specimen is about to be exposed; the dose is charged from here on."""

    kind: Literal["exposing"] = "exposing"
    step_id: str
    purpose: str
    """Purpose of the exposure within its step: track-0, frame-1, ..."""
    request_id: RequestId
    boot_id: str
    dose_e_per_A2: NotNegative


class Exposed(Data):
    """An exposure is over, with its actual dose: 0 if it certainly failed."""

    kind: Literal["exposed"] = "exposed"
    request_id: RequestId
    dose_e_per_A2: NotNegative


class FrameWritten(RecordedFrame):
    """A frame is durable in its stack; this entry completes its tilt."""

    kind: Literal["frame-written"] = "frame-written"
    offset: Annotated[int, Field(ge=0)]
    """Bytes from the start of the stack to the section."""
    crc32: Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
    """Checksum of the section's bytes in the stack."""
    info: FrameInfo
    recorded_at: str
    """Wall clock, ISO 8601 with zone."""
    dose_before_e_per_A2: NotNegative
    """Dose of the session before this frame's own exposure."""

    @property
    def recorded(self) -> RecordedFrame:
        """Part of the record that events publish."""
        return RecordedFrame.model_validate(
            self.model_dump(include=set(RecordedFrame.model_fields))
        )


class FrameRejected(Data):
    """A frame was rejected and its tilt retaken; its pixels are kept beside the stack."""

    kind: Literal["frame-rejected"] = "frame-rejected"
    step_id: str
    request_id: RequestId
    dose_e_per_A2: NotNegative
    verdict: FrameVerdict
    path: str
    """Relative to the session's folder."""


class FrameDamaged(Data):
    """A frame in its stack differs from what was recorded; it must not be used."""

    kind: Literal["frame-damaged"] = "frame-damaged"
    series: SeriesName
    section: Annotated[int, Field(ge=0)]
    crc32: Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
    """Checksum of the bytes found."""
    kept: str
    """Copy of the bytes found, relative to the session's folder."""


class TiltReopened(Data):
    """The operator has a tilt recorded again; its old frame stays in the stack, unused.

    This entry alone decides which frame a later frame replaces; angles are never compared.
    """

    kind: Literal["tilt-reopened"] = "tilt-reopened"
    step_id: str
    series: SeriesName
    section: Annotated[int, Field(ge=0)]


class TiltSkipped(Data):
    """A tilt was skipped: it has no frame."""

    kind: Literal["tilt-skipped"] = "tilt-skipped"
    step_id: str
    series: SeriesName
    reason: str
    nominal_deg: float
    actual_deg: float | None = None
    """Angle at which the stage stopped short of `nominal_deg`. Two such tilts set a stage limit."""


class TiltsLeftOut(Data):
    """A series ended early: it had enough tilts, and the rest is not recorded."""

    kind: Literal["tilts-left-out"] = "tilts-left-out"
    series: SeriesName
    step_ids: tuple[str, ...]
    """Steps of the tilts that are left out."""
    more_tilts: MoreTilts | None
    """Judgement that ended the series; None in a rebuilt journal."""


class CompleteAsked(Data):
    """The operator wants all tilts of a series, also those that were left out."""

    kind: Literal["complete-asked"] = "complete-asked"
    series: SeriesName


class Answered(Data):
    """A prompt was answered."""

    kind: Literal["answered"] = "answered"
    step_id: str
    prompt_id: PromptId
    value: str
    reason: str
    by: str


class MapRecorded(Data):
    """A survey image is on disk beside the stacks."""

    kind: Literal["map-recorded"] = "map-recorded"
    step_id: str
    name: str
    """A-low, B-middle, ...; the last entry of a name is valid."""
    path: str
    """Relative to the session's folder."""
    info: FrameInfo


class FlipJudged(Data):
    """Result of the flip check; `overridden` if the operator continued in spite of it."""

    kind: Literal["flip-judged"] = "flip-judged"
    check: FlipChecked
    overridden: bool = False


class JobEnded(Data):
    """A processing job has ended."""

    kind: Literal["job-ended"] = "job-ended"
    job: Job
    ok: bool
    reason: str = ""


class Focused(Data):
    """Defocus in force from here on, on the scale of the microscope."""

    kind: Literal["focused"] = "focused"
    step_id: str
    defocus_nm: float
    beside_nm: float = 0.0
    """Extra defocus (nm) of the area beside the specimen at 0 degrees."""


class HeightMeasured(Data):
    """The object was brought to the eucentric height before a series, or could not be."""

    kind: Literal["height-measured"] = "height-measured"
    step_id: str
    series: SeriesName
    stage: StagePosition | None
    """Position at 0 degrees with the object centred; None if it was not found at both tilts."""
    error_nm: NotNegative | None = None
    """Standard error of the height as its own images show it, with one degree of freedom."""


class StepDone(Data):
    """A step of the plan is done."""

    kind: Literal["step-done"] = "step-done"
    step_id: str
    centre: StagePosition | None = None
    """Stage position with the object in view, if the step found it."""


Entry = Annotated[
    SessionOpened
    | SessionResumed
    | Exposing
    | Exposed
    | FrameWritten
    | FrameRejected
    | FrameDamaged
    | TiltReopened
    | TiltSkipped
    | TiltsLeftOut
    | CompleteAsked
    | Answered
    | MapRecorded
    | FlipJudged
    | JobEnded
    | Focused
    | HeightMeasured
    | StepDone,
    Field(discriminator="kind"),
]
