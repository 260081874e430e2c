"""Find assemblies on a map, and identify the target assembly after the grid was flipped.

After a flip the landmarks appear mirrored and turned by an unknown angle. With several landmarks
in view, their distances and their mirrored arrangement identify each of them. A single landmark is
taken to be the target.
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

OBJECT_LEVEL = 0.3
"""Smallest brightness of an object pixel: 0 is the film, 1 the brightest pixel."""
SMALLEST_CONTRAST = 6.0
"""Smallest brightness of an object above the film, in standard deviations of the film."""
SMALLEST_AREA_PX = 4
"""Smallest area of an assembly, pixels."""
SMOOTH_PX = 1.0
TOLERANCE = 0.06
"""Largest change of the distance between two landmarks, as a fraction of it. A tilted seat and the
scan calibration change it by less."""
MIRROR = np.array([1.0, -1.0])


@dataclass(frozen=True)
class Landmark:
    """One assembly on a map: position (x, y) from the map's centre and diameter, nm."""

    position_nm: tuple[float, float]
    diameter_nm: float


def find_landmarks(image: NDArray[Any], pixel_nm: float) -> tuple[Landmark, ...]:
    """Find bright patches on a dark film in a map [y, x]; the one nearest to the centre first."""
    smooth = ndimage.gaussian_filter(np.nan_to_num(image.astype(np.float64)), SMOOTH_PX)
    film = float(np.median(smooth))
    scatter = 1.4826 * float(np.median(np.abs(smooth - film)))
    top = float(smooth.max())
    if top - film <= SMALLEST_CONTRAST * max(scatter, 1e-6 * abs(film)):
        return ()
    patches, count = ndimage.label(smooth > film + OBJECT_LEVEL * (top - film))
    labels = np.arange(1, count + 1)
    areas = ndimage.sum_labels(np.ones_like(smooth), patches, labels)
    middle = (np.array(image.shape) - 1) / 2
    found = [
        Landmark(
            position_nm=(float((x - middle[1]) * pixel_nm), float((y - middle[0]) * pixel_nm)),
            diameter_nm=float(2 * np.sqrt(area / np.pi) * pixel_nm),
        )
        for (y, x), area in zip(
            ndimage.center_of_mass(smooth - film, patches, labels), areas, strict=True
        )
        if area >= SMALLEST_AREA_PX
    ]
    return tuple(sorted(found, key=lambda one: float(np.hypot(*one.position_nm))))


def rank_flipped(
    before: Sequence[Landmark], after: Sequence[Landmark], tolerance_nm: float
) -> list[Landmark]:
    """Sort the landmarks after a flip: the most likely target first.

    Parameters
    ----------
    before
        Landmarks before the flip, the target first.
    after
        Landmarks after the flip, the one nearest to the centre first.
    tolerance_nm
        Error of a landmark's position, a few pixels of the map.

    Returns
    -------
    list of Landmark
        All of `after`. First comes the landmark around which most others lie where the flip puts
        them; those that agree equally well keep their order.
    """
    others = np.array([one.position_nm for one in before[1:]]).reshape(-1, 2)
    if not before or not len(others):
        return list(after)
    mirrored = (others - before[0].position_nm) * MIRROR
    positions_nm = np.array([one.position_nm for one in after]).reshape(-1, 2)
    matches = [
        _most_matches(mirrored, positions_nm - position_nm, tolerance_nm)
        for position_nm in positions_nm
    ]
    order = np.argsort([-number for number in matches], kind="stable")
    return [after[index] for index in order]


def _most_matches(expected: Float64, found: Float64, tolerance_nm: float) -> int:
    """Count the expected positions [n, 2] that match a found one, at the best rotation."""
    best = 0
    for one, other in product(expected, found):
        length = float(np.hypot(*one))
        within = tolerance_nm + TOLERANCE * length
        if abs(np.hypot(*other) - length) > within:
            continue
        turn = np.arctan2(other[1], other[0]) - np.arctan2(one[1], one[0])
        c, s = np.cos(turn), np.sin(turn)
        turned = expected @ np.array([[c, s], [-s, c]])
        distance_nm = np.linalg.norm(turned[:, None] - found[None], axis=2).min(axis=1)
        allowed_nm = tolerance_nm + TOLERANCE * np.linalg.norm(expected, axis=1)
        best = max(best, int(np.count_nonzero(distance_nm <= allowed_nm)))
    return best
