"""Find the assembly to be counted in every image of a tilt series, and what lies beside it.

Images are thumbnails: background-subtracted, small, smoothed. The object is chosen in the least
tilted image and followed from tilt to tilt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.images.shift import Band, find_shifts
from processing.parallel import each_in_threads
from processing.series import Bools, Float32, Float64

Patches = NDArray[np.int32]
"""Label of the bright patch at each pixel, [y, x]; 0 between them."""

CORE_LEVEL = 0.35
"""Smallest signal of an object's core, as a fraction of the brightest. Films stay below."""
HEAVY_SHARE = 0.05
"""Smallest mass of a neighbour, as a fraction of the object's."""
LARGEST_ALONE = 1.1
"""Mass of all patches, relative to the object's in the least tilted image, up to which the object
is alone: its own varies by 6 % over the tilts, and a neighbour adds to it."""
HEAVIEST_CORE, WIDE_CUT = 1.02, 0.55
"""Mass of a core at the field's edge, relative to that in the least tilted image, and length of the
edge that it touches, relative to the object's height, above both of which it is another object's,
too. Loose assemblies alone reach 1.10 and 0.65, but not both; assemblies of 150 and 165 nm with a
neighbour at the ends of the tilts have 1.02 to 1.09 and 0.61 to 0.80."""
LOOSE_SHARE = 1 / 30
"""Largest mass of a loose particle, as a fraction of the object's. Heavier whole patches belong to
a specimen of few particles, and are counted."""
GROWTH = 1.12
"""Growth of the object's area from one tilt to the next that shows a merged neighbour."""
HEIGHT_GROWTH = 1.05
"""Growth of the object's height along the tilt axis that shows a merged neighbour."""
LARGEST_CUT_APART = 6
"""Number of the largest patches that are cut apart; an assembly and its neighbours are few."""
BRIDGE = 0.5
"""Width of a bridge between two objects, relative to the thickest of them, at which they are cut
apart."""
SMALLEST_OBJECT = 0.01
"""Smallest area of an assembly, as a fraction of the field."""
MARGIN = 0.10
"""Margin around the core, as a fraction of the object's diameter; the rim is fainter."""
LEAST_MARGIN_PX = 3
LARGEST_SHIFT_PX = 6.0
SHIFT_BAND = Band(1.5, 12.0)


@dataclass(frozen=True, eq=False)
class FoundObject:
    """Object in each image.

    Attributes
    ----------
    masks
        [tilt, y, x]: the object with its margin.
    beside
        [tilt, y, x]: bright patches that are not the object.
    cut
        Number of images that show another heavy object.
    overlapped
        [tilt]: another object overlaps the one to be counted.
    least_tilted
        Index of the image in which the object was chosen.
    """

    masks: Bools
    beside: Bools
    cut: int
    overlapped: Bools
    least_tilted: int


def find_object(
    smooth: Float32, angles_deg: Float64, region: tuple[float, float, float] | None = None
) -> FoundObject | None:
    """Find the object in smoothed images [tilt, y, x] without background.

    Returns None if no object is whole, or if several are, as the particles of a sparse specimen:
    the whole field is then used.

    Parameters
    ----------
    region
        Column, row and radius, pixels, of the object in the least tilted image; by default
        the only heavy patch that the field's edge does not cut.
    """
    order = np.argsort(angles_deg, kind="stable")
    start = int(np.argmin(np.abs(angles_deg[order])))
    patches = each_in_threads(_patches, smooth)
    first = order[start]
    chosen = _choose(smooth[first], patches[first], region)
    if chosen is None:
        return None
    margin = max(LEAST_MARGIN_PX, round(MARGIN * 2 * np.sqrt(chosen.sum() / np.pi)))
    mass = float(smooth[first][chosen].sum())
    smallest = HEAVY_SHARE * mass
    # the outline of a loose packing changes much from tilt to tilt without any neighbour
    alone = _heaviest(smooth, patches) <= LARGEST_ALONE * mass
    whole = partial(_whole, chosen=chosen, mass=mass)
    core_at = whole if alone else partial(_apart, chosen=chosen)
    cores, overlapped = _follow(smooth, patches, chosen, order, start, core_at)
    # the margin would show the other object where it overlaps this one
    discs = [_disc(LEAST_MARGIN_PX if merged else margin) for merged in overlapped]
    masks = np.stack(each_in_threads(ndimage.binary_dilation, cores, discs))
    beside = np.stack([(each > 0) & ~mask for each, mask in zip(patches, masks, strict=True)])
    if alone:
        other = [
            away & np.isin(each, _edge_patches(each))
            for each, away in zip(patches, beside, strict=True)
        ]
        smallest = LOOSE_SHARE * mass
    else:
        other = list(beside)
    heavy = [image[away].sum() > smallest for image, away in zip(smooth, other, strict=True)]
    cut = int(np.count_nonzero(heavy))
    return FoundObject(masks, beside, cut, overlapped, int(first))


