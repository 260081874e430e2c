"""Protocol of a session: its sections, read from TOML, and the checks across them.

Each section is in `controller.model.sections`; `controller.model.plan` turns a protocol into
ordered steps. Unknown keys are refused, units are in the names, and the defaults are those of
Altantzis et al., J. Phys. Chem. C 2021, 125, 26240.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from controller.common.bounded_read import read_bounded
from controller.common.errors import UsageError
from controller.common.settings_file import FolderName, describe_errors, validate_toml
from controller.model.base import Finite, SeriesName, Settings
from controller.model.plausible import DWELL, PIXEL
from controller.model.scan import ScanSettings
from controller.model.sections.column import ColumnSettings
from controller.model.sections.flip import Flip
from controller.model.sections.limits import Limits
from controller.model.sections.notify import Notify
from controller.model.sections.processing import Processing
from controller.model.sections.recording import Eucentric, FocusSettings, Quality, Tracking
from controller.model.sections.series import SeriesSettings, Shower
from controller.model.stage import BACKLASH_DEG
from controller.model.survey import MAX_SURVEY_MAPS, estimate_maps
from controller.model.target_fields import TargetField, neighbours_exposed, target_field
from controller.model.targets import GridSettings, Target, with_changes


class Protocol(Settings):
    """Protocol of a dual tilt-series session."""

    name: FolderName
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
        wrong = [*self._targets_out_of_reach(), *self._wrong_targets(), *self._long_survey()]
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

    def _long_survey(self) -> Iterator[str]:
        search_nm = (self.grid or GridSettings()).search_nm
        farthest_nm = max(math.hypot(each.x_nm, each.y_nm) for each in self.targets or ())
        maps = estimate_maps(farthest_nm + search_nm, self.scan)
        if maps > MAX_SURVEY_MAPS:
            yield (
                f"the survey after the flip needs about {maps} maps, at most {MAX_SURVEY_MAPS} are "
                f"allowed: grid.search_nm = {search_nm:g} beyond the farthest target, "
                f"{farthest_nm:.0f} nm from the stage's zero; lower one of them"
            )

    def _wrong_targets(self) -> Iterator[str]:
        """Give one line for each target with wrong settings, or with exposures on a neighbour."""
        fields: list[TargetField] = []
        for each in self.targets or ():
            try:
                own = self.of_target(each.name)
                fields.append(target_field(each, own.scan, own.shower, own.series_a, own.series_b))
            except ValidationError as error:
                yield f"{each.name}: {', '.join(describe_errors(error, Protocol))}"
        yield from neighbours_exposed(fields)


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
