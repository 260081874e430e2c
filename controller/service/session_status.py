"""Status of a session: one frozen value, made from the events.

Screen, command line, notifications and report all read :class:`SessionStatus`; none of them keeps
a status of its own.
"""

from __future__ import annotations

import math
from enum import StrEnum

from pydantic import Field

from controller.common.exit_codes import ExitCode
from controller.model.base import Data, NotNegative, SeriesName, Which
from controller.model.count_verdict import CountVerdict
from controller.model.events import (
    ENDED,
    Advised,
    Alerted,
    Checked,
    FlipChecked,
    OperatorState,
    PauseCause,
    Phase,
    ProcessingFailed,
    ProcessingProgressed,
    SeriesEndedEarly,
    Showered,
    State,
)
from controller.model.frames import FrameVerdict, RecordedFrame
from controller.model.processing_jobs import JobName
from controller.model.prompts import Prompt

RESIDUAL_LIMIT_PX = 1.0
"""Largest residual of a tilt that fits the re-projection (px)."""
ALERTS_KEPT = 200
"""Newest alerts kept in the status; events.jsonl keeps all."""


class PhaseState(StrEnum):
    """Progress of a phase."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"


class TiltStatus(Data):
    """One recorded tilt, and its alignment."""

    frame: RecordedFrame
    residual_px: float | None = None
    """Residual of the live alignment; None until it is known, and for the first tilts."""
    aligned_shift_px: float | None = None

    @property
    def shift_px(self) -> float:
        """Best known shift: from the alignment, else from the tracking."""
        if self.aligned_shift_px is not None:
            return self.aligned_shift_px
        return math.hypot(*self.frame.shift_px)


class SeriesStatus(Data):
    """One tilt series."""

    planned_tilts_deg: tuple[float, ...] = ()
    tilts: tuple[TiltStatus, ...] = ()
    """Recorded tilts, one frame each, in order of recording."""
    planned: int = 0
    tilts_left: int | None = None
    """Tilts still to be recorded; None before the first."""
    ended_early: SeriesEndedEarly | None = None
    """Early end of the series, with what it saved; None if all tilts are recorded."""
    final_residual_px: float | None = None
    """Residual of the final alignment, rms; None before it."""

    @property
    def by_angle(self) -> list[TiltStatus]:
        """Recorded tilts in order of tilt angle."""
        return sorted(self.tilts, key=lambda tilt: tilt.frame.nominal_deg)

    @property
    def complete(self) -> bool:
        """True once no tilt is left: each was recorded or skipped."""
        return self.tilts_left == 0


def _no_tilts() -> dict[SeriesName, SeriesStatus]:
    return {"A": SeriesStatus(), "B": SeriesStatus()}


WIDE_INTERVAL = 0.2
"""Half interval over count above which only the log shows a live count."""


class CountPoint(Data):
    """Number of particles with its interval, from the tilts used."""

    tilts_used: int
    n: int
    n_low: int
    n_high: int
    verdict: CountVerdict | None = None
    """Trust in the count; None if it was not judged."""

    @property
    def is_wide(self) -> bool:
        """True if the interval is still too wide for a useful count."""
        return (self.n_high - self.n_low) / 2 > WIDE_INTERVAL * self.n


class CountStatus(Data):
    """Particle counts of one volume, in order of time."""

    points: tuple[CountPoint, ...]
    live: bool
    diameter_nm: float | None = None
    structure: str = ""
    """Structure of the newest particles in one line; empty if it was not analysed."""

    @property
    def latest(self) -> CountPoint:
        """The newest count."""
        return self.points[-1]


class BeamStatus(Data):
    """The beam as the session last set it."""

    blanked: bool
    current_pA: NotNegative


class AlertStatus(Data):
    """An alert with its time."""

    seq: int
    at: str
    alert: Alerted


class ShowerSlice(Data):
    """The current slice of the beam shower."""

    started_at: str
    """Start, wall clock, ISO 8601 with zone."""
    duration_s: float
    """Longest duration (s); after it the session reports."""


class Preview(Data):
    """A picture for the screen."""

    seq: int
    """Sequence number of its event; a new number means new pixels."""
    path: str
    caption: str
    pixel_nm: float | None = None
    """Width of a pixel (nm); None if it is unknown."""


class SessionStatus(Data):
    """Everything that is shown of a session."""

    seq: int = -1
    """Sequence number of the last event in this status."""
    at: str = ""
    started_seq: int = 0
    """Sequence number of the first event of this run; a resumed session has earlier ones."""
    name: str = ""
    folder: str = ""
    microscope: str = ""
    simulated: bool = False
    resumed: bool = False
    planned_s: float = 0.0
    planned_dose_e_per_A2: float = 0.0
    dose_budget_e_per_A2: float = 0.0
    dose_e_per_A2: float = 0.0
    state: State = State.READY
    reason: str = ""
    pause_cause: PauseCause | None = None
    """Cause of the pause, which decides who ends it; None in every other state."""
    paused_session: str = ""
    """Folder that the command which ends the pause has to name; empty if one session runs."""
    operator_state: OperatorState = OperatorState.GOOD
    """Advice to the operator, with its reason below."""
    operator_reason: str = ""
    pausing: bool = False
    """True while a requested pause waits for the end of the current step."""
    phases: dict[Phase, PhaseState] = Field(
        default_factory=lambda: dict.fromkeys(Phase, PhaseState.PENDING)
    )
    series: dict[SeriesName, SeriesStatus] = Field(default_factory=_no_tilts)
    current_series: SeriesName | None = None
    """Series that was recorded last."""
    alpha_deg: float | None = None
    left_s: float | None = None
    beam: BeamStatus | None = None
    counts: dict[Which, CountStatus] = Field(default_factory=dict)
    advice: tuple[Advised, ...] = ()
    """Newest advice of the live processing on each topic, and on each tilt worth a retake."""
    checks: tuple[Checked, ...] = ()
    """Newest check list, of the pre-flight or the flip."""
    showers: tuple[Showered, ...] = ()
    shower_slice: ShowerSlice | None = None
    """Current slice; None while the shower is off."""
    prompt: Prompt | None = None
    prompt_seq: int | None = None
    """Sequence number of the event that opened the prompt; a prompt may open twice."""
    alerts: tuple[AlertStatus, ...] = ()
    """Newest warnings and alarms."""
    news: AlertStatus | None = None
    """Newest information, which needs no attention."""
    standing_alarm: str = ""
    """Newest alarm since the session last continued; empty if there is none."""
    flip_check: FlipChecked | None = None
    processing: dict[JobName, ProcessingProgressed] = Field(default_factory=dict)
    """Newest progress of each running job."""
    behind: int = 0
    """Frames behind, as last reported by the live reconstruction."""
    failures: tuple[ProcessingFailed, ...] = ()
    previews: dict[str, Preview] = Field(default_factory=dict)
    report: str | None = None
    exit_code: ExitCode | None = None
    """Exit code of the session's process; None while it runs."""

    @property
    def phase(self) -> Phase | None:
        """The running phase, else the last one done."""
        for wanted in (PhaseState.RUNNING, PhaseState.DONE):
            found = [phase for phase in Phase if self.phases[phase] is wanted]
            if found:
                return found[-1]
        return None

    @property
    def ended(self) -> bool:
        """True if this run of the session is over."""
        return self.state in ENDED

    @property
    def current_tilts(self) -> tuple[TiltStatus, ...]:
        """Tilts of the series that is being recorded; none in other phases."""
        phase = self.phase
        recording = phase in (Phase.A, Phase.B) and self.phases[phase] is PhaseState.RUNNING
        name: SeriesName = "B" if phase is Phase.B else "A"
        return self.series[name].tilts if recording else ()

    def standing_advice(self, name: SeriesName) -> tuple[Advised, ...]:
        """Return the advice on a series that the operator can still follow."""
        series, done = self.series[name], self.phases[Phase(name)] is PhaseState.DONE
        over = (("convergence",) if done or series.complete else ()) + (("retake",) if done else ())
        return tuple(
            advised
            for advised in self.advice
            if advised.series == name and advised.topic not in over
        )

    def unanswered(self) -> SessionStatus:
        """Return the status of a session that does not answer: its beam may be on or blanked."""
        return self.model_copy(update={"beam": None})

    @property
    def frames_behind(self) -> int:
        """Number of frames of the current series that are on disk and not processed yet."""
        tilts = self.series[self.current_series].tilts if self.current_series else ()
        seen = max(
            (tilt.frame.section for tilt in tilts if tilt.aligned_shift_px is not None), default=-1
        )
        unseen = sum(
            tilt.frame.section > seen and tilt.frame.verdict is not FrameVerdict.INVALID
            for tilt in tilts
        )
        return max(unseen, self.behind)  # a restarted worker begins with the first frame again

    @property
    def newest_tilt(self) -> TiltStatus | None:
        """Tilt that was recorded last."""
        tilts = self.series[self.current_series].tilts if self.current_series else ()
        return tilts[-1] if tilts else None
