"""Assemblies found on a survey of the grid, their neighbours, and whether they suit as targets."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from controller.model.base import Data
from controller.model.protocol import Protocol
from controller.model.target_fields import neighbours_exposed, target_field
from controller.model.targets import Target

LEAST_ROUNDNESS = 0.75
"""Smallest roundness of a single assembly; a lower one is rather two in contact, or debris."""
LARGEST_SHARE = 0.8
"""Largest diameter of an assembly, as a fraction of the frame."""
STEEPEST_DEG = 89
"""Steepest tilt at which shading is looked for (degrees)."""


class Outline(Data):
    """Place and shape of one assembly on the grid."""

    x_nm: float
    y_nm: float
    """Stage position that centres it."""
    z_nm: float = 0.0
    """Height of the stage during the survey."""
    diameter_nm: float
    """Diameter of a disc of the same area."""
    roundness: float
    """Shorter axis divided by the longer one."""


class Surveyed(Outline):
    """Outline with its neighbourhood."""

    name: str
    nearest_nm: float | None
    """Distance to the centre of the nearest other assembly; None without another one."""
    shaded_a_deg: float | None
    """Smallest tilt of series A at which another one overlaps it; None if none does."""
    shaded_b_deg: float | None
    """The same for series B, whose in-plane angle is not known: in the worst direction."""
    faults: tuple[str, ...]
    """Reasons against it as a target, one line each."""

    @property
    def target(self) -> Target:
        """The assembly as a target of a protocol."""
        x_nm, y_nm, z_nm = (round(each, 1) for each in (self.x_nm, self.y_nm, self.z_nm))
        return Target(name=self.name, x_nm=x_nm, y_nm=y_nm, z_nm=z_nm)


def judge_outlines(outlines: Sequence[Outline], protocol: Protocol) -> tuple[Surveyed, ...]:
    """Return the assemblies with their neighbourhood and the reasons against each as a target."""
    reach_a_deg, reach_b_deg = (
        max(map(abs, protocol.series(name).reach_deg)) for name in ("A", "B")
    )
    judged = []
    for number, one in enumerate(outlines, start=1):
        others = [other for other in outlines if other is not one]
        away_nm = [math.hypot(one.x_nm - other.x_nm, one.y_nm - other.y_nm) for other in others]
        shaded_a = _first_deg(one, others, in_plane_known=True)
        shaded_b = _first_deg(one, others, in_plane_known=False)
        faults = [*_shape_faults(one, protocol)]
        if shaded_a is not None and shaded_a <= reach_a_deg:
            faults.append(f"overlapped by another one in A from {shaded_a:.0f} degrees")
        elif shaded_b is not None and shaded_b <= reach_b_deg:
            faults.append(f"may be overlapped by another one in B from {shaded_b:.0f} degrees")
        judged.append(
            Surveyed(
                **one.model_dump(),
                name=f"t{number}",
                nearest_nm=min(away_nm, default=None),
                shaded_a_deg=shaded_a,
                shaded_b_deg=shaded_b,
                faults=tuple(faults),
            )
        )
    return tuple(judged)


def _shape_faults(one: Outline, protocol: Protocol) -> Iterator[str]:
    scan = protocol.scan
    frame_nm = min(scan.width_px, scan.height_px) * scan.pixel_nm
    if one.diameter_nm > LARGEST_SHARE * frame_nm:
        yield f"too large for a frame of {frame_nm:.0f} nm"
    if one.roundness < LEAST_ROUNDNESS:
        yield "not round: two in contact, or debris"


def _first_deg(one: Outline, others: Sequence[Outline], *, in_plane_known: bool) -> float | None:
    """Return the smallest tilt at which a projection of another assembly overlaps one's own."""
    return next(
        (
            float(tilt)
            for tilt in range(STEEPEST_DEG + 1)
            if any(_overlap(one, other, tilt, in_plane_known=in_plane_known) for other in others)
        ),
        None,
    )


def _overlap(one: Outline, other: Outline, tilt_deg: float, *, in_plane_known: bool) -> bool:
    """Tell whether two spheres on one film overlap in projection; the tilt axis lies along y."""
    across_nm, along_nm = abs(one.x_nm - other.x_nm), abs(one.y_nm - other.y_nm)
    if not in_plane_known:
        across_nm, along_nm = math.hypot(across_nm, along_nm), 0.0
    tilt_rad = math.radians(tilt_deg)
    height_nm = abs(one.diameter_nm - other.diameter_nm) / 2  # of one centre above the other
    apart_nm = max(0.0, across_nm * math.cos(tilt_rad) - height_nm * math.sin(tilt_rad))
    return math.hypot(apart_nm, along_nm) < (one.diameter_nm + other.diameter_nm) / 2


def suggested(assemblies: Sequence[Surveyed], protocol: Protocol) -> tuple[Surveyed, ...]:
    """Return the assemblies without a fault whose exposures reach no other one of them.

    Where two are too close to each other, the first is kept.
    """
    chosen: list[Surveyed] = []
    for each in assemblies:
        if not each.faults and not any(exposure_faults([*chosen, each], protocol)):
            chosen.append(each)
    return tuple(chosen)


def exposure_faults(assemblies: Sequence[Surveyed], protocol: Protocol) -> Iterator[str]:
    """Give one line for each pair of targets whose exposures reach each other."""
    exposed = protocol.scan, protocol.shower, protocol.series_a, protocol.series_b
    axis_deg = protocol.column.tilt_axis_deg
    yield from neighbours_exposed(
        [target_field(each.target, *exposed, axis_deg) for each in assemblies]
    )