def _follow(
    smooth: Float32,
    patches: Sequence[Patches],
    core: Bools,
    order: NDArray[np.intp],
    start: int,
    core_at: Callable[[Float32, Patches, Bools], Bools | None],
) -> tuple[Bools, Bools]:
    """Follow the object from the least tilted image to both sides.

    Parameters
    ----------
    core
        Core in the least tilted image.
    order, start
        Images in the order of tilt, and the place in it of the least tilted one.
    core_at
        Function of the image, its patches and the core at the tilt before; None if another object
        overlaps.

    Returns
    -------
    Core in each image, [tilt, y, x], and the images in which another object overlaps it, [tilt].
    """
    cores = np.zeros(smooth.shape, bool)
    overlapped = np.zeros(len(smooth), bool)
    first = order[start]
    cores[first] = core
    for side in (order[start + 1 :], order[:start][::-1]):
        before = first
        for tilt in side:
            found = core_at(smooth[tilt], patches[tilt], cores[before])
            overlapped[tilt] = found is None
            if found is None:
                found = _moved(cores[before], smooth[before], smooth[tilt])
            cores[tilt] = found
            before = tilt
    return cores, overlapped


def _heaviest(smooth: Float32, patches: Sequence[Patches]) -> float:
    """Return the largest mass of all patches in one image."""
    return max(
        float(image[labels > 0].sum()) for image, labels in zip(smooth, patches, strict=True)
    )


def _patches(image: Float32) -> Patches:
    """Label the bright patches; those that only touch are cut apart at their narrowest place."""
    labels, count = ndimage.label(image > CORE_LEVEL * np.percentile(image, 99))
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    for patch in np.argsort(-areas)[:LARGEST_CUT_APART] + 1:
        _cut_apart(labels, int(patch))
    return np.asarray(labels, np.int32)


def _cut_apart(labels: NDArray[np.int32], patch: int) -> None:
    """Give the thick parts of a patch labels of their own; they share the rest of it."""
    tight = ndimage.find_objects((labels == patch).astype(np.int8))[0]
    box = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in tight)
    part_labels = labels[box]
    mask = part_labels == patch
    # a patch goes on beyond the field: its cut side is not narrow
    beyond = [
        (n * (side.start == 0), n * (side.stop == whole))
        for n, side, whole in zip(mask.shape, tight, labels.shape, strict=True)
    ]
    wide = np.pad(mask, beyond, mode="edge")
    inner = tuple(slice(first, first + n) for (first, _), n in zip(beyond, mask.shape, strict=True))
    inside = ndimage.distance_transform_edt(wide)
    radius = BRIDGE * float(inside[inner].max())
    parts, _ = ndimage.label(inside > radius)
    parts = parts[inner]
    numbers = np.unique(parts[parts > 0])
    if len(numbers) < 2:
        return
    nearest = ndimage.distance_transform_edt(
        parts == 0, return_distances=False, return_indices=True
    )
    owner = parts[tuple(nearest)]
    for number in numbers[1:]:
        part_labels[mask & (owner == number)] = labels.max() + 1


