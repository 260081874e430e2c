"""Events of a session, as typed data.

Engine, steps and worker publish events. The log (events.jsonl), the status on every screen and
the report are made from them. An event states a past fact; nothing waits until it is read.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from controller.model.base import Data, SeriesName, Which
from controller.model.count_verdict import CountVerdict
from controller.model.frames import RecordedFrame
from controller.model.more_tilts import MoreTilts
from controller.model.processing_jobs import JobName
from controller.model.prompts import Prompt, PromptId


class Phase(StrEnum):
    """Phases of a session, in order."""

    PREFLIGHT = "preflight"
    SHOWER = "shower"
    A = "A"
    FLIP = "flip"
    B = "B"
    FUSE = "fuse"
    REPORT = "report"


class State(StrEnum):
    """State of the engine."""

    READY = "ready"
    RUNNING = "running"
    PAUSED = "paused"
    WAITING = "waiting"
    """Waiting for an answer, with the beam blanked."""
    STOPPING = "stopping"
    """Stopping after this tilt or at the end of the series."""
    STOPPED = "stopped"
    """Stopped by the operator; can be resumed."""
    FAILED = "failed"
    """Ended by a fault or a safety check; the column is safe, the reason is named."""
    FINISHED = "finished"


ENDED = frozenset({State.STOPPED, State.FAILED, State.FINISHED})
"""States in which this run of the session is over."""


class PauseCause(StrEnum):
    """Cause of a pause, which decides who ends it."""

    OPERATOR = "operator"
    """The operator asked for it."""
    PASSING = "passing"
    """A fault that passes: the pause ends by itself when it is over."""
    HANDS = "hands"
    """Something that a person has to do: the pause ends by itself when the session sees it done."""
    FAULT = "fault"
    """A fault that the operator has to deal with."""

    @property
    def ends_by_itself(self) -> bool:
        """True if nobody has to end the pause."""
        return self in (PauseCause.PASSING, PauseCause.HANDS)


class OperatorState(StrEnum):
    """Advice to the operator, in one phrase, the same wherever the session is shown."""

    GOOD = "GOOD"
    YOUR_TURN = "YOUR TURN"
    """The data are good; the session waits for a person."""
    WAIT = "WAIT"
    """The data are good; the session waits for the microscope or the disk and goes on by itself."""
    STOP_AT_END = "STOP AT END"
    """The data on disk are useful; the next series must not start like this."""
    STOP_NOW = "STOP NOW"
    """Continuing wastes dose or time."""


class Level(StrEnum):
    """Severity of an alert."""

    INFO = "info"
    WARNING = "warning"
    ALARM = "alarm"


class SessionStarted(Data):
    kind: Literal["session-started"] = "session-started"
    name: str
    folder: str
    microscope: str
    simulated: bool
    tilts_a_deg: tuple[float, ...]
    tilts_b_deg: tuple[float, ...]
    planned_s: float
    planned_dose_e_per_A2: float
    dose_budget_e_per_A2: float
    resumed: bool = False
    version: str = ""
    """Version of dualtilt; empty in older logs."""


class StateChanged(Data):
    kind: Literal["state-changed"] = "state-changed"
    state: State
    reason: str = ""
    pause_cause: PauseCause | None = None
    """Cause of the pause; None in every other state."""
    session: str = ""
    """Folder that the command which ends a pause has to name; empty if one session runs."""


class PauseAsked(Data):
    """A pause was requested and waits for the end of the current step, or no longer waits."""

    kind: Literal["pause-asked"] = "pause-asked"
    waiting: bool


class PhaseStarted(Data):
    kind: Literal["phase-started"] = "phase-started"
    phase: Phase


class PhaseFinished(Data):
    kind: Literal["phase-finished"] = "phase-finished"
    phase: Phase


class Checked(Data):
    """One line of the pre-flight list, or of the checks around the flip."""

    kind: Literal["checked"] = "checked"
    name: str
    ok: bool
    detail: str


class ShowerSliceStarted(Data):
    """The beam shower was switched on, for `duration_s` unless something ends it sooner."""

    kind: Literal["shower-slice-started"] = "shower-slice-started"
    duration_s: float


class Showered(Data):
    kind: Literal["showered"] = "showered"
    alpha_deg: float
    elapsed_s: float
    planned_s: float
    dose_e_per_A2: float
    """Dose of the session so far."""
    size_nm: float | None = None
    """Diameter of the assembly in the image; constant when shrinking ends."""
    angle: int = 0
    """Number of this shower angle, from 1; 0 in older logs."""
    angles: int = 0
    angle_elapsed_s: float = 0.0
    angle_planned_s: float = 0.0
    drift_nm: float | None = None
    """Distance the object moved since the shot before the shower at this angle."""
    drift_nm_per_s: float | None = None


class BeamChanged(Data):
    kind: Literal["beam-changed"] = "beam-changed"
    blanked: bool
    current_pA: float
    dose_e_per_A2: float | None = None
    """Dose spent in all, with that of shots which are no frames; None if nothing was exposed."""


class FrameRecorded(Data):
    """A frame is safe on disk; only now may anything use it."""

    kind: Literal["frame-recorded"] = "frame-recorded"
    frame: RecordedFrame
    planned: int
    """Tilts of the series as planned."""
    tilts_left: int
    """Tilts of the series still to be recorded."""
    dose_e_per_A2: float
    """Dose of the session so far."""
    left_s: float
    """Estimated microscope time to the end of the series (s)."""


class FrameWithdrawn(Data):
    """A tilt is to be recorded again: its frame stays in the stack and is not used."""

    kind: Literal["frame-withdrawn"] = "frame-withdrawn"
    series: SeriesName
    tilt_number: int
    section: int


class TiltMissed(Data):
    """A tilt was skipped: there is no frame of it."""

    kind: Literal["tilt-missed"] = "tilt-missed"
    series: SeriesName
    tilt_number: int
    nominal_deg: float
    reason: str
    tilts_left: int
    """Tilts of the series still to be recorded."""


class SeriesEndedEarly(Data):
    """A series has enough tilts and ends before its last planned one."""

    kind: Literal["series-ended-early"] = "series-ended-early"
    series: SeriesName
    recorded: int
    """Tilts recorded so far."""
    left_out: int
    """Planned tilts that are not recorded."""
    saved_dose_e_per_A2: float
    """Planned dose of the tilts that are left out."""
    saved_s: float
    """Planned time of the tilts that are left out (s)."""
    more_tilts: MoreTilts
    """Judgement that ended the series."""


class Alerted(Data):
    kind: Literal["alerted"] = "alerted"
    level: Level
    text: str
    where: str = ""


class PromptOpened(Data):
    kind: Literal["prompt-opened"] = "prompt-opened"
    prompt: Prompt


class PromptAnswered(Data):
    kind: Literal["prompt-answered"] = "prompt-answered"
    prompt_id: PromptId
    value: str
    reason: str = ""
    by: str
    """operator, demo or policy."""


class FlipChecked(Data):
    """Result of comparing the first images of B, at 0 and on both sides, with the object of A."""

    kind: Literal["flip-checked"] = "flip-checked"
    flipped_score: float
    """Correlation with the images expected from A for the flipped object, -1..1."""
    same_side_score: float
    """Correlation with the images expected for the same side up, turned in the plane, -1..1."""
    in_plane_deg: float
    accepted: bool
    found: str
    """Result in words: 'flipped, turned by 71 degrees in the plane'."""
    runner_up_score: float = 0.0
    """Score of the next best orientation, either side up."""
    seat_deg: float = 0.0
    """Tilt of the grid in the holder relative to series A."""
    offset_nm: tuple[float, float] = (0.0, 0.0)
    """(y, x) of the object from the centre of the image at 0 degrees."""
    shrinkage: float = 0.0
    """Loss of the object's size since A, as a fraction."""
    signal_ratio: float = 1.0
    """Ratio of the object's signal to that in A, at equal dwell time and current."""

    @property
    def compared(self) -> bool:
        """True if images were compared; False if B was refused before that."""
        return (self.flipped_score, self.same_side_score) != (0.0, 0.0)

    @property
    def outcome(self) -> str:
        """Outcome in one word or two, for screen, log and alerts."""
        return "confirmed" if self.accepted else "NOT CONFIRMED"


