"""Initial image shifts, from centres of mass or from neighbouring images."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy import ndimage

from processing.images.shift import Band, find_shifts
from processing.parallel import each_in_threads, map_in_threads
from processing.series import Bools, Float32, Float64

Bool2 = np.ndarray[tuple[int, int], np.dtype[np.bool_]]

OBJECT_LEVEL = 0.12
"""Smallest smoothed signal of an object pixel, as a fraction of the maximum."""
NEIGHBOUR_BAND = Band(1.0, 5.0)


def centres_of_mass(images: Float32) -> Float64:
    """Return the object's centre of mass [tilt, (y, x)] from the image's centre.

    The centre of mass of a complete object projects like a point of the object. The object is the
    heaviest connected bright patch; a neighbouring object in view is ignored.
    """
    return centres_and_cut_off(images)[0]


def cut_off(images: Float32) -> Bools:
    """Flag [tilt] the images whose object touches the border, i.e. is not completely in view."""
    return np.array([_touches_border(mask) for mask in map_in_threads(_object_mask, images)])


def centres_and_cut_off(images: Float32) -> tuple[Float64, Bools]:
    """Return the results of `centres_of_mass` and of `cut_off`; the object is found only once."""

    def examine(image: Float32) -> tuple[Float64, bool]:
        mask = _object_mask(image)
        return _centre_of_mass(image, mask), _touches_border(mask)

    centres, cut = zip(*map_in_threads(examine, images), strict=True)
    return np.stack(centres), np.array(cut)


def neighbour_shifts(images: Float32, angles_rad: Float64) -> Float64:
    """Sum the shifts between neighbouring images, outwards from the least tilted one.

    The less tilted image is compressed across the axis by the ratio of the cosines before the
    comparison. Returns [tilt, (y, x)].
    """
    order = np.argsort(angles_rad, kind="stable")
    start = int(np.argmin(np.abs(angles_rad[order])))
    pairs = [*pairwise(order[start:]), *pairwise(order[start::-1])]
    shifts = np.zeros((len(images), 2))
    if not pairs:
        return shifts
    near, far = np.array(pairs).T
    ratios = np.cos(angles_rad[far]) / np.cos(angles_rad[near])
    compressed = np.stack(each_in_threads(_scale_columns, images[near], ratios))
    steps = find_shifts(images[far], compressed, NEIGHBOUR_BAND).shifts_px
    for (earlier, later), step, ratio in zip(pairs, steps, ratios, strict=True):
        shifts[later] = step + shifts[earlier] * (1.0, ratio)
    return shifts


def _scale_columns(image: Float32, factor: float) -> Float32:
    centre = (image.shape[1] - 1) / 2
    scaled: Float32 = ndimage.affine_transform(
        image, [1, 1 / factor], (0, centre - centre / factor), order=1, mode="nearest"
    )
    return scaled


def _touches_border(mask: Bool2) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def _object_mask(image: Float32) -> Bool2:
    smooth = ndimage.gaussian_filter(image, 3)
    patches, count = ndimage.label(smooth > OBJECT_LEVEL * smooth.max())
    if count == 0:
        return np.ones(image.shape, bool)
    mass = ndimage.sum_labels(smooth, patches, np.arange(1, count + 1))
    return np.asarray(patches == 1 + int(np.argmax(mass)))


def _centre_of_mass(image: Float32, core: Bool2) -> Float64:
    # the margin keeps the faint edge below the threshold inside the mask
    mask = ndimage.binary_dilation(core, iterations=6)
    inside = np.where(mask, image, 0).astype(np.float64)
    mass = inside.sum()
    if mass <= 0:
        return np.zeros(2)
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in image.shape)
    moments = inside.sum(axis=1) @ rows, inside.sum(axis=0) @ columns
    return np.asarray(np.array(moments) / mass, np.float64)