def _choose(
    image: Float32, patches: Patches, region: tuple[float, float, float] | None
) -> Bools | None:
    """Return the object's core in the least tilted image."""
    numbers = np.arange(1, patches.max() + 1)
    if not len(numbers):
        return None
    if region is not None:
        column, row, radius = region
        y, x = np.indices(image.shape)
        core = (patches > 0) & (np.hypot(y - row, x - column) <= radius)
        return core if core.any() else None
    masses = ndimage.sum_labels(image, patches, numbers)
    whole = ~np.isin(numbers, _edge_patches(patches))
    if not whole.any() or masses[whole].max() < 0.5 * masses.max():
        return None
    loose = whole & (masses < LOOSE_SHARE * masses[whole].max())
    core = np.asarray(np.isin(patches, numbers[whole & ~loose]), bool)
    parts = ndimage.label(core)[1]
    return core if parts == 1 and core.mean() >= SMALLEST_OBJECT else None


def _edge_patches(patches: Patches) -> Patches:
    """Return the labels of the patches that the field's edge cuts."""
    return np.unique(np.concatenate([patches[0], patches[-1], patches[:, 0], patches[:, -1]]))


def _apart(image: Float32, patches: Patches, before: Bools, *, chosen: Bools) -> Bools | None:
    """Return the core where it was at the tilt before; None if it has merged with a neighbour.

    An object keeps its height along the tilt axis at every tilt.
    """
    del image
    core = _own_patches(patches, before)
    merged = core.sum() > GROWTH * before.sum() or (_at_edge(core) and not _at_edge(before))
    merged = merged or _height(core) > HEIGHT_GROWTH * _height(chosen) + 1
    return None if merged or not core.any() else core


def _touching(patches: Patches, core: Bools) -> Bools:
    """Return the patches that touch the core: they were one patch, cut apart where it is narrow."""
    numbers = np.unique(patches[ndimage.binary_dilation(core)])
    return np.asarray(np.isin(patches, numbers[numbers > 0]), bool)


def _own_patches(patches: Patches, before: Bools) -> Bools:
    """Return the patches that cover a part of the core at the tilt before."""
    numbers = np.unique(patches[before])
    return np.asarray(np.isin(patches, numbers[numbers > 0]), bool)


def _whole(
    image: Float32, patches: Patches, before: Bools, *, chosen: Bools, mass: float
) -> Bools | None:
    """Return all heavy patches and those where the core was before.

    None if none can be seen, or if they end at the field's edge on a wide front with more mass than
    the object's: an object that the edge cuts loses mass, so that this is another one.
    """
    own = _own_patches(patches, before)
    reached = own | _touching(patches, own)
    wide = _cut_length(reached) > WIDE_CUT * _height(chosen)
    if wide and not _at_edge(before) and image[reached].sum() > HEAVIEST_CORE * mass:
        return None
    numbers = np.arange(1, patches.max() + 1)
    masses = ndimage.sum_labels(image, patches, numbers)
    # what reaches into the field is no part of an object that lies within it
    further = numbers[(masses >= LOOSE_SHARE * mass) & ~np.isin(numbers, _edge_patches(patches))]
    core = own | np.isin(patches, further)
    return core if core.any() else None


def _moved(core: Bools, before: Float32, now: Float32) -> Bools:
    """Return the core of one image at its place in the next one, by cross-correlation."""
    near = ndimage.gaussian_filter(core.astype(np.float32), LEAST_MARGIN_PX)
    shift = find_shifts((now * near)[None], (before * near)[None], SHIFT_BAND, LARGEST_SHIFT_PX)
    moved = ndimage.shift(core, np.rint(shift.shifts_px[0]), order=0)
    return np.asarray(moved if moved.any() else core, bool)


def _height(core: Bools) -> int:
    return int(np.ptp(np.flatnonzero(core.any(axis=1)))) if core.any() else 0


def _at_edge(mask: Bools) -> bool:
    return _cut_length(mask) > 0


def _cut_length(mask: Bools) -> int:
    """Return the largest number of pixels on one side of the field's edge."""
    return max(int(side.sum()) for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))


def _disc(radius: int) -> Bools:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(x**2 + y**2 <= radius**2, bool)
