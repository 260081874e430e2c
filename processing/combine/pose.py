"""Rigid motions between two sets of points (x, y, z), nanometres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from processing.series import Float64

FLIP = np.diag([1.0, -1.0, -1.0])
"""Rotation by 180 degrees about x: the grid put back upside down. Proper, det +1."""
PAIRS_FOR_SCALE = 100
"""Fewest pairs for which the scale is fitted as well as the rotation and the shift."""
LARGEST_SCALING = 0.05
"""Largest change in size between two series. A specimen shrinks by a few per cent at most, so a
larger value comes from wrong pairs."""


@dataclass(frozen=True)
class Pose:
    """Motion p_A = scale * matrix . p_B + shift_nm, each point from its own volume's centre."""

    matrix: Float64
    shift_nm: Float64
    scale: float = 1.0

    def apply(self, points_nm: Float64) -> Float64:
        """Move points [n, 3] of B into A's frame."""
        return np.asarray(self.scale * points_nm @ self.matrix.T + self.shift_nm, np.float64)

    def inverse(self) -> Pose:
        """Return the inverse motion, from A to B."""
        back = self.matrix.T
        return Pose(back, -back @ self.shift_nm / self.scale, 1 / self.scale)


def about_z(angle_deg: float) -> Float64:
    """Return the rotation [3, 3] about z, the beam at 0 degrees tilt, by the right-hand rule."""
    return np.asarray(Rotation.from_euler("z", angle_deg, degrees=True).as_matrix())


def in_plane_and_seat_deg(matrix: Float64) -> tuple[float, float]:
    """Return phi (-180..180) and the seat tilt in p_B = Rz(phi) . Rseat . F . p_A.

    `matrix` is the inverse rotation, from B to A. The seat tilt is the angle between the two z axes
    after the flip.
    """
    turned = matrix.T @ FLIP
    seat_deg = float(np.degrees(np.arccos(np.clip(turned[2, 2], -1, 1))))
    # rotation about z that is nearest to the full rotation: polar part of the xy block
    phi_deg = np.degrees(np.arctan2(turned[1, 0] - turned[0, 1], turned[0, 0] + turned[1, 1]))
    return float(phi_deg), seat_deg


def seat_slopes(matrix: Float64) -> tuple[float, float]:
    """Return the rise of the flipped grid along x and y, nm for each nm, from a rotation B to A."""
    # the grid's normal points along the third column of Rz(phi) . Rseat
    x, y, z = (matrix.T @ FLIP)[:, 2]
    return float(-x / z), float(-y / z)


def fit_scaled_pose(points_a: Float64, points_b: Float64) -> Pose:
    """Fit a pose to paired points [n, 3], with a scale if there are enough pairs.

    The scale stays 1 for fewer than `PAIRS_FOR_SCALE` pairs, and where the fitted scale differs
    from 1 by more than `LARGEST_SCALING`.
    """
    if len(points_a) < PAIRS_FOR_SCALE:
        return fit_pose(points_a, points_b)
    pose = fit_pose(points_a, points_b, with_scale=True)
    if abs(pose.scale - 1) > LARGEST_SCALING:
        return fit_pose(points_a, points_b)
    return pose


def fit_pose(points_a: Float64, points_b: Float64, with_scale: bool = False) -> Pose:
    """Fit a pose to paired points [n, 3] by least squares (Kabsch 1976; scale: Umeyama 1991).

    Reflections are excluded: a specimen can be rotated but not mirrored.
    """
    mean_a, mean_b = points_a.mean(axis=0), points_b.mean(axis=0)
    from_a, from_b = points_a - mean_a, points_b - mean_b
    left, values, right = np.linalg.svd(from_a.T @ from_b)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    matrix = left @ np.diag(signs) @ right
    scale = float((values * signs).sum() / (from_b**2).sum()) if with_scale else 1.0
    return Pose(matrix, mean_a - scale * matrix @ mean_b, scale)


Indices = NDArray[np.intp]


def mutual_pairs(
    points_a: Float64 | cKDTree, points_b: Float64, within_nm: float
) -> tuple[Indices, Indices]:
    """Return the indices into A and B of pairs within a distance; no particle is in two pairs.

    Parameters
    ----------
    points_a
        Points [n, 3], or their k-d tree if many poses of B are compared with the same A.
    """
    tree = points_a if isinstance(points_a, cKDTree) else cKDTree(points_a.reshape(-1, 3))
    if tree.n == 0 or len(points_b) == 0:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    distance, nearest_a = tree.query(points_b, distance_upper_bound=within_nm)
    # if several points of B have the same nearest point of A, the closest of them gets it
    by_distance = np.argsort(distance, kind="stable")
    by_distance = by_distance[np.isfinite(distance[by_distance])]
    pairs_a, first = np.unique(nearest_a[by_distance], return_index=True)
    return pairs_a.astype(np.intp), by_distance[first]


def refine_pose(
    tree_a: cKDTree,
    points_b: Float64,
    start: Pose,
    diameter_nm: float,
    *,
    steps: int = 10,
) -> Pose:
    """Refine a pose that is correct to a few degrees, by iterative closest points.

    The first steps use only the particles near the centre, where an error of the angle moves them
    least. Later steps use more and more particles and a shorter pairing distance. The scale is
    fitted too: at the edge of a large assembly, a shrinkage of 3 % moves particles by half their
    diameter.
    """
    pose = start
    middle = np.median(start.apply(points_b), axis=0)
    radius_nm = np.linalg.norm(start.apply(points_b) - middle, axis=1)
    for step in np.linspace(0, 1, steps):
        inside = radius_nm <= np.quantile(radius_nm, 0.2 + 0.8 * min(1.0, 1.5 * step))
        within_nm = diameter_nm * (0.5 - 0.25 * step)
        pairs_a, pairs_b = mutual_pairs(tree_a, pose.apply(points_b[inside]), within_nm)
        if len(pairs_a) < 4:
            return pose
        pose = fit_scaled_pose(tree_a.data[pairs_a], points_b[inside][pairs_b])
    return pose
