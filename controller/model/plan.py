"""Plan of a session: ordered steps with fixed ids, each with its time and dose.

The plan depends on the protocol alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from controller.model import costs
from controller.model.base import Data, SeriesName
from controller.model.events import Phase
from controller.model.exposures import (
    MIN_TILTS_TO_PREDICT,
    SHOTS_OF_THE_SCAN,
    backlash_start_deg,
    first_current_pA,
    low_dose_scan,
)
from controller.model.protocol import Protocol
from controller.model.scan import shower_dose_e_per_A2
from controller.model.sections.series import SeriesSettings
from controller.model.stage import BACKLASH_DEG, StagePosition
from controller.model.steps import (
    FLIP_STEP_ID,
    Autofocus,
    EucentricHeight,
    FindFlipped,
    FindTarget,
    FlipForAll,
    FlipGrid,
    Fuse,
    LeaveResults,
    Preflight,
    Process,
    Report,
    SeriesStart,
    ShowerTilt,
    Step,
    Tilt,
    shower_id,
    tilt_id,
)
from controller.model.survey import MAP_FIELDS, WIDE
from controller.model.targets import Target

GRID_FLIP_S = 1200.0
"""Time to take the holder out, flip the grid, insert it, and for vacuum and drift to settle (s)."""
PHASE_OF_SERIES = {"A": Phase.A, "B": Phase.B}


class Plan(Data):
    """Steps of a session, in order."""

    name: str
    steps: tuple[Step, ...]
    dose_budget_e_per_A2: float

    @property
    def duration_s(self) -> float:
        """Estimated microscope time of the whole session (s)."""
        return sum(step.duration_s for step in self.steps)

    @property
    def dose_e_per_A2(self) -> float:
        """Estimated dose of the whole session, without retakes (e/Å²)."""
        return sum(step.dose_e_per_A2 for step in self.steps)

    def left_in_phase_s(self, step_id: str) -> float:
        """Return the estimated time from the end of a step to the end of its phase (s)."""
        index = next(i for i, step in enumerate(self.steps) if step.id == step_id)
        phase = self.steps[index].phase
        return sum(step.duration_s for step in self.steps[index + 1 :] if step.phase is phase)


def make_plan(protocol: Protocol) -> Plan:
    """Return the plan of a protocol: of one assembly, one of several targets, or their flip."""
    later = [_flip_for_all(protocol)] if protocol.only_flips else _one_assembly(protocol)
    return Plan(
        name=protocol.name,
        steps=(_preflight(protocol, later), *later),
        dose_budget_e_per_A2=protocol.limits.dose_budget_e_per_A2,
    )


def _one_assembly(protocol: Protocol) -> list[Step]:
    target = protocol.own_target
    return [
        *(() if target is None else (_find_target(protocol, target),)),
        *_shower(protocol),
        *_alignment(protocol),
        *_series(protocol, "A"),
        _flip(protocol) if target is None else _find_flipped(protocol),
        *_series(protocol, "B"),
        *(() if target is None else (LeaveResults(id="leave-results"),)),
        Fuse(id="fuse", phase=Phase.FUSE),
        Report(id="report"),
    ]


def _find_target(protocol: Protocol, target: Target) -> Step:
    """Return the step that centres a target: maps that show the scan's axes, then two shots."""
    current_pA = first_current_pA(protocol)
    maps = (low_dose_scan(protocol, MAP_FIELDS["low"]),) * SHOTS_OF_THE_SCAN
    cost = costs.Cost(
        (*maps, low_dose_scan(protocol), low_dose_scan(protocol, WIDE)),
        (len(maps) + 1) * costs.move_s(0.0, 0.0, protocol),
    )
    return FindTarget(
        id="find-target",
        phase=Phase.SHOWER if protocol.shower.enabled else Phase.A,
        current_pA=current_pA,
        position=StagePosition(x_nm=target.x_nm, y_nm=target.y_nm, z_nm=target.z_nm),
        duration_s=cost.duration_s,
        dose_e_per_A2=cost.dose_e_per_A2(current_pA),
    )


def _preflight(protocol: Protocol, later: list[Step]) -> Preflight:
    """Return the pre-flight step, with one low-dose shot where the operator is asked to start."""
    shot = costs.Cost((low_dose_scan(protocol),) if protocol.ask_before_start else ())
    dose_e_per_A2 = shot.dose_e_per_A2(first_current_pA(protocol))
    return Preflight(
        id="preflight",
        duration_s=shot.duration_s,
        dose_e_per_A2=dose_e_per_A2,
        planned_dose_e_per_A2=dose_e_per_A2 + sum(step.dose_e_per_A2 for step in later),
        planned_s=shot.duration_s + sum(step.duration_s for step in later),
    )


def _shower(protocol: Protocol) -> Iterator[Step]:
    shower = protocol.shower
    if not shower.enabled:
        return
    n = len(shower.tilts_deg)
    each_s = shower.duration_s / n
    shots = costs.Cost((low_dose_scan(protocol),) * 2)
    before_deg = 0.0
    for number, alpha_deg in enumerate(shower.tilts_deg, start=1):
        yield ShowerTilt(
            id=shower_id(number),
            alpha_deg=alpha_deg,
            current_pA=shower.current_pA,
            illuminate_s=each_s,
            field_nm=shower.field_nm,
            elapsed_before_s=(number - 1) * each_s,
            planned_s=shower.duration_s,
            duration_s=costs.move_s(before_deg, alpha_deg, protocol) + each_s + shots.duration_s,
            dose_e_per_A2=shower_dose_e_per_A2(shower.current_pA, each_s, shower.field_nm)
            + shots.dose_e_per_A2(shower.current_pA),
        )
        before_deg = alpha_deg


