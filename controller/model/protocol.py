"""Protocol of a session: its settings, read from TOML and checked.

`controller.model.plan` turns a protocol into ordered steps. Unknown keys are refused, units are in
the names, and the defaults are those of Altantzis et al., J. Phys. Chem. C
2021, 125, 26240.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, Secret, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from controller.common.bounded_read import read_bounded
from controller.common.errors import UsageError
from controller.common.settings_file import (
    NAME_PATTERN,
    SECRET_PATTERN,
    WEBHOOK_PATTERN,
    describe_errors,
    validate_toml,
)
from controller.model.base import Finite, NotNegative, Positive, SeriesName, Settings
from controller.model.fusion_rules import FusionRule
from controller.model.plausible import (
    COLLECTION,
    CONVERGENCE,
    CURRENT,
    DIAMETER,
    DWELL,
    FIELD,
    PIXEL,
    SHOWER_TIME,
    VOLTAGE,
)
from controller.model.scan import ScanSettings
from controller.model.stage import StageLimits
from controller.model.targets import (
    Field2D,
    GridSettings,
    Target,
    neighbours_exposed,
    with_changes,
)
from controller.model.tilt_order import TiltOrder, recording_order

Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
TiltDeg = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]


BACKLASH_DEG = 3.0
"""Distance from the backlash start to its tilt: the stage moves there first (degrees)."""


STEEPEST_FIELD_DEG = 85.0
"""Steepest tilt for which the extent of a field on the grid is calculated (degrees)."""


class ColumnSettings(Settings):
    """Microscope of the protocol; compared with the connected one before the start."""

    kind: Literal["simulator", "bridge"] = "simulator"
    """Kind of microscope: the simulator, or a real column served by `dualtilt bridge` on its PC."""
    simulator_settings: str = "simulator/demo.toml"
    """Path of the simulator's profile, relative to the folder of the protocol."""
    voltage_kV: Annotated[float, VOLTAGE] = 300.0
    """Acceleration voltage (kV)."""
    convergence_mrad: Annotated[float, CONVERGENCE] = 8.0
    """Convergence semi-angle of the probe (mrad)."""
    inner_collection_mrad: Annotated[float, COLLECTION] = 62.0
    """Inner collection semi-angle of the HAADF detector (mrad)."""

    @field_validator("simulator_settings")
    @classmethod
    def _beside_the_protocol(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("must be a path relative to the protocol's folder, without '..'")
        return value


class Shower(Settings):
    """Beam shower before series A, so that the assembly stops shrinking."""

    enabled: bool = True
    """True to illuminate the assembly before series A."""
    current_pA: Annotated[float, CURRENT] = 40.0
    """Beam current of the shower (pA)."""
    duration_s: Annotated[float, SHOWER_TIME] = 300.0
    """Total illumination time, shared equally by the tilts (s)."""
    tilts_deg: Annotated[tuple[TiltDeg, ...], Field(min_length=1)] = (-60.0, -30.0, 0.0, 30.0, 60.0)
    """Tilt angles at which the assembly is illuminated (degrees)."""
    field_nm: Annotated[float, FIELD] = 360.0
    """Side of the illuminated square (nm)."""


class SeriesSettings(Settings):
    """One tilt series between `start_deg` and `stop_deg`, both included."""

    start_deg: TiltDeg
    """First tilt angle of a one-way series (degrees)."""
    stop_deg: TiltDeg
    """Other end of the tilt range (degrees)."""
    step_deg: Annotated[float, Field(gt=0, le=30, allow_inf_nan=False)] = 2.0
    """Tilt step (degrees)."""
    current_pA: Annotated[float, CURRENT] = 70.0
    """Beam current (pA)."""
    motion: Literal["stop-and-go", "continuous"] = "stop-and-go"
    """Stage motion. Continuous: each frame is exposed while the stage tilts through its angle."""
    order: TiltOrder = "one-way"
    """Recording order of the tilts. One-way: from start to stop. Bidirectional: from `first_deg` to
    the stop, then the other side. Dose-symmetric: from `first_deg`, alternating between sides."""
    first_deg: TiltDeg = 0.0
    """Angle nearest to the first tilt of a series that is not one-way (degrees)."""
    group: Annotated[int, Field(ge=1, le=20)] = 2
    """Number of tilts recorded on one side before changing to the other (dose-symmetric)."""

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
            raise ValueError(f"motion = 'continuous' needs order = 'one-way', not {self.order!r}")
        return self

    @model_validator(mode="after")
    def _at_least_three_tilts(self) -> Self:
        if len(self.tilts_deg) < 3:
            raise ValueError("a series needs at least 3 tilts: widen the range or lower step_deg")
        return self

    @property
    def tilts_deg(self) -> tuple[float, ...]:
        """Nominal tilts in the order of recording (degrees)."""
        n = int(abs(self.stop_deg - self.start_deg) / self.step_deg + 1e-9) + 1
        step_deg = self.direction * self.step_deg
        tilts = [round(self.start_deg + i * step_deg, 6) for i in range(n)]
        return recording_order(tilts, self.order, self.first_deg, self.group)

    @property
    def direction(self) -> float:
        """Sign of the tilt from start to stop (+1 or -1), in which every tilt is approached."""
        return 1.0 if self.stop_deg >= self.start_deg else -1.0

    @property
    def sweep_deg(self) -> float:
        """Tilt of the stage during an exposure, centred on the nominal tilt; 0 if it is at rest."""
        return self.direction * self.step_deg if self.motion == "continuous" else 0.0

    @property
    def reach_deg(self) -> tuple[float, float]:
        """Lowest and highest angle that the stage reaches (degrees)."""
        beyond = abs(self.sweep_deg) / 2
        return min(self.tilts_deg) - beyond, max(self.tilts_deg) + beyond


class Flip(Settings):
    """Flip of the grid between A and B, and the check that it was flipped."""

    margin: Fraction = 0.05
    """Minimum lead of the score 'flipped' over 'same side up' for B to be recorded."""
    least_score: Fraction = 0.45
    """Minimum score of 'flipped'; below it, B shows another object, or only part of this one."""
    check_tilt_deg: Annotated[float, Field(gt=0, le=70)] = 30.0
    """Tilt of two more compared images, one on each side, within the stage limits (degrees)."""
    max_shrinkage: Fraction = 0.03
    """Maximum difference of the object's size from that in series A, as a fraction."""
    maps: bool = True
    """True to record survey maps before and after, to find the assembly on the grid again."""
    max_signal_change: Fraction = 0.1
    """Maximum difference of the object's signal from series A, as a fraction. More means another
    detector gain or lost particles."""
    drift_limit_nm_per_s: NotNegative = 0.5
    """Drift below which the reinserted grid is compared (nm/s); 0: the drift is not measured."""
    drift_within_s: Positive = 900.0
    """Longest wait for that drift (s); then the session continues with a warning."""
    unanswered: Literal["wait", "stop"] = "wait"
    """Action if nobody answers within `unanswered_after_s`: keep waiting, or stop safely."""
    unanswered_after_s: Positive = 7200.0
    """Time after which a prompt counts as unanswered (s)."""
    answers_itself: bool = False
    """True to let a simulated operator answer all prompts; on the simulator only."""


class Tracking(Settings):
    """Tracking: keeping the object in the field of view."""

    enabled: bool = True
    """True to locate the object with low-dose tracking shots."""
    max_shift_fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    """Maximum shift of the object in a frame, as a fraction of the field of view; beyond it the
    stage is corrected and the tilt retaken."""
    low_dose_dwell_fraction: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Dwell time of a tracking shot, as a fraction of that of a frame."""
    shot_above_fraction: Annotated[float, Field(ge=0, le=0.2)] = 0.0
    """Error of the predicted position above which a tracking shot is taken, as a fraction of the
    field of view; 0: at every tilt."""
    settle_s: NotNegative = 1.0
    """Settling time after every move to a tilt (s)."""
    drift_limit_nm_per_s: NotNegative = 0.0
    """Drift below which a frame is exposed, from low-dose shots (nm/s); 0: not measured."""
    drift_within_s: Positive = 60.0
    """Longest wait for that drift (s); then the session continues with a warning."""


class Eucentric(Settings):
    """Eucentric height: the specimen is brought onto the tilt axis before each series."""

    enabled: bool = False
    """True to set the eucentric height before each series."""
    tilt_deg: Annotated[float, Field(ge=2, le=60)] = 30.0
    """Tilt of the low-dose shots on both sides (degrees); a higher tilt gives a better height."""


class FocusSettings(Settings):
    """Autofocus with low-dose shots at several defocus values."""

    before_series: bool = False
    """True to focus on the specimen at 0 degrees before each series."""
    every_deg: NotNegative = 0.0
    """Tilt interval of the autofocus beside the specimen during a series (degrees); 0: never."""
    beside_fields: Annotated[float, Field(ge=1, le=20)] = 1.5
    """Distance of the focus area from the specimen along the tilt axis, in frame heights."""

    @model_validator(mode="after")
    def _compared_first(self) -> Self:
        if self.every_deg and not self.before_series:
            raise ValueError(
                "every_deg needs before_series = true, which compares focus area and specimen"
            )
        return self


class Quality(Settings):
    """Quality limits of a frame; a frame outside them is retaken."""

    max_retakes: Annotated[int, Field(ge=0, le=5)] = 1
    """Maximum number of retakes of one tilt."""
    dim_fraction: Fraction = 0.2
    """Smallest signal of a usable frame, as a fraction of the expected signal."""
    saturated_fraction: Fraction = 0.01
    """Largest fraction of saturated pixels in a usable frame."""
    saturated: Literal["mark", "stop"] = "mark"
    """Action on a saturated frame: keep it with a warning, or stop the session safely."""


class Limits(Settings):
    """Limits of stage, dose, beam current and disk space."""

    stage: StageLimits = StageLimits()
    """Soft limits of the stage."""
    unreachable_tilt: Literal["pause", "skip"] = "pause"
    """Action if the stage refuses a tilt twice or does not move: pause, or skip the tilt."""
    dose_budget_e_per_A2: Positive = 60_000.0
    """Maximum dose of the whole session (e/Å²)."""
    current_tolerance: Fraction = 0.1
    """Maximum difference between measured and set beam current, as a fraction."""
    free_disk_margin: Annotated[float, Field(ge=1, le=100)] = 2.0
    """Free disk space needed before the start, as a multiple of the size of the raw data. The files
    of processing are added once."""


Webhook = Secret[Annotated[str, Field(pattern=WEBHOOK_PATTERN)]]
Password = Secret[Annotated[str, Field(pattern=SECRET_PATTERN)]]
EMPTY: dict[str, JsonValue] = {"default": ""}


class Notify(Settings):
    """Messages when the session stops or waits for an answer; none by default."""

    webhook: Webhook = Field(default_factory=lambda: Webhook(""), json_schema_extra=EMPTY)
    """Address to which JSON with a `text` is posted. Protocols appear in reports: put a secret
    address in an environment variable and name it here, ``env:NAME``."""
    email_to: tuple[str, ...] = ()
    """E-mail addresses of the recipients."""
    email_from: str = ""
    """E-mail address of the sender."""
    smtp_host: str = ""
    """Name of the mail server."""
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 25
    """Port of the mail server."""
    smtp_security: Literal["none", "starttls", "tls"] = "none"
    """Encryption of the connection to the mail server."""
    smtp_user: str = ""
    """User name at the mail server; empty: no login."""
    smtp_password: Password = Field(default_factory=lambda: Password(""), json_schema_extra=EMPTY)
    """Environment variable that holds the password, ``env:NAME``; never the password itself."""
    timeout_s: Positive = 10.0
    """Longest wait for webhook and mail server (s)."""

    @property
    def sends_messages(self) -> bool:
        """True if a webhook or e-mail addresses are given."""
        return bool(self.webhook.get_secret_value() or self.email_to)

    @model_validator(mode="after")
    def _mail_can_be_sent(self) -> Self:
        if self.email_to and not (self.email_from and self.smtp_host):
            raise ValueError("email_to needs email_from and smtp_host")
        if self.smtp_user and self.smtp_security == "none":
            raise ValueError("smtp_user needs smtp_security, else its password is sent unencrypted")
        return self


class Processing(Settings):
    """Settings of the reconstruction, fusion and count."""

    diameter_nm: Annotated[float, DIAMETER] | None = None
    """Particle diameter (nm); estimated when left out."""
    sirt_iterations: Annotated[int, Field(ge=1, le=1000)] = 20
    """Number of SIRT iterations."""
    fusion_rule: FusionRule = FusionRule.MASKED
    """Rule that fuses the volumes of A and B."""
    wavelet: Literal["haar"] = "haar"
    """Wavelet of the fusion."""
    level: Annotated[int, Field(ge=1, le=6)] = 2
    """Number of levels of the wavelet transform."""
    controls: bool | tuple[FusionRule, ...] = False
    """Fusion rules whose volumes are also counted, without the images; true: all rules."""
    memory_limit_GB: Positive = 6.0
    """Largest volumes held in memory (GB); larger ones are processed in slabs, from files."""
    bin: Annotated[int, Field(ge=1, le=64)] | None = None
    """Side of the square of pixels that is averaged to one; chosen for the particles when left
    out."""
    crop_px: tuple[int, int, int, int] | None = None
    """First column, first row, width and height of the part of the images that is processed; the
    region of the object when left out."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device that computes: an NVIDIA GPU where there is one, or the one named."""


class Protocol(Settings):
    """Protocol of a dual tilt-series session."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    """Name of the protocol, also used for the session's folder."""
    specimen: str = ""
    """Description of the specimen for the report, one line."""
    ask_before_start: bool = False
    """True to show the pre-flight list and a low-dose image, and wait for the operator to start;
    false to start when every check has passed."""
    column: ColumnSettings = ColumnSettings()
    scan: ScanSettings
    shower: Shower = Shower()
    series_a: SeriesSettings = SeriesSettings(start_deg=-70.0, stop_deg=74.0)
    flip: Flip = Flip()
    series_b: SeriesSettings = SeriesSettings(start_deg=-74.0, stop_deg=72.0)
    eucentric: Eucentric = Eucentric()
    focus: FocusSettings = FocusSettings()
    tracking: Tracking = Tracking()
    quality: Quality = Quality()
    limits: Limits = Limits()
    notify: Notify = Notify()
    processing: Processing = Processing()
    grid: GridSettings | None = None
    targets: Annotated[tuple[Target, ...], Field(min_length=1, max_length=200)] | None = None
    """Assemblies of one grid, recorded around one flip; left out for a single assembly."""
    target: str | None = None
    """Target that this session records; set in the protocol of each target's folder."""

    @property
    def only_flips(self) -> bool:
        """True for the session that flips the grid for all targets and records none of them."""
        return self.targets is not None and self.target is None

    @property
    def recorded(self) -> tuple[Protocol, ...]:
        """Protocols of the sessions that record an assembly: of each target, or this one alone."""
        if not self.only_flips:
            return (self,)
        return tuple(self.of_target(each.name) for each in self.targets or ())

    @property
    def own_target(self) -> Target | None:
        """Target that this session records; None for a session without targets."""
        return next((each for each in self.targets or () if each.name == self.target), None)

    def of_target(self, name: str) -> Protocol:
        """Return the protocol of one target's session.

        Raises
        ------
        ValidationError
            The settings of the target are wrong.
        """
        target = next(each for each in self.targets or () if each.name == name)
        content = with_changes(self.model_dump(mode="json", exclude={"notify"}), target)
        return Protocol.model_validate(content).model_copy(update={"notify": self.notify})

    def series(self, name: SeriesName) -> SeriesSettings:
        """Return the settings of one of the two tilt series."""
        return self.series_a if name == "A" else self.series_b

    @field_validator("scan")
    @classmethod
    def _plausible_scan(cls, scan: ScanSettings) -> ScanSettings:
        # not a limit of every scan: low-dose shots are shorter, survey maps have larger pixels
        values = (("pixel_nm", scan.pixel_nm, PIXEL), ("dwell_us", scan.dwell_us, DWELL))
        wrong = [
            f"{name} {text} (is {value:g})"
            for name, value, allowed in values
            if (text := allowed.wrong(value))
        ]
        if wrong:
            raise PydanticCustomError("implausible", "{wrong}", {"wrong": ", ".join(wrong)})
        return scan

    @model_validator(mode="after")
    def _answers_itself_on_the_simulator_only(self) -> Self:
        if self.flip.answers_itself and self.column.kind != "simulator":
            raise ValueError("flip.answers_itself needs column.kind = 'simulator'")
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
    def _continuous_motion_is_not_stopped(self) -> Self:
        stops = {
            "focus.every_deg": self.focus.every_deg,
            "tracking.drift_limit_nm_per_s": self.tracking.drift_limit_nm_per_s,
        }
        for name, series in (("series_a", self.series_a), ("series_b", self.series_b)):
            for setting, value in stops.items():
                if series.motion == "continuous" and value:
                    raise ValueError(
                        f"{setting} would stop {name}.motion = 'continuous': choose one"
                    )
        return self

    @model_validator(mode="after")
    def _within_the_stage_limits(self) -> Self:
        low, high = self.limits.stage.alpha_min_deg, self.limits.stage.alpha_max_deg
        angles_deg: dict[str, tuple[Finite, ...]] = {
            "shower.tilts_deg": self.shower.tilts_deg,
            "series_a": self.series_a.reach_deg,
            "series_b": self.series_b.reach_deg,
        }
        if self.eucentric.enabled:
            reach_deg = self.eucentric.tilt_deg
            angles_deg["eucentric.tilt_deg"] = (-reach_deg - BACKLASH_DEG, reach_deg)
        beyond = [
            f"{where} asks for {tilt:+g} degrees"
            for where, tilts in angles_deg.items()
            for tilt in sorted({min(tilts), max(tilts)})
            if not low <= tilt <= high
        ]
        if beyond:
            raise ValueError(
                f"{'; '.join(beyond)}: beyond limits.stage ({low:+g} to {high:+g} degrees)"
            )
        return self

    @model_validator(mode="after")
    def _targets_are_apart(self) -> Self:
        if self.targets is None:
            if self.target is not None:
                raise ValueError(f"target = {self.target!r}, but there are no targets")
            return self
        names = [each.name for each in self.targets]
        if len({name.lower() for name in names}) < len(names):
            raise ValueError("targets: two have the same name: it names folders")
        if self.target is not None:
            if self.target not in names:
                raise ValueError(f"target = {self.target!r} is none of: {', '.join(names)}")
            return self
        if self.ask_before_start:
            raise ValueError("ask_before_start = true is for one assembly: leave it out")
        if not self.tracking.enabled:
            raise ValueError("targets need tracking.enabled = true: it centres each of them")
        wrong = [*self._targets_out_of_reach(), *self._wrong_targets()]
        if wrong:
            raise ValueError("targets: " + "; ".join(wrong))
        return self

    def _targets_out_of_reach(self) -> Iterator[str]:
        stage = self.limits.stage
        for each in self.targets or ():
            if max(abs(each.x_nm), abs(each.y_nm)) > stage.xy_max_nm:
                yield f"{each.name} lies beyond limits.stage.xy_max_nm = {stage.xy_max_nm:g}"
            if abs(each.z_nm) > stage.z_max_nm:
                yield f"{each.name} lies beyond limits.stage.z_max_nm = {stage.z_max_nm:g}"

    def _wrong_targets(self) -> Iterator[str]:
        """Give one line for each target with wrong settings, or with exposures on a neighbour."""
        fields: list[Field2D] = []
        for each in self.targets or ():
            try:
                fields.append(_exposed_field(self.of_target(each.name), each))
            except ValidationError as error:
                yield f"{each.name}: {', '.join(describe_errors(error, Protocol))}"
        yield from neighbours_exposed(fields)


def _exposed_field(protocol: Protocol, target: Target) -> Field2D:
    """Return the extent of a target's frames, tracking shots and shower on the grid.

    At a tilt the field reaches farther across the tilt axis, by 1 / cos.
    """
    scan, shower = protocol.scan, protocol.shower
    width_nm, height_nm = scan.width_px * scan.pixel_nm, scan.height_px * scan.pixel_nm
    tilted = [(width_nm, protocol.series_a.reach_deg)]
    if shower.enabled:
        tilted.append((shower.field_nm, (min(shower.tilts_deg), max(shower.tilts_deg))))
        height_nm = max(height_nm, shower.field_nm)
    object_nm = max(scan.width_px, scan.height_px) * scan.pixel_nm / 2
    return Field2D(
        name=target.name,
        x_nm=target.x_nm,
        y_nm=target.y_nm,
        exposed_x_nm=max(_half_on_grid_nm(field_nm, tilts) for field_nm, tilts in tilted),
        exposed_y_nm=height_nm / 2,
        exposed_nm=_half_on_grid_nm(2 * object_nm, protocol.series_b.reach_deg),
        object_nm=object_nm,
    )


def _half_on_grid_nm(field_nm: float, tilts_deg: tuple[float, float]) -> float:
    steepest_deg = min(max(map(abs, tilts_deg)), STEEPEST_FIELD_DEG)
    return field_nm / 2 / math.cos(math.radians(steepest_deg))


def read_protocol(path: Path, read: Callable[[Path], bytes] = read_bounded) -> Protocol:
    """Read and check a protocol.

    Parameters
    ----------
    read
        Function that reads the file; that of a session refuses links.

    Raises
    ------
    UsageError
        The file cannot be read, or fields are wrong; names all of them with their paths.
    """
    try:
        content = tomllib.loads(read(path).decode())
    except FileNotFoundError:
        raise UsageError(f"{path}: no such protocol; see config/ for examples") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as TOML: {error}") from None
    try:
        protocol = validate_toml(content, Protocol)
        return protocol if protocol.target is None else protocol.of_target(protocol.target)
    except ValidationError as error:
        raise UsageError(f"{path}: " + "; ".join(describe_errors(error, Protocol))) from None