class ProcessingProgressed(Data):
    kind: Literal["processing-progressed"] = "processing-progressed"
    job: JobName
    stage: str
    fraction: float
    behind: int = 0
    """Frames on disk that the worker has not processed yet."""


class TiltJudged(Data):
    """Residual and shift of one tilt, as processing found them."""

    kind: Literal["tilt-judged"] = "tilt-judged"
    series: SeriesName
    tilt_number: int
    section: int
    residual_px: float | None
    """None for the first tilts, which have nothing to be compared with."""
    shift_px: tuple[float, float]


class Counted(Data):
    kind: Literal["counted"] = "counted"
    which: Which
    n: int
    n_low: int
    n_high: int
    tilts_used: int
    live: bool
    """True while the series is still being recorded."""
    diameter_nm: float | None = None
    verdict: CountVerdict | None = None
    """Trust in the count; None in logs of earlier versions and for controls."""
    structure: str = ""
    """Structure of these particles in one line; empty if it was not analysed."""
    final_residual_px: float | None = None
    """Residual of the final alignment of a series, rms (px); None before it and of both series."""


class Advised(Data):
    """Advice of the live processing on the recording, with the figure it is based on."""

    kind: Literal["advised"] = "advised"
    series: SeriesName
    topic: Literal["retake", "convergence", "blurred-side", "fit"]
    text: str
    ok: bool
    """False where the operator may want to act."""
    tilt_number: int | None = None
    """Tilt that is worth recording again, where the advice concerns one."""
    more_tilts: MoreTilts | None = None
    """Expected change by more tilts, for the topic convergence; None if no count tells it."""


