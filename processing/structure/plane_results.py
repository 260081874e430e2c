"""Twin planes and stacking faults as results, with errors."""

from __future__ import annotations

from functools import partial

import numpy as np

from processing.structure.arrangement import Arrangement
from processing.structure.assembly import Ints
from processing.structure.repeats import Repeats, root_mean_square
from processing.structure.stacking import Plane
from processing.structure_results import PlaneKind, StackingPlane


def plane_results(repeats: Repeats) -> list[StackingPlane]:
    """Return the planes of an arrangement, the largest first."""
    return [_plane(plane, repeats) for plane in repeats.first.planes]


def plane_number_errors(repeats: Repeats) -> dict[PlaneKind, float]:
    """Return the error of the number of planes of each kind."""
    return {kind: repeats.change_of_number(partial(_number, kind)) for kind in PlaneKind}


def _plane(plane: Plane, repeats: Repeats) -> StackingPlane:
    found = repeats.found_again(plane.members, _members)
    planes = [other.planes[at] for other, at in found]
    again = [other for other in planes if other.kind is plane.kind]
    sizes = np.array([len(other.members) for other in again])
    cosines = np.array([abs(float(other.normal @ plane.normal)) for other in again])
    turns_deg = np.rad2deg(np.arccos(np.minimum(cosines, 1.0)))
    return StackingPlane(
        kind=plane.kind,
        particles=len(plane.members),
        particles_error=float(root_mean_square(sizes - len(plane.members))),
        found_again=len(again) / len(repeats.others),
        layers=plane.layers,
        normal=(float(plane.normal[0]), float(plane.normal[1]), float(plane.normal[2])),
        normal_error_deg=float(root_mean_square(turns_deg)),
        centre_nm=(
            float(plane.centre_nm[0]),
            float(plane.centre_nm[1]),
            float(plane.centre_nm[2]),
        ),
    )


def _members(arrangement: Arrangement) -> list[Ints]:
    return [plane.members for plane in arrangement.planes]


def _number(kind: PlaneKind, arrangement: Arrangement) -> int:
    return sum(plane.kind is kind for plane in arrangement.planes)
