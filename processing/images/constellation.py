"""Find a set of targets again after a flip, from their positions alone.

A flipped grid shows the targets mirrored, turned by an unknown angle in the plane, and shifted. A
grid that was only turned shows them turned and shifted. Three targets or more that do not lie on
one line tell the two apart. Some targets may be missing and other assemblies may be in view.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from processing.images.placement import (
    MAX_CANDIDATES,
    MIRROR,
    Constellation,
    Placement,
    Side,
    candidates,
    rotation_in_plane,
)
from processing.series import Float64

MAX_PAIRS = 30
"""Largest number of pairs of targets that are placed on pairs of found positions."""
REFINEMENTS = 3
_STREAM = 21
"""Seed of the choice of pairs, so that a repeated search gives the same result."""


def find_constellation(before_nm: Float64, found_nm: Float64, tolerance_nm: float) -> Constellation:
    """Find the targets among the positions after a flip.

    Parameters
    ----------
    before_nm
        Positions (x, y) of the targets before the flip, [n, 2] (nm).
    found_nm
        Positions (x, y) of all assemblies found after it, [m, 2] (nm).
    tolerance_nm
        Largest distance of a target from its position (nm).

    Returns
    -------
    Constellation
        `LOST` if less than half of the targets are found. A set of one or two targets, or one that
        lies on a line, is `UNCLEAR`: then each target has several candidates.
    """
    before_nm, found_nm = before_nm.reshape(-1, 2), found_nm.reshape(-1, 2)
    if not len(before_nm) or not len(found_nm):
        return Constellation(Side.LOST, (), tuple(() for _ in before_nm))
    if len(before_nm) == 1:
        return Constellation(Side.UNCLEAR, (), (_nearest_radii(before_nm[0], found_nm),))
    flipped, turned = (
        _best_placements(before_nm, found_nm, tolerance_nm, mirrored=mirrored)
        for mirrored in (True, False)
    )
    best = max((*flipped, *turned), key=_quality, default=None)
    if best is None or 2 * len(best.matches) < len(before_nm):
        known = () if best is None else (best,)
        return Constellation(Side.LOST, known, tuple(() for _ in before_nm))
    side = _side(flipped, turned)
    placements = tuple(turned if side is Side.SAME_SIDE else flipped)
    candidates_nm = candidates(before_nm, found_nm, placements, tolerance_nm)
    return Constellation(side, placements, candidates_nm)


def _side(flipped: list[Placement], turned: list[Placement]) -> Side:
    matched_flipped, matched_turned = (
        max((len(each.matches) for each in placements), default=0)
        for placements in (flipped, turned)
    )
    if matched_flipped == matched_turned:
        return Side.UNCLEAR
    return Side.FLIPPED if matched_flipped > matched_turned else Side.SAME_SIDE


def _nearest_radii(before_nm: Float64, found_nm: Float64) -> tuple[tuple[float, float], ...]:
    """Return the positions [m, 2] whose distance from the origin is nearest to the target's [2]."""
    radii = np.hypot(*found_nm.T)
    order = np.argsort(np.abs(radii - np.hypot(*before_nm)), kind="stable")[:MAX_CANDIDATES]
    return tuple((float(x), float(y)) for x, y in found_nm[order])


def _quality(placement: Placement) -> tuple[int, float]:
    return len(placement.matches), -placement.rms_nm


def _best_placements(
    before_nm: Float64, found_nm: Float64, tolerance_nm: float, *, mirrored: bool
) -> list[Placement]:
    """Return the placements with the most matches, the best fit first.

    Placements with the same matches are one.
    """
    source = before_nm * MIRROR if mirrored else before_nm
    best: dict[tuple[tuple[int, int], ...], Placement] = {}
    most = 2
    for start in _pair_placements(source, found_nm, tolerance_nm):
        if 2 * _count_near(source, found_nm, tolerance_nm, *start) < most:
            continue  # far from the best, before any refinement
        matches, rotation, shift_nm = _refine(source, found_nm, tolerance_nm, *start)
        if len(matches) < most:
            continue
        if len(matches) > most:
            best, most = {}, len(matches)
        key = tuple(matches)
        if key in best:
            continue
        targets, positions = np.array(matches).T
        distance_nm = source[targets] @ rotation.T + shift_nm - found_nm[positions]
        best[key] = Placement(
            mirrored=mirrored,
            angle_deg=float(np.degrees(np.arctan2(rotation[1, 0], rotation[0, 0]))),
            shift_nm=(float(shift_nm[0]), float(shift_nm[1])),
            matches=key,
            rms_nm=float(np.sqrt(np.mean(np.sum(distance_nm**2, axis=1)))),
            angle_error_deg=_angle_error_deg(source[targets], tolerance_nm),
        )
    return sorted(best.values(), key=lambda each: each.rms_nm)


