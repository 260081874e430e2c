"""What the operator wants: one session as frozen, closed data, read from TOML.

`controller.model.plan` turns a protocol into ordered steps. Unknown keys are refused, units are in
the names, and the defaults are those of Altantzis et al., J. Phys. Chem. C
2021, 125, 26240.
"""

from __future__ import annotations

import tomllib
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from controller.common.errors import UsageError
from controller.common.settings_file import (
    NAME_PATTERN,
    SECRET_PATTERN,
    WEBHOOK_PATTERN,
    describe_errors,
    validate_toml,
)
from controller.model.base import Data, Finite, NotNegative, Positive, SeriesName
from controller.model.scan import ScanSettings
from controller.model.stage import StageLimits
from controller.model.tilt_order import TiltOrder, in_order

Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
TiltDeg = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]


BACKLASH_DEG = 3.0
"""A tilt that is not simply further on is approached from this far behind it."""


class Column(Data):
    """The microscope the protocol is meant for; checked against the real one before the start."""

    kind: Literal["simulator", "bridge"] = "simulator"
    """`bridge`: a real column, behind a bridge that runs on its PC."""
    simulator_settings: str = "simulator/demo.toml"
    """Profile of the simulator, a path beside the protocol's own file."""
    voltage_kV: Positive = 300.0
    convergence_mrad: Positive = 8.0
    inner_collection_mrad: Positive = 62.0

    @field_validator("simulator_settings")
    @classmethod
    def _beside_the_protocol(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("must be a path beside the protocol's file, without '..'")
        return value


class Shower(Data):
    """Illumination before series A, so that the assembly stops shrinking."""

    enabled: bool = True
    current_pA: Positive = 40.0
    duration_s: Positive = 300.0
    """In all, shared equally by the tilts."""
    tilts_deg: Annotated[tuple[TiltDeg, ...], Field(min_length=1)] = (-60.0, -30.0, 0.0, 30.0, 60.0)
    field_nm: Positive = 360.0


class Series(Data):
    """One tilt series between `start_deg` and `stop_deg`, both included."""

    start_deg: TiltDeg
    stop_deg: TiltDeg
    step_deg: Annotated[float, Field(gt=0, le=30, allow_inf_nan=False)] = 2.0
    current_pA: Positive = 70.0
    motion: Literal["stop-and-go", "continuous"] = "stop-and-go"
    """Continuous: each frame is exposed while the stage tilts through its angle, without a stop."""
    order: TiltOrder = "one-way"
    """One way from start to stop; or from `first_deg` outwards: first the side towards the stop
    and then the other (bidirectional), or both in turn (dose-symmetric)."""
    first_deg: TiltDeg = 0.0
    """Where a series that is not one-way begins; the nearest tilt is taken."""
    group: Annotated[int, Field(ge=1, le=20)] = 2
    """Dose-symmetric: tilts on one side before the other has its turn."""

    @model_validator(mode="after")
    def _begins_within_its_range(self) -> Self:
        low, high = sorted((self.start_deg, self.stop_deg))
        if self.order != "one-way" and not low <= self.first_deg <= high:
            raise ValueError(
                f"first_deg {self.first_deg:+g} is not within {low:+g} to {high:+g} degrees"
            )
        return self

    @model_validator(mode="after")
    def _goes_one_way_in_motion(self) -> Self:
        if self.motion == "continuous" and self.order != "one-way":
            raise ValueError(f"motion = 'continuous' goes one way: order cannot be {self.order!r}")
        return self

    @model_validator(mode="after")
    def _at_least_three_tilts(self) -> Self:
        if len(self.tilts_deg) < 3:
            raise ValueError("a series needs at least 3 tilts: widen the range or lower step_deg")
        return self

    @property
    def tilts_deg(self) -> tuple[float, ...]:
        """Nominal tilts in the order of recording."""
        n = int(abs(self.stop_deg - self.start_deg) / self.step_deg + 1e-9) + 1
        step_deg = self.direction * self.step_deg
        tilts = [round(self.start_deg + i * step_deg, 6) for i in range(n)]
        return in_order(tilts, self.order, self.first_deg, self.group)

    @property
    def direction(self) -> float:
        """From start to stop, +1 or -1: every tilt is approached this way, whatever the order."""
        return 1.0 if self.stop_deg >= self.start_deg else -1.0

    @property
    def sweep_deg(self) -> float:
        """How far the stage tilts during an exposure, the tilt in the middle; 0: it is at rest."""
        return self.direction * self.step_deg if self.motion == "continuous" else 0.0

    @property
    def reach_deg(self) -> tuple[float, float]:
        """Lowest and highest angle of the stage."""
        beyond = abs(self.sweep_deg) / 2
        return min(self.tilts_deg) - beyond, max(self.tilts_deg) + beyond


class Flip(Data):
    """Between A and B: the grid comes out, is turned upside-down and goes back in."""

    margin: Fraction = 0.05
    """By how much the score of 'flipped' must beat 'same side up' for B to be allowed."""
    least_score: Fraction = 0.45
    """Of 'flipped': below it, images show another object, or what is left of this one."""
    check_tilt_deg: Annotated[float, Field(gt=0, le=70)] = 30.0
    """Images at this tilt to either side are compared as well as one at 0; within the limits."""
    max_shrinkage: Fraction = 0.03
    """Share by which the object's size may differ from that in series A."""
    maps: bool = True
    """Survey maps before and after, by which the assembly is found again on the grid."""
    max_signal_change: Fraction = 0.1
    """Share by which its signal may differ: another gain of the detector, or lost particles."""
    drift_limit_nm_per_s: NotNegative = 0.5
    """The grid that was put back is looked at until it drifts no faster; 0: not looked."""
    drift_within_s: Positive = 900.0
    """The longest wait for that; then it goes on with a warning."""
    unanswered: Literal["wait", "stop"] = "wait"
    """When nobody answers within `unanswered_after_s`: go on waiting, or end safely."""
    unanswered_after_s: Positive = 7200.0
    answers_itself: bool = False
    """Rehearsals only: prompts are answered as a careful operator would, visibly."""


class Tracking(Data):
    """How the object is kept in view."""

    enabled: bool = True
    max_shift_fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    """Of the field of view: beyond it the stage is corrected and the tilt retaken."""
    low_dose_dwell_fraction: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Dwell of the tracking shot, relative to a frame's."""
    shot_above_fraction: Annotated[float, Field(ge=0, le=0.2)] = 0.0
    """A tracking shot only where the object may be further from its predicted place than this,
    of the field of view; 0: at every tilt."""
    settle_s: NotNegative = 1.0
    """Waited after every move to a tilt."""
    drift_limit_nm_per_s: NotNegative = 0.0
    """Then until the object drifts no faster than this, seen in low-dose shots; 0: not looked."""
    drift_within_s: Positive = 60.0
    """The longest wait for that; then it goes on with a warning."""


class Eucentric(Data):
    """The specimen is brought onto the tilt axis before each series."""

    enabled: bool = False
    tilt_deg: Annotated[float, Field(ge=2, le=60)] = 30.0
    """Looks are taken at this tilt to either side: the more, the finer."""


class Focus(Data):
    """Autofocus by low-dose shots at several defoci."""

    before_series: bool = False
    """On the specimen, at 0 degrees."""
    every_deg: NotNegative = 0.0
    """Again after so many degrees of a series, beside the specimen; 0: never."""
    beside_fields: Annotated[float, Field(ge=1, le=20)] = 1.5
    """How far along the tilt axis that area lies, in heights of a frame."""

    @model_validator(mode="after")
    def _compared_first(self) -> Self:
        if self.every_deg and not self.before_series:
            raise ValueError("every_deg needs before_series: the two areas are compared there")
        return self


class Quality(Data):
    """When a frame is taken again."""

    max_retakes: Annotated[int, Field(ge=0, le=5)] = 1
    dim_fraction: Fraction = 0.2
    """Below this share of the expected signal a frame is dim."""
    saturated_fraction: Fraction = 0.01
    """Above this share of pixels at full scale a frame is saturated."""
    saturated: Literal["mark", "stop"] = "mark"
    """What a saturated frame leads to: kept with a warning, or the session's safe end."""


class Limits(Data):
    """What the session may do to stage and specimen."""

    stage: StageLimits = StageLimits()
    unreachable_tilt: Literal["pause", "skip"] = "pause"
    """When the stage refuses a tilt twice or does not move: ask somebody, or leave it out."""
    dose_budget_e_per_A2: Positive = 60_000.0
    current_tolerance: Fraction = 0.1
    free_disk_margin: Annotated[float, Field(ge=1, le=100)] = 2.0
    """Free space wanted before the start for the raw data, as a multiple of what they need; what
    processing writes comes on top, once."""


class Notify(Data):
    """Who is told when the session stops or waits for an answer; nobody by default."""

    webhook: Annotated[str, Field(pattern=WEBHOOK_PATTERN)] = ""
    """JSON with a `text` is posted there. Protocols are kept and shown in reports: an address that
    is a secret stands in the environment, ``env:NAME``."""
    email_to: tuple[str, ...] = ()
    email_from: str = ""
    smtp_host: str = ""
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 25
    smtp_security: Literal["none", "starttls", "tls"] = "none"
    smtp_user: str = ""
    smtp_password: Annotated[str, Field(pattern=SECRET_PATTERN)] = ""
    """Never itself: ``env:NAME``."""
    timeout_s: Positive = 10.0

    @model_validator(mode="after")
    def _mail_has_a_way(self) -> Self:
        if self.email_to and not (self.email_from and self.smtp_host):
            raise ValueError("email_to needs email_from and smtp_host")
        if self.smtp_user and self.smtp_security == "none":
            raise ValueError("smtp_user needs smtp_security: its password would travel readable")
        return self


FusionRule = Literal["masked", "paper", "mean", "depth-weighted"]


class Processing(Data):
    """What becomes of the frames; the worker turns it into processing's own settings."""

    diameter_nm: Positive | None = None
    """Of the particles; estimated when left out."""
    sirt_iterations: Annotated[int, Field(ge=1, le=1000)] = 20
    fusion_rule: FusionRule = "masked"
    wavelet: Literal["haar"] = "haar"
    level: Annotated[int, Field(ge=1, le=6)] = 2
    controls: bool | tuple[FusionRule, ...] = False
    """Fusion rules whose volumes are counted as well, without the images; true for all rules."""
    memory_limit_GB: Positive = 6.0
    """Of volumes held at once; beyond it they are worked in slabs, from files."""


class Protocol(Data):
    """A dual tilt-series session."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    specimen: str = ""
    """A line for the report."""
    ask_before_start: bool = False
    """Show the pre-flight list and a low-dose shot of what is in view, and wait for `start`; else a
    good list starts the session."""
    column: Column = Column()
    scan: ScanSettings
    shower: Shower = Shower()
    series_a: Series = Series(start_deg=-70.0, stop_deg=74.0)
    flip: Flip = Flip()
    series_b: Series = Series(start_deg=-74.0, stop_deg=72.0)
    eucentric: Eucentric = Eucentric()
    focus: Focus = Focus()
    tracking: Tracking = Tracking()
    quality: Quality = Quality()
    limits: Limits = Limits()
    notify: Notify = Notify()
    processing: Processing = Processing()

    def series(self, name: SeriesName) -> Series:
        """One of the two tilt series."""
        return self.series_a if name == "A" else self.series_b

    @model_validator(mode="after")
    def _only_a_rehearsal_answers_itself(self) -> Self:
        if self.flip.answers_itself and self.column.kind != "simulator":
            raise ValueError("flip.answers_itself is for column.kind = 'simulator' alone")
        return self

    @model_validator(mode="after")
    def _one_current(self) -> Self:
        a_pA, b_pA = self.series_a.current_pA, self.series_b.current_pA
        tolerance = self.limits.current_tolerance
        if abs(b_pA - a_pA) > tolerance * a_pA:
            raise ValueError(
                f"series_b.current_pA = {b_pA:g} is not series A's {a_pA:g} within "
                f"limits.current_tolerance = {tolerance:g}: the series could not be fused"
            )
        return self

    @model_validator(mode="after")
    def _motion_is_not_stopped_for_looks(self) -> Self:
        looks = {
            "focus.every_deg": self.focus.every_deg,
            "tracking.drift_limit_nm_per_s": self.tracking.drift_limit_nm_per_s,
        }
        for name, series in (("series_a", self.series_a), ("series_b", self.series_b)):
            for look, value in looks.items():
                if series.motion == "continuous" and value:
                    raise ValueError(f"{look} would stop {name}.motion = 'continuous': choose one")
        return self

    @model_validator(mode="after")
    def _within_the_stage_limits(self) -> Self:
        low, high = self.limits.stage.alpha_min_deg, self.limits.stage.alpha_max_deg
        wanted: dict[str, tuple[Finite, ...]] = {
            "shower.tilts_deg": self.shower.tilts_deg,
            "series_a": self.series_a.reach_deg,
            "series_b": self.series_b.reach_deg,
        }
        if self.eucentric.enabled:
            reach_deg = self.eucentric.tilt_deg
            wanted["eucentric.tilt_deg"] = (-reach_deg - BACKLASH_DEG, reach_deg)
        beyond = [
            f"{where} asks for {tilt:+g} degrees"
            for where, tilts in wanted.items()
            for tilt in sorted({min(tilts), max(tilts)})
            if not low <= tilt <= high
        ]
        if beyond:
            raise ValueError(
                f"{'; '.join(beyond)}: beyond limits.stage ({low:+g} to {high:+g} degrees)"
            )
        return self


def read_protocol(path: Path) -> Protocol:
    """Read and check a protocol.

    Raises
    ------
    UsageError
        With every wrong field at once, each with its path.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such protocol; see config/ for examples") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as TOML: {error}") from None
    try:
        return validate_toml(content, Protocol)
    except ValidationError as error:
        raise UsageError(f"{path}: " + "; ".join(describe_errors(error, Protocol))) from None
