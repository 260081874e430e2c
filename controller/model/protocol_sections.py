"""Sections of a protocol, and the protocol of each target."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field

from controller.common.settings_file import FolderName
from controller.model.base import SeriesName, Settings
from controller.model.scan import ScanSettings
from controller.model.sections.column import ColumnSettings
from controller.model.sections.flip import Flip
from controller.model.sections.limits import Limits
from controller.model.sections.notify import Notify
from controller.model.sections.processing import Processing
from controller.model.sections.recording import Eucentric, FocusSettings, Quality, Tracking
from controller.model.sections.series import SeriesSettings, Shower
from controller.model.targets import GridSettings, Target, with_changes


class ProtocolSections(Settings):
    """Settings of a dual tilt-series session, section by section."""

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
    def recorded(self) -> tuple[Self, ...]:
        """Protocols of the sessions that record an assembly: of each target, or this one alone."""
        if not self.only_flips:
            return (self,)
        return tuple(self.of_target(each.name) for each in self.targets or ())

    @property
    def own_target(self) -> Target | None:
        """Target that this session records; None for a session without targets."""
        return next((each for each in self.targets or () if each.name == self.target), None)

    def of_target(self, name: str) -> Self:
        """Return the protocol of one target's session.

        Raises
        ------
        ValidationError
            The settings of the target are wrong.
        """
        target = next(each for each in self.targets or () if each.name == name)
        content = with_changes(self.model_dump(mode="json", exclude={"notify"}), target)
        return type(self).model_validate(content).model_copy(update={"notify": self.notify})

    def series(self, name: SeriesName) -> SeriesSettings:
        """Return the settings of one of the two tilt series."""
        return self.series_a if name == "A" else self.series_b
