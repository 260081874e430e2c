"""Checks of a protocol across its sections; those of valid sections are made beside wrong ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from controller.common.settings_file import describe_errors
from controller.model.base import Finite
from controller.model.protocol_sections import ProtocolSections
from controller.model.stage import BACKLASH_DEG
from controller.model.survey import MAX_SURVEY_MAPS, estimate_maps
from controller.model.target_fields import TargetField, neighbours_exposed, target_field
from controller.model.targets import GridSettings


@dataclass(frozen=True)
class SectionCheck:
    """Check across sections.

    Attributes
    ----------
    needs
        Sections and settings that it reads; it is made only if none of them is wrong.
    disagreements
        Function that gives one line for each disagreement.
    """

    needs: frozenset[str]
    disagreements: Callable[[ProtocolSections], Iterator[str]]


def disagreements(protocol: ProtocolSections, wrong: Collection[str] = ()) -> list[str]:
    """Return one line for each disagreement between sections.

    Parameters
    ----------
    wrong
        Sections with wrong values, which are left out.
    """
    found = [
        line
        for check in CHECKS
        if check.needs.isdisjoint(wrong)
        for line in check.disagreements(protocol)
    ]
    if _are_told_apart(protocol) and OF_A_TARGET.isdisjoint(wrong):
        found += [f"targets: {line}" for line in _wrong_targets(protocol, found)]
    return found


def _answers_itself(protocol: ProtocolSections) -> Iterator[str]:
    if protocol.flip.answers_itself and protocol.column.kind != "simulator":
        yield "flip.answers_itself needs column.kind = 'simulator'"


def _two_currents(protocol: ProtocolSections) -> Iterator[str]:
    a_pA, b_pA = protocol.series_a.current_pA, protocol.series_b.current_pA
    tolerance = protocol.limits.current_tolerance
    if abs(b_pA - a_pA) > tolerance * a_pA:
        yield (
            f"series_b.current_pA = {b_pA:g} is not series A's {a_pA:g} within "
            f"limits.current_tolerance = {tolerance:g}: the series could not be fused"
        )


def _stopped_motion(protocol: ProtocolSections) -> Iterator[str]:
    stops = {
        "focus.every_deg": protocol.focus.every_deg,
        "tracking.drift_limit_nm_per_s": protocol.tracking.drift_limit_nm_per_s,
    }
    for name, series in (("series_a", protocol.series_a), ("series_b", protocol.series_b)):
        for setting, value in stops.items():
            if series.motion == "continuous" and value:
                yield f"{setting} would stop {name}.motion = 'continuous': choose one"


def _beyond_the_stage(protocol: ProtocolSections) -> Iterator[str]:
    low, high = protocol.limits.stage.alpha_min_deg, protocol.limits.stage.alpha_max_deg
    angles_deg: dict[str, tuple[Finite, ...]] = {
        "shower.tilts_deg": protocol.shower.tilts_deg,
        "series_a": protocol.series_a.reach_deg,
        "series_b": protocol.series_b.reach_deg,
    }
    if protocol.eucentric.enabled:
        reach_deg = protocol.eucentric.tilt_deg
        angles_deg["eucentric.tilt_deg"] = (-reach_deg - BACKLASH_DEG, reach_deg)
    beyond = [
        f"{where} asks for {tilt:+g} degrees"
        for where, tilts in angles_deg.items()
        for tilt in sorted({min(tilts), max(tilts)})
        if not low <= tilt <= high
    ]
    if beyond:
        yield f"{'; '.join(beyond)}: beyond limits.stage ({low:+g} to {high:+g} degrees)"


def _names_of_targets(protocol: ProtocolSections) -> Iterator[str]:
    if protocol.targets is None:
        if protocol.target is not None:
            yield f"target = {protocol.target!r}, but there are no targets"
        return
    names = [each.name for each in protocol.targets]
    if not _are_told_apart(protocol):
        yield "targets: two have the same name: it names folders"
    if protocol.target is not None and protocol.target not in names:
        yield f"target = {protocol.target!r} is none of: {', '.join(names)}"


def _asked_at_each_target(protocol: ProtocolSections) -> Iterator[str]:
    if protocol.only_flips and protocol.ask_before_start:
        yield "ask_before_start = true is for one assembly: leave it out"


def _uncentred_targets(protocol: ProtocolSections) -> Iterator[str]:
    if protocol.only_flips and not protocol.tracking.enabled:
        yield "targets need tracking.enabled = true: it centres each of them"


def _targets_out_of_reach(protocol: ProtocolSections) -> Iterator[str]:
    if not protocol.only_flips:
        return
    stage = protocol.limits.stage
    for each in protocol.targets or ():
        lies = f"targets: {each.name} lies beyond limits.stage"
        if max(abs(each.x_nm), abs(each.y_nm)) > stage.xy_max_nm:
            yield f"{lies}.xy_max_nm = {stage.xy_max_nm:g}"
        if abs(each.z_nm) > stage.z_max_nm:
            yield f"{lies}.z_max_nm = {stage.z_max_nm:g}"


def _long_survey(protocol: ProtocolSections) -> Iterator[str]:
    if not protocol.only_flips or not protocol.targets:
        return
    search_nm = (protocol.grid or GridSettings()).search_nm
    farthest_nm = max(math.hypot(each.x_nm, each.y_nm) for each in protocol.targets)
    maps = estimate_maps(farthest_nm + search_nm, protocol.scan)
    if maps > MAX_SURVEY_MAPS:
        yield (
            f"targets: the survey after the flip needs about {maps} maps, at most "
            f"{MAX_SURVEY_MAPS} are allowed: grid.search_nm = {search_nm:g} beyond the farthest "
            f"target, {farthest_nm:.0f} nm from the stage's zero; lower one of them"
        )


CHECKS = (
    SectionCheck(frozenset({"flip", "column"}), _answers_itself),
    SectionCheck(frozenset({"series_a", "series_b", "limits"}), _two_currents),
    SectionCheck(frozenset({"series_a", "series_b", "focus", "tracking"}), _stopped_motion),
    SectionCheck(
        frozenset({"limits", "shower", "series_a", "series_b", "eucentric"}), _beyond_the_stage
    ),
    SectionCheck(frozenset({"targets", "target"}), _names_of_targets),
    SectionCheck(frozenset({"targets", "target", "ask_before_start"}), _asked_at_each_target),
    SectionCheck(frozenset({"targets", "target", "tracking"}), _uncentred_targets),
    SectionCheck(frozenset({"targets", "target", "limits"}), _targets_out_of_reach),
    SectionCheck(frozenset({"targets", "target", "scan", "grid"}), _long_survey),
)
OF_A_TARGET = frozenset(
    {
        "eucentric",
        "focus",
        "limits",
        "scan",
        "series_a",
        "series_b",
        "shower",
        "target",
        "targets",
        "tracking",
    }
)
"""Sections that the settings of one target are checked with."""


def _are_told_apart(protocol: ProtocolSections) -> bool:
    names = [each.name.lower() for each in protocol.targets or ()]
    return len(set(names)) == len(names)


def _wrong_targets(protocol: ProtocolSections, known: Collection[str]) -> Iterator[str]:
    """Give one line for each wrong setting of a target, and for exposures on a neighbour.

    Disagreements that are `known` of the whole protocol are not repeated for each target.
    """
    if not protocol.only_flips:
        return
    fields: list[TargetField] = []
    for each in protocol.targets or ():
        try:
            own = protocol.of_target(each.name)
            exposed = own.scan, own.shower, own.series_a, own.series_b
            fields.append(target_field(each, *exposed, own.column.tilt_axis_deg))
        except ValidationError as error:
            for line in describe_errors(error, type(protocol)):
                if line not in known:
                    yield f"{each.name}: {line}"
    yield from neighbours_exposed(fields)