class PreviewReady(Data):
    """An image for the screen: 2D uint8 .npy, row 0 at the bottom."""

    kind: Literal["preview-ready"] = "preview-ready"
    view: str
    """frame, slice-A, slice-B, slice-fused, slice-difference, ..."""
    path: str
    """Relative to the session's folder."""
    caption: str = ""
    pixel_nm: float | None = None
    """Width of a pixel (nm); None in logs of earlier versions."""


class ProcessingFailed(Data):
    kind: Literal["processing-failed"] = "processing-failed"
    job: JobName
    reason: str
    refused: bool = False
    """True where the fusion was refused: B does not show the flipped object of A."""


class ReportWritten(Data):
    kind: Literal["report-written"] = "report-written"
    path: str
    """Relative to the session's folder."""


Event = Annotated[
    SessionStarted
    | StateChanged
    | PauseAsked
    | PhaseStarted
    | PhaseFinished
    | Checked
    | ShowerSliceStarted
    | Showered
    | BeamChanged
    | FrameRecorded
    | FrameWithdrawn
    | TiltMissed
    | SeriesEndedEarly
    | Alerted
    | PromptOpened
    | PromptAnswered
    | FlipChecked
    | ProcessingProgressed
    | TiltJudged
    | Counted
    | Advised
    | PreviewReady
    | ProcessingFailed
    | ReportWritten,
    Field(discriminator="kind"),
]


class Record(Data):
    """One line of events.jsonl."""

    seq: int
    at: str
    """Wall clock, ISO 8601 with zone; `seq` gives the order."""
    event: Event
    advice: OperatorState | None = None
    """Advice to the operator, where this event changed it."""
    advice_reason: str = ""
    """Reason of that advice, and what to do; empty for GOOD."""


Publish = Callable[[Event], None]
"""Function that publishes an event; it never blocks and never raises."""

RECORD: TypeAdapter[Record] = TypeAdapter(Record)
