"""What the journal records: everything `resume` must know, and nothing else.

An exposure is entered before it happens (:class:`Exposing`) and settled after it, so that one
whose outcome is unknown is still charged to the specimen.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from controller.model.base import Data, NotNegative, RequestId, SeriesName, Verdict
from controller.model.events import FlipChecked
from controller.model.processing_jobs import Job
from controller.model.scan import FrameInfo
from controller.model.stage import StagePosition


class SessionOpened(Data):
    """First entry of every journal."""

    kind: Literal["session-opened"] = "session-opened"
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


class FrameWritten(Data):
    """A frame is durable in its stack; with this entry its tilt is done."""

    kind: Literal["frame-written"] = "frame-written"
    step_id: str
    series: SeriesName
    section: Annotated[int, Field(ge=0)]
    offset: Annotated[int, Field(ge=0)]
    """Bytes from the start of the stack to the section."""
    crc32: Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
    """Of the section's bytes as they lie in the stack."""
    alpha_deg: float
    """Nominal; `info.stage` has the one reported."""
    info: FrameInfo
    recorded_at: str
    """Wall clock, ISO 8601 with zone."""
    mean_counts: float
    shift_px: tuple[float, float]
    offset_px: tuple[float, float] | None = None
    """(y, x) of the object's centre from the image's; None where it was not seen."""
    verdict: Verdict
    retakes: int
    likeness: float | None = None
    """Correlation with the frame before, at the particles' scale, where it is one tilt away."""
    dose_before_e_per_A2: NotNegative
    """In the session, up to this frame's own exposure."""


class FrameRejected(Data):
    """A frame was taken again; its pixels are kept beside the stack."""

    kind: Literal["frame-rejected"] = "frame-rejected"
    step_id: str
    request_id: RequestId
    dose_e_per_A2: NotNegative
    verdict: Verdict
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
    """The operator wants this tilt again: its frame stays in the stack, and nothing may use it."""

    kind: Literal["tilt-reopened"] = "tilt-reopened"
    step_id: str
    series: SeriesName
    section: Annotated[int, Field(ge=0)]


class TiltSkipped(Data):
    """No frame at this tilt, and why."""

    kind: Literal["tilt-skipped"] = "tilt-skipped"
    step_id: str
    reason: str
    alpha_deg: float | None = None
    reached_deg: float | None = None
    """Where the stage stopped short of `alpha_deg`; at a second tilt, its limit from then on."""


class Answered(Data):
    kind: Literal["answered"] = "answered"
    step_id: str
    prompt_id: str
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
