"""The session as everyone outside it sees it: one frozen value, folded from the events.

Screen, log, command line and report read :class:`SessionStatus`; nobody keeps a second account.
"""

from __future__ import annotations

import math
from enum import StrEnum

from pydantic import Field

from controller.common.exit_codes import ExitCode
from controller.model.base import Data, NotNegative, SeriesName, Which
from controller.model.events import (
    ENDED,
    Advised,
    Alerted,
    Checked,
    FlipChecked,
    OperatorState,
    Phase,
    ProcessingFailed,
    ProcessingProgressed,
    Showered,
    State,
)
from controller.model.frames import FrameVerdict, RecordedFrame
from controller.model.prompts import Prompt

RESIDUAL_LIMIT_PX = 1.0
"""A tilt whose re-projection misfits by more than this is worth a look."""
ALERTS_KEPT = 200
"""In the status; events.jsonl keeps them all."""


class PhaseState(StrEnum):
    """How far a phase is."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"


class TiltStatus(Data):
    """One recorded tilt, and its alignment."""

    frame: RecordedFrame
    residual_px: float | None = None
    """Residual of the live alignment; None until processing has used the frame."""
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


TOO_WIDE = 0.2
"""Half an interval over its count: above it a live count is in the log alone."""


class CountPoint(Data):
    """A number of particles with its interval, after so many tilts."""

    tilts_used: int
    n: int
    n_low: int
    n_high: int

    @property
    def is_wide(self) -> bool:
        """Whether the interval is too wide to say anything yet."""
        return (self.n_high - self.n_low) / 2 > TOO_WIDE * self.n


class CountStatus(Data):
    """The particles of one volume: how the count came about, and the last word."""

    points: tuple[CountPoint, ...]
    live: bool
    diameter_nm: float | None = None

    @property
    def latest(self) -> CountPoint:
        """The newest count."""
        return self.points[-1]


class BeamStatus(Data):
    """The beam as the session last set it."""

    blanked: bool
    current_pA: NotNegative


class AlertStatus(Data):
    """An alert with the time it came."""

    seq: int
    at: str
    alert: Alerted


class ShowerSlice(Data):
    """The shower being given, from its beginning."""

    started_at: str
    """Wall clock, ISO 8601 with zone."""
    duration_s: float
    """At the longest; then the session has its say."""


class Preview(Data):
    """A picture to look at."""

    seq: int
    """Of the event that announced it: a new one means new pixels."""
    path: str
    caption: str


class SessionStatus(Data):
    """Everything there is to show of a session."""

    seq: int = -1
    """Of the last event folded in."""
    at: str = ""
    started_seq: int = 0
    """Of the event that began the present run: a resumed session has earlier ones."""
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
    operator_state: OperatorState = OperatorState.GOOD
    """Advice to the operator, with its reason below."""
    operator_reason: str = ""
    pausing: bool = False
    """A pause was asked for and waits for the step under way to end."""
    phases: dict[Phase, PhaseState] = Field(
        default_factory=lambda: dict.fromkeys(Phase, PhaseState.PENDING)
    )
    series: dict[SeriesName, SeriesStatus] = Field(default_factory=_no_tilts)
    current_series: SeriesName | None = None
    """The one recorded last."""
    alpha_deg: float | None = None
    left_s: float | None = None
    beam: BeamStatus | None = None
    counts: dict[Which, CountStatus] = Field(default_factory=dict)
    advice: tuple[Advised, ...] = ()
    """The newest word on each topic of each series, and on each tilt worth taking again."""
    checks: tuple[Checked, ...] = ()
    """The newest check list: of the pre-flight, or around the flip."""
    showers: tuple[Showered, ...] = ()
    shower_slice: ShowerSlice | None = None
    """Under way; None while the shower is off."""
    prompt: Prompt | None = None
    prompt_seq: int | None = None
    """Of the event that opened the prompt: the same question may be asked again."""
    alerts: tuple[AlertStatus, ...] = ()
    standing_alarm: str = ""
    """The newest alarm since the session last went on; empty where there is none."""
    flip_check: FlipChecked | None = None
    processing: dict[str, ProcessingProgressed] = Field(default_factory=dict)
    """The newest word on each job under way."""
    behind: int = 0
    """Frames, as the live reconstruction said last."""
    failures: tuple[ProcessingFailed, ...] = ()
    previews: dict[str, Preview] = Field(default_factory=dict)
    report: str | None = None
    exit_code: ExitCode | None = None
    """What the session's process ended with; None while it lives."""

    @property
    def phase(self) -> Phase | None:
        """The phase under way, else the last one done."""
        for wanted in (PhaseState.RUNNING, PhaseState.DONE):
            found = [phase for phase in Phase if self.phases[phase] is wanted]
            if found:
                return found[-1]
        return None

    @property
    def ended(self) -> bool:
        """Whether this run of the session is over."""
        return self.state in ENDED

    @property
    def tilts_under_way(self) -> tuple[TiltStatus, ...]:
        """Of the series being recorded; none in other phases."""
        phase = self.phase
        recording = phase in (Phase.A, Phase.B) and self.phases[phase] is PhaseState.RUNNING
        name: SeriesName = "B" if phase is Phase.B else "A"
        return self.series[name].tilts if recording else ()

    def standing_advice(self, name: SeriesName) -> tuple[Advised, ...]:
        """What the live processing advises on a series, as far as it can still be followed."""
        series, done = self.series[name], self.phases[Phase(name)] is PhaseState.DONE
        over = (("convergence",) if done or series.complete else ()) + (("retake",) if done else ())
        return tuple(
            advised
            for advised in self.advice
            if advised.series == name and advised.topic not in over
        )

    @property
    def frames_behind(self) -> int:
        """Frames on disk that processing has not looked at yet, of the series recorded last."""
        tilts = self.series[self.current_series].tilts if self.current_series else ()
        seen = max(
            (tilt.frame.section for tilt in tilts if tilt.residual_px is not None), default=-1
        )
        unseen = sum(
            tilt.frame.section > seen and tilt.frame.verdict is not FrameVerdict.INVALID
            for tilt in tilts
        )
        return max(unseen, self.behind)  # taken up again, processing begins anew

    @property
    def newest_tilt(self) -> TiltStatus | None:
        """The tilt recorded last."""
        tilts = self.series[self.current_series].tilts if self.current_series else ()
        return tilts[-1] if tilts else None
