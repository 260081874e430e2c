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

from processing.images.bright_patches import smoothed
from processing.series import Float64

OBJECT_LEVEL = 0.3
"""Smallest brightness of an object pixel: 0 is the film, 1 the brightest pixel."""
SMALLEST_AREA_PX = 4
"""Smallest area of an assembly, pixels."""
SMOOTH_PX = 1.0
TOLERANCE = 0.06
"""Largest change of the distance between two landmarks, as a fraction of it. A tilted seat and the
scan calibration change it by less."""
LENGTH_TOLERANCE = 0.05
"""Largest error of the length of a shift, as a fraction of it: that of the pixel size."""
LARGEST_COSINE = 0.2
"""Largest cosine of the angle between the shifts by two moves of the stage across each other."""
MIRROR = np.array([1.0, -1.0])


@dataclass(frozen=True)
class Landmark:
    """One assembly on a map: position (x, y) from the map's centre and diameter, nm."""

    position_nm: tuple[float, float]
    diameter_nm: float


def find_landmarks(image: NDArray[Any], pixel_nm: float) -> tuple[Landmark, ...]:
    """Find bright patches on a dark film in a map [y, x]; the one nearest to the centre first.

    Patches that the noise of the map alone could show are left out.
    """
    smooth = smoothed(image, SMOOTH_PX)
    top = smooth.top()
    if top <= smooth.texture:
        return ()
    patches = smooth.patches(OBJECT_LEVEL, top)
    labels = np.unique(patches[patches > 0])
    areas = ndimage.sum_labels(np.ones(patches.shape), patches, labels)
    middle = (np.array(image.shape) - 1) / 2
    found = [
        Landmark(
            position_nm=(float((x - middle[1]) * pixel_nm), float((y - middle[0]) * pixel_nm)),
            diameter_nm=float(2 * np.sqrt(area / np.pi) * pixel_nm),
        )
        for (y, x), area in zip(
            ndimage.center_of_mass(smooth.image - smooth.film, patches, labels), areas, strict=True
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


def shifts_by_moves(
    maps: Sequence[Sequence[Landmark]], length_nm: float, within_nm: float
) -> Float64 | None:
    """Return how a move along one axis, then one across it, shift the landmarks of three maps.

    Parameters
    ----------
    maps
        Landmarks of the maps before, between and after the moves.
    length_nm
        Expected length of both shifts. The first may have any direction, the second is across it.
    within_nm
        Largest difference of two shifts that are the same.

    Returns
    -------
    Array or None
        [move, (x, y)], nm: the shifts that most landmarks have made. None if no landmark has made
        such shifts, or if different ones explain equally many.
    """
    before, between, after = (
        np.array([each.position_nm for each in some]).reshape(-1, 2) for some in maps
    )
    first = (between[None] - before[:, None])[:, :, None]
    second = (after[None] - between[:, None])[None]
    both_nm = np.stack(np.broadcast_arrays(first, second), axis=-2).reshape(-1, 2, 2)
    lengths_nm = np.linalg.norm(both_nm, axis=2)
    allowed_nm = LENGTH_TOLERANCE * length_nm + within_nm
    across = np.abs(np.prod(both_nm, axis=1).sum(axis=1)) <= LARGEST_COSINE * lengths_nm.prod(1)
    both_nm = both_nm[across & (np.abs(lengths_nm - length_nm) <= allowed_nm).all(axis=1)]
    if not len(both_nm):
        return None
    same = np.linalg.norm(both_nm[:, None] - both_nm[None], axis=3).max(axis=2) <= within_nm
    votes = same.sum(axis=1)
    best = int(np.argmax(votes))
    if np.any((votes == votes[best]) & ~same[best]):
        return None
    return np.asarray(both_nm[same[best]].mean(axis=0))
