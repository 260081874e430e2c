"""Poses of the images as unknowns beside the positions of the spheres.

A wrong pose moves the spheres: tilt angles that are all too large stretch the specimen along the
beam. Positions are therefore solved together with the poses, which are eliminated: in each image
only what no change of its pose explains counts (the reduced normal equations of bundle adjustment;
Triggs, McLauchlan, Hartley and Fitzgibbon 2000, Vision Algorithms, 298).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from processing.device import Array
from processing.fit.imager import SphereImager
from processing.fit.view import Spheres
from processing.fit.view_model import ViewModel, changes_by_pose

LEAST_OWN = 1e-6
"""Smallest share of a change that the others do not explain. A change with less is none of its own,
as the rotation of a single sphere."""


@dataclass(frozen=True, eq=False)
class FreePoses:
    """Changes of the images of some views by shifts, in-plane rotation and tilt.

    Attributes
    ----------
    changes
        Orthonormal spectra, [view, 4, ky, kx]; 0 for a change that is none of its own.
    """

    imager: SphereImager
    changes: Array

    @classmethod
    def of(cls, model: ViewModel, spheres: Spheres) -> FreePoses:
        """Return the changes of the images of spheres."""
        imager, xp = model.views.imager, model.views.imager.device.xp
        changes = xp.stack(list(changes_by_pose(model, spheres)), axis=1)
        vectors = imager.vectors(changes)
        products = imager.device.to_host(vectors @ xp.swapaxes(vectors, 1, 2)).astype(np.float64)
        sizes = np.sqrt(np.maximum(np.einsum("vii->vi", products), 1e-30))
        shares, directions = np.linalg.eigh(products / sizes[:, :, None] / sizes[:, None])
        lengths = np.where(shares > LEAST_OWN, np.sqrt(np.maximum(shares, LEAST_OWN)), np.inf)
        to_own = imager.device.to_device(
            (directions / sizes[:, :, None] / lengths[:, None]).astype(np.float32)
        )
        flat = xp.swapaxes(to_own, 1, 2) @ changes.reshape(*changes.shape[:2], -1)
        return cls(imager, flat.reshape(changes.shape))

    def without(self, spectra: Array) -> Array:
        """Return spectra [view, ky, kx] without what changes of the poses explain."""
        xp, changes = self.imager.device.xp, self.changes
        parts = self.imager.vectors(changes) @ self.imager.vectors(spectra)[..., None]
        explained = xp.swapaxes(parts, 1, 2) @ changes.reshape(*changes.shape[:2], -1)
        return spectra - explained.reshape(spectra.shape)
