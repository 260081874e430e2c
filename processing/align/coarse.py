"""First guesses of every image's shift: centre of mass, or neighbour against neighbour."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy import ndimage

from processing.images.shift import Band, find_shifts
from processing.series import Bools, Float32, Float64

Bool2 = np.ndarray[tuple[int, int], np.dtype[np.bool_]]

OBJECT_LEVEL = 0.12
"""Share of the brightest smoothed signal above which a pixel belongs to the object."""
NEIGHBOUR_BAND = Band(1.0, 5.0)


def centres_of_mass(images: Float32) -> Float64:
    """Where the object's mass centre lies, [tilt, (y, x)] from the image's centre.

    The centre of mass of a whole object projects like a point of it. The object is the largest
    connected bright patch, so that a neighbour that comes into view does not count.
    """
    return np.stack([_centre_of_mass(image) for image in images])


def cut_off(images: Float32) -> Bools:
    """Whether the object reaches the image's rim, [tilt]: its mass is not all in view."""
    return np.array([_at_rim(_object(image)) for image in images])


def neighbour_shifts(images: Float32, angles_rad: Float64) -> Float64:
    """Shifts [tilt, (y, x)] summed over neighbours, outwards from the flattest image.

    The more tilted image is stretched by the ratio of the cosines before it is compared.
    """
    order = np.argsort(angles_rad, kind="stable")
    start = int(np.argmin(np.abs(angles_rad[order])))
    shifts = np.zeros((len(images), 2))
    for side in (order[start:], order[start::-1]):
        for near, far in pairwise(side):
            stretch = np.cos(angles_rad[far]) / np.cos(angles_rad[near])
            step = find_shifts(
                images[far][None], _narrowed(images[near], stretch)[None], NEIGHBOUR_BAND
            )
            shifts[far] = step.shifts_px[0] + shifts[near] * (1.0, stretch)
    return shifts


def _narrowed(image: Float32, factor: float) -> Float32:
    centre = (image.shape[1] - 1) / 2
    narrowed: Float32 = ndimage.affine_transform(
        image, [1, 1 / factor], (0, centre - centre / factor), order=1, mode="nearest"
    )
    return narrowed


def _at_rim(patch: Bool2) -> bool:
    return bool(patch[0].any() or patch[-1].any() or patch[:, 0].any() or patch[:, -1].any())


def _object(image: Float32) -> Bool2:
    smooth = ndimage.gaussian_filter(image, 3)
    patches, count = ndimage.label(smooth > OBJECT_LEVEL * smooth.max())
    if count == 0:
        return np.ones(image.shape, bool)
    mass = ndimage.sum_labels(smooth, patches, np.arange(1, count + 1))
    return np.asarray(patches == 1 + int(np.argmax(mass)))


def _centre_of_mass(image: Float32) -> Float64:
    # a margin, so that the faint edge is not cut where the threshold happens to fall
    patch = ndimage.binary_dilation(_object(image), iterations=6)
    inside = np.where(patch, image, 0).astype(np.float64)
    mass = inside.sum()
    if mass <= 0:
        return np.zeros(2)
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in image.shape)
    moments = inside.sum(axis=1) @ rows, inside.sum(axis=0) @ columns
    return np.asarray(np.array(moments) / mass, np.float64)
