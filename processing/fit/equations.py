"""Normal equations of the displacements of a specimen in each image, and of the image's pose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from processing.fit.fields import LINEAR, TERMS
from processing.fit.imager import Ints
from processing.series import Float64

TILT_ERROR_DEG = 0.3
"""Usual error of a given tilt angle. If all angles were free, a shrinkage evenly and one along x or
z would look nearly alike in a series that was recorded from one end to the other."""
LEAST = 1e-6
"""Regularisation of the poses, as a fraction of each diagonal element."""


@dataclass(frozen=True, eq=False)
class ViewEquations:
    """Normal equations of the displacements in each view.

    The unknowns [20] are displacements (px) along y, then along u: by a constant, and by each of
    the terms of the field.

    Attributes
    ----------
    normal, right
        [view, 20, 20] and [view, 20], of the displacements from undeformed places.
    energy
        Energy that remains if nothing more is displaced, [view].
    samples
        Number of independent pixels in each view.
    axes
        [view, 3, 3], maps (x, y, z) in nm to y, u and depth in pixels.
    tilted_rad
        Tilt angle in use minus tilt angle given, [view].
    elapsed, series
        [view], time of recording from 0 to 1 over the series, and index of the series.
    """

    normal: Float64
    right: Float64
    energy: Float64
    samples: Float64
    axes: Float64
    tilted_rad: Float64
    elapsed: Float64
    series: Ints

    @staticmethod
    def joined(parts: Sequence[ViewEquations]) -> ViewEquations:
        """Return the equations of all parts together."""
        names = ViewEquations.__dataclass_fields__
        return ViewEquations(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in names)
        )


def in_image(coefficients: Float64, axes: Float64) -> Float64:
    """Return displacements in the images, [view, 20], of a field [view, 9, 3]."""
    seen = np.einsum("vci,vki->vck", axes[:, :2], coefficients)
    return np.pad(seen, ((0, 0), (0, 0), (1, 0))).reshape(len(axes), -1)


def noise_energy(equations: ViewEquations) -> float:
    """Return the energy that remains for each independent pixel."""
    return float(equations.energy.sum() / equations.samples.sum())


def term_sizes(radius_nm: float) -> Float64:
    """Return the size of each term at the surface of the specimen, [9]."""
    return np.array([radius_nm] * LINEAR + [radius_nm**2] * (TERMS - LINEAR))


def scaled(equations: ViewEquations, scale: Float64) -> ViewEquations:
    """Return the equations of the terms divided by their sizes."""
    factor = np.tile(np.concatenate([[1.0], 1 / scale]), 2)
    normal = equations.normal * factor[:, None] * factor
    return replace(equations, normal=normal, right=equations.right * factor)


@dataclass(frozen=True, eq=False)
class Poses:
    """Equations of shift along y and u, in-plane rotation and tilt of each image.

    Attributes
    ----------
    coupling
        Products of the displacements [20] with those by the pose, [view, 20, 4].
    inverse
        [view, 4, 4], inverse of the products of those by the pose.
    pulled
        [view, 4], pull of the residual at the pose.
    """

    coupling: Float64
    inverse: Float64
    pulled: Float64

    @classmethod
    def of(cls, equations: ViewEquations, radius_nm: float) -> Poses:
        """Return the equations of the poses; the tilt is bound to the angle that was given."""
        views = len(equations.axes)
        by_pose = np.zeros((views, 2, 1 + TERMS, 4))
        by_pose[:, 0, 0, 0] = by_pose[:, 1, 0, 1] = 1.0
        along_y, along_u, along_depth = np.moveaxis(equations.axes, 1, 0)
        linear = slice(1, 1 + LINEAR)
        by_pose[:, 0, linear, 2], by_pose[:, 1, linear, 2] = along_u, -along_y
        by_pose[:, 1, linear, 3] = along_depth
        by_pose[:, :, linear, 2:] *= radius_nm  # the size of the scaled terms
        design = by_pose.reshape(views, -1, 4)
        coupling = equations.normal @ design
        inner = np.swapaxes(design, 1, 2) @ coupling
        pulled = np.einsum("vkp,vk->vp", design, equations.right)
        diagonal = np.einsum("vpp->vp", inner)
        diagonal *= 1 + LEAST
        prior = noise_energy(equations) / np.deg2rad(TILT_ERROR_DEG) ** 2
        diagonal[:, 3] += prior
        pulled[:, 3] -= prior * equations.tilted_rad
        inverse = np.asarray(np.linalg.inv(inner), np.float64)
        return cls(coupling, inverse, pulled)

    def best(self, displaced: Float64) -> Float64:
        """Return the corrections [view, 4] of the poses where something is displaced [view, 20]."""
        left = self.pulled - np.einsum("vkp,vk->vp", self.coupling, displaced)
        return np.asarray(np.einsum("vpq,vq->vp", self.inverse, left), np.float64)


def without_poses(equations: ViewEquations, poses: Poses) -> ViewEquations:
    """Return the equations with the best pose of each image put in."""
    reduced = poses.coupling @ poses.inverse
    drop = np.einsum("vp,vpq,vq->v", poses.pulled, poses.inverse, poses.pulled)
    return replace(
        equations,
        normal=equations.normal - reduced @ np.swapaxes(poses.coupling, 1, 2),
        right=equations.right - np.einsum("vkp,vp->vk", reduced, poses.pulled),
        energy=equations.energy - drop,
    )
