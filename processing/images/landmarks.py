"""The assemblies on a map, and which of them is the one looked for after the grid was flipped.

A flipped grid shows its landmarks mirrored and turned by an angle nobody knows. Where several are
in view, their distances and the sense in which they go round tell which one is which; where there
is one, it is the one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.series import Float64

LEVEL = 0.3
"""Of the way from the film to the brightest object: what is brighter belongs to one."""
CLEAREST_NOISE = 6.0
"""How far above the film's own scatter an object must stand."""
LEAST_PX = 4
"""A smaller patch is no assembly."""
SMOOTH_PX = 1.0
TOLERANCE = 0.06
"""Of a distance between two landmarks: the tilt of the seat and the scan change it by less."""
MIRROR = np.array([1.0, -1.0])


@dataclass(frozen=True)
class Landmark:
    """One assembly on a map: its place (x, y) from the map's centre, and its diameter, nm."""

    place_nm: tuple[float, float]
    size_nm: float


def find_landmarks(image: NDArray[Any], pixel_nm: float) -> tuple[Landmark, ...]:
    """Find bright patches on a dim film, [y, x]; the one nearest to the centre comes first."""
    smooth = ndimage.gaussian_filter(np.nan_to_num(image.astype(np.float64)), SMOOTH_PX)
    film = float(np.median(smooth))
    scatter = 1.4826 * float(np.median(np.abs(smooth - film)))
    top = float(smooth.max())
    if top - film <= CLEAREST_NOISE * max(scatter, 1e-6 * abs(film)):
        return ()
    patches, count = ndimage.label(smooth > film + LEVEL * (top - film))
    labels = np.arange(1, count + 1)
    areas = ndimage.sum_labels(np.ones_like(smooth), patches, labels)
    middle = (np.array(image.shape) - 1) / 2
    found = [
        Landmark(
            place_nm=(float((x - middle[1]) * pixel_nm), float((y - middle[0]) * pixel_nm)),
            size_nm=float(2 * np.sqrt(area / np.pi) * pixel_nm),
        )
        for (y, x), area in zip(
            ndimage.center_of_mass(smooth - film, patches, labels), areas, strict=True
        )
        if area >= LEAST_PX
    ]
    return tuple(sorted(found, key=lambda one: float(np.hypot(*one.place_nm))))


def rank_flipped(
    before: Sequence[Landmark], after: Sequence[Landmark], tolerance_nm: float
) -> list[Landmark]:
    """Order what a map shows after the flip by how likely each is the first of those before.

    Parameters
    ----------
    before
        Landmarks before the flip, that looked for first.
    after
        Landmarks after it.
    tolerance_nm
        To which a place is known: some pixels of the map.

    Returns
    -------
    list of Landmark
        All of `after`: those first around which most of the others lie as they must, and among
        equals those nearest to the centre.
    """
    others = np.array([one.place_nm for one in before[1:]]).reshape(-1, 2)
    if not before or not len(others):
        return list(after)
    mirrored = (others - before[0].place_nm) * MIRROR
    places = np.array([one.place_nm for one in after]).reshape(-1, 2)
    agreeing = [_agreeing(mirrored, places - place, tolerance_nm) for place in places]
    order = np.argsort([-number for number in agreeing], kind="stable")
    return [after[index] for index in order]


def _agreeing(expected: Float64, found: Float64, tolerance_nm: float) -> int:
    """Most of the places [n, 2] expected around the origin that one turn brings to some found."""
    best = 0
    for one, other in product(expected, found):
        length = float(np.hypot(*one))
        within = tolerance_nm + TOLERANCE * length
        if abs(np.hypot(*other) - length) > within:
            continue
        turn = np.arctan2(other[1], other[0]) - np.arctan2(one[1], one[0])
        c, s = np.cos(turn), np.sin(turn)
        turned = expected @ np.array([[c, s], [-s, c]])
        apart = np.linalg.norm(turned[:, None] - found[None], axis=2).min(axis=1)
        reach = tolerance_nm + TOLERANCE * np.linalg.norm(expected, axis=1)
        best = max(best, int(np.count_nonzero(apart <= reach)))
    return best
