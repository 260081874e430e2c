"""What the journal records: everything `resume` must know, and nothing else.

An exposure is entered before it happens (:class:`Exposing`) and settled after it, so that one
whose outcome is unknown is still charged to the specimen.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from controller.model.base import Data, NotNegative, RequestId, SeriesName
from controller.model.events import FlipChecked
from controller.model.frames import FrameVerdict, RecordedFrame
from controller.model.processing_jobs import Job
from controller.model.prompts import PromptId
from controller.model.scan import FrameInfo
from controller.model.stage import StagePosition

JOURNAL_FORMAT = 2
"""Format written today. Format 1 numbered the steps of tilts from 0."""


class SessionOpened(Data):
    """First entry of every journal."""

    kind: Literal["session-opened"] = "session-opened"
    journal_format: int = 1
    """Format of the journal; see `JOURNAL_FORMAT`."""
    session_id: str
    """Part of every request id, so that no two sessions share one."""
    protocol: dict[str, JsonValue]
    """As run; a resumed session must have the same."""


class SessionResumed(Data):
    kind: Literal["session-resumed"] = "session-resumed"
    report: tuple[str, ...]
    """What was found on disk and put right, a line each."""


class Exposing(Data):
    """The specimen is about to be exposed: charged from here on."""

    kind: Literal["exposing"] = "exposing"
    step_id: str
    purpose: str
    """What the exposure is for within its step: track-0, frame-1, ..."""
    request_id: RequestId
    boot_id: str
    dose_e_per_A2: NotNegative


class Exposed(Data):
    """An exposure is over and cost this much; one that failed for certain cost nothing."""

    kind: Literal["exposed"] = "exposed"
    request_id: RequestId
    dose_e_per_A2: NotNegative


class FrameWritten(RecordedFrame):
    """A frame is durable in its stack; with this entry its tilt is done."""

    kind: Literal["frame-written"] = "frame-written"
    offset: Annotated[int, Field(ge=0)]
    """Bytes from the start of the stack to the section."""
    crc32: Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
    """Checksum of the section's bytes as they lie in the stack."""
    info: FrameInfo
    recorded_at: str
    """Wall clock, ISO 8601 with zone."""
    dose_before_e_per_A2: NotNegative
    """Dose of the session before this frame's own exposure."""

    @property
    def recorded(self) -> RecordedFrame:
        """The part of the record that everybody is told."""
        return RecordedFrame.model_validate(
            self.model_dump(include=set(RecordedFrame.model_fields))
        )


class FrameRejected(Data):
    """A frame was taken again; its pixels are kept beside the stack."""

    kind: Literal["frame-rejected"] = "frame-rejected"
    step_id: str
    request_id: RequestId
    dose_e_per_A2: NotNegative
    verdict: FrameVerdict
    path: str
    """Relative to the session's folder."""


class FrameDamaged(Data):
    """A frame in its stack is no longer what was recorded: nothing may use it."""

    kind: Literal["frame-damaged"] = "frame-damaged"
    series: SeriesName
    section: Annotated[int, Field(ge=0)]
    crc32: Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
    """Of the bytes found."""
    kept: str
    """Copy of the bytes found, relative to the session's folder."""


class TiltReopened(Data):
    """The operator has a tilt recorded again: its frame stays in the stack and is not used.

    This entry alone decides which frame a later one replaces; angles are never compared.
    """

    kind: Literal["tilt-reopened"] = "tilt-reopened"
    step_id: str
    series: SeriesName
    section: Annotated[int, Field(ge=0)]


class TiltSkipped(Data):
    """A tilt without a frame, and the reason."""

    kind: Literal["tilt-skipped"] = "tilt-skipped"
    step_id: str
    series: SeriesName
    reason: str
    nominal_deg: float
    actual_deg: float | None = None
    """Angle at which the stage stopped short of `nominal_deg`; after two such tilts its limit."""


class Answered(Data):
    kind: Literal["answered"] = "answered"
    step_id: str
    prompt_id: PromptId
    value: str
    reason: str
    by: str


class MapRecorded(Data):
    """A survey image is on disk, beside the stacks."""

    kind: Literal["map-recorded"] = "map-recorded"
    step_id: str
    name: str
    """A-low, B-middle, ...; the last of a name counts."""
    path: str
    """Relative to the session's folder."""
    info: FrameInfo


class FlipJudged(Data):
    """What the check of the flip found; with an override, in spite of what."""

    kind: Literal["flip-judged"] = "flip-judged"
    check: FlipChecked
    overridden: bool = False


class JobEnded(Data):
    kind: Literal["job-ended"] = "job-ended"
    job: Job
    ok: bool
    reason: str = ""


class Focused(Data):
    """The defocus that holds from here on, as the column counts it."""

    kind: Literal["focused"] = "focused"
    step_id: str
    defocus_nm: float
    beside_nm: float = 0.0
    """By how much more the area beside the specimen needs at 0 degrees."""


class StepDone(Data):
    kind: Literal["step-done"] = "step-done"
    step_id: str
    centre: StagePosition | None = None
    """Stage position that has the object in view, where the step found it."""


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
    | Answered
    | MapRecorded
    | FlipJudged
    | JobEnded
    | Focused
    | StepDone,
    Field(discriminator="kind"),
]