def _alignment(protocol: Protocol) -> Iterator[Step]:
    """Give eucentric height and focus before A; for B they are part of the flip step."""
    if protocol.eucentric.enabled:
        yield _eucentric(protocol)
    if protocol.focus.before_series:
        yield _focus(protocol)


def _series(protocol: Protocol, series: SeriesName) -> Iterator[Step]:
    settings = protocol.series(series)
    phase = PHASE_OF_SERIES[series]
    tilts = settings.tilts_deg
    shot = low_dose_scan(protocol)
    tracked = protocol.tracking.enabled
    yield SeriesStart(
        id=f"{series}-start",
        phase=phase,
        series=series,
        current_pA=settings.current_pA,
        duration_s=costs.move_s(0.0, tilts[0] - settings.sweep_deg / 2, protocol)
        + costs.move_s(0.0, BACKLASH_DEG, protocol)
        + (shot.frame_time_s if tracked else 0.0),
        dose_e_per_A2=shot.dose_e_per_A2(settings.current_pA) if tracked else 0.0,
    )
    yield from (
        _tilts_in_motion(protocol, series) if settings.sweep_deg else _tilts(protocol, series)
    )
    yield Process(id=f"process-{series}", phase=phase, series=series)


def _tilts_in_motion(protocol: Protocol, series: SeriesName) -> Iterator[Tilt]:
    """Give the tilts of a continuous series: each takes the time of its frame and nothing else."""
    settings = protocol.series(series)
    for number, nominal_deg in enumerate(settings.tilts_deg, start=1):
        yield Tilt(
            id=tilt_id(series, number),
            phase=PHASE_OF_SERIES[series],
            series=series,
            tilt_number=number,
            planned=len(settings.tilts_deg),
            nominal_deg=nominal_deg,
            sweep_deg=settings.sweep_deg,
            duration_s=protocol.scan.frame_time_s,
            dose_e_per_A2=protocol.scan.dose_e_per_A2(settings.current_pA),
        )


def _tilts(protocol: Protocol, series: SeriesName) -> Iterator[Tilt]:
    settings = protocol.series(series)
    tilts = settings.tilts_deg
    for number, nominal_deg in enumerate(tilts, start=1):
        before_deg = tilts[max(number - 2, 0)]
        on_the_way = (nominal_deg - before_deg) * settings.direction >= 0
        approach_deg = None if on_the_way else backlash_start_deg(nominal_deg, protocol, series)
        focus = _is_focused(number - 1, settings, protocol)
        tracked = (
            focus or number <= MIN_TILTS_TO_PREDICT or not protocol.tracking.shot_above_fraction
        )
        cost = costs.tilt(protocol, focused=focus, tracked=tracked)
        yield Tilt(
            id=tilt_id(series, number),
            phase=PHASE_OF_SERIES[series],
            series=series,
            tilt_number=number,
            planned=len(tilts),
            nominal_deg=nominal_deg,
            approach_deg=approach_deg,
            focus=focus,
            duration_s=costs.approach_s(before_deg, approach_deg, nominal_deg, protocol)
            + cost.duration_s,
            dose_e_per_A2=cost.dose_e_per_A2(settings.current_pA),
        )


def _eucentric(protocol: Protocol) -> EucentricHeight:
    cost, current_pA = costs.eucentric_height(protocol), protocol.series_a.current_pA
    return EucentricHeight(
        id="A-height",
        phase=Phase.A,
        current_pA=current_pA,
        duration_s=cost.duration_s,
        dose_e_per_A2=cost.dose_e_per_A2(current_pA),
    )


def _focus(protocol: Protocol) -> Autofocus:
    cost, current_pA = costs.focus(protocol), protocol.series_a.current_pA
    return Autofocus(
        id="A-focus",
        phase=Phase.A,
        current_pA=current_pA,
        duration_s=cost.duration_s,
        dose_e_per_A2=cost.dose_e_per_A2(current_pA),
    )


def _is_focused(recorded: int, series: SeriesSettings, protocol: Protocol) -> bool:
    """Return True if autofocus is due again after `recorded` tilts."""
    if not protocol.focus.every_deg:
        return False
    every = max(1, round(protocol.focus.every_deg / series.step_deg))
    return recorded > 0 and recorded % every == 0


def _flip(protocol: Protocol) -> Step:
    """Return the flip step, with height and focus of B: they precede the compared images."""
    cost = costs.flip_maps(protocol) + _check_cost(protocol)
    return FlipGrid(
        id=FLIP_STEP_ID,
        duration_s=GRID_FLIP_S + cost.duration_s,
        dose_e_per_A2=cost.dose_e_per_A2(protocol.series_b.current_pA),
    )


def _find_flipped(protocol: Protocol) -> Step:
    """Return the flip check of one target, after the grid was flipped for all."""
    cost = _check_cost(protocol)
    return FindFlipped(
        id=FLIP_STEP_ID,
        duration_s=cost.duration_s,
        dose_e_per_A2=cost.dose_e_per_A2(protocol.series_b.current_pA),
    )


def _check_cost(protocol: Protocol) -> costs.Cost:
    return costs.flip_check(protocol) + costs.eucentric_height(protocol) + costs.focus(protocol)


def _flip_for_all(protocol: Protocol) -> Step:
    """Return the flip of a grid with several targets, with the survey that finds them."""
    cost = costs.survey(protocol)
    return FlipForAll(
        id=FLIP_STEP_ID,
        duration_s=GRID_FLIP_S + cost.duration_s,
        dose_e_per_A2=cost.dose_e_per_A2(protocol.series_b.current_pA),
    )