def _pair_placements(
    source: Float64, found_nm: Float64, tolerance_nm: float
) -> Iterator[tuple[Float64, Float64]]:
    """Yield rotation [2, 2] and shift [2] that place a pair of targets on a pair of positions.

    Both pairs have the same length within the tolerance. `source` are the targets [n, 2], mirrored
    where the grid is taken as flipped; so in the functions below.
    """
    pairs = list(combinations(range(len(source)), 2))
    if len(pairs) > MAX_PAIRS:
        chosen = np.random.default_rng(_STREAM).choice(len(pairs), MAX_PAIRS, replace=False)
        pairs = [pairs[index] for index in chosen]
    between = found_nm[None] - found_nm[:, None]
    lengths = np.linalg.norm(between, axis=2)
    for i, j in pairs:
        step = source[j] - source[i]
        length = float(np.hypot(*step))
        near = np.abs(lengths - length) <= 2 * tolerance_nm
        np.fill_diagonal(near, val=False)
        for first, second in np.argwhere(near):
            along = between[first, second]
            turn_rad = np.arctan2(along[1], along[0]) - np.arctan2(step[1], step[0])
            rotation = rotation_in_plane(float(turn_rad))
            middle = (source[i] + source[j]) / 2
            yield rotation, (found_nm[first] + found_nm[second]) / 2 - rotation @ middle


def _refine(
    source: Float64, found_nm: Float64, tolerance_nm: float, rotation: Float64, shift_nm: Float64
) -> tuple[list[tuple[int, int]], Float64, Float64]:
    """Match, fit all matched targets, and match again; return matches, rotation and shift."""
    matches = _match(source @ rotation.T + shift_nm, found_nm, tolerance_nm)
    for _ in range(REFINEMENTS):
        if len(matches) < 2:
            break
        targets, positions = np.array(matches).T
        rotation, shift_nm = _fit(source[targets], found_nm[positions])
        again = _match(source @ rotation.T + shift_nm, found_nm, tolerance_nm)
        if again == matches:
            break
        matches = again
    return matches, rotation, shift_nm


def _count_near(
    source: Float64, found_nm: Float64, tolerance_nm: float, rotation: Float64, shift_nm: Float64
) -> int:
    """Count the targets that a placement puts near a position."""
    placed = source @ rotation.T + shift_nm
    squares = np.sum((placed[:, None] - found_nm[None]) ** 2, axis=2).min(axis=1)
    return int(np.count_nonzero(squares <= tolerance_nm**2))


def _match(placed: Float64, found_nm: Float64, tolerance_nm: float) -> list[tuple[int, int]]:
    """Pair targets [n, 2] and positions [m, 2] one to one, with the least sum of distances.

    Only pairs within the tolerance are kept. Fewer than two targets near a position: no pairs.
    """
    from scipy.optimize import linear_sum_assignment  # slow to load, and needed at a flip alone

    distance_nm = np.linalg.norm(placed[:, None] - found_nm[None], axis=2)
    if np.count_nonzero(distance_nm.min(axis=1) <= tolerance_nm) < 2:
        return []
    rows, columns = linear_sum_assignment(np.minimum(distance_nm, 2 * tolerance_nm))
    return [
        (int(row), int(column))
        for row, column in zip(rows, columns, strict=True)
        if distance_nm[row, column] <= tolerance_nm
    ]


def _fit(source: Float64, target: Float64) -> tuple[Float64, Float64]:
    """Return the least-squares rotation [2, 2] (no mirror) and shift [2] of points [n, 2]."""
    middle, onto = source.mean(axis=0), target.mean(axis=0)
    (ax, ay), (bx, by) = (source - middle).T, (target - onto).T
    rotation = rotation_in_plane(
        float(np.arctan2(np.sum(ax * by - ay * bx), np.sum(ax * bx + ay * by)))
    )
    return rotation, onto - rotation @ middle


def _angle_error_deg(source: Float64, tolerance_nm: float) -> float:
    """Return the error of the angle of a fit to points [n, 2] that are each off by a distance."""
    lever_nm = float(np.linalg.norm(source - source.mean(axis=0)))
    return float(np.degrees(min(tolerance_nm / max(lever_nm, 1e-9), np.pi)))
