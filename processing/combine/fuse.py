"""Fusion of A's volume with B's volume in A's frame.

The wavelet rules transform both volumes (3D Haar), combine the coefficients band by
band, and transform back. The result of a decimated transform depends on the position of its grid.
Fusion is therefore repeated with the grid moved along the diagonal, and the results are averaged
(cycle spinning, Coifman and Donoho 1995). Haar is local, so the volumes are processed in slabs with
a halo to limit the memory.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import ModuleType

import numpy as np

from processing.combine.haar import BANDS, SMOOTH, join, split
from processing.combine.intensity import IntensityMatch, match_intensity
from processing.device import CPU, Array, Device
from processing.progress import Progress, silent
from processing.results import FusionRule
from processing.scratch import Allocate, in_memory, overlapping_slabs
from processing.series import Float32

BandRule = Callable[[str, Array, Array, ModuleType], Array]
"""Map a band's name, both coefficients and their namespace to the fused coefficients."""
MAJORITY = 14
"""Fewest of the 27 voxels around one that decide for the same volume."""

COPIES = 14
"""Arrays as large as a slab that exist at a time on a GPU."""
SMALL_VOLUME_BYTES = 400e6
"""Largest volume of which several slabs are fused at a time; of larger ones a slab takes GB."""


def fuse(
    volume_a: Float32,
    volume_b: Float32,
    rule: FusionRule,
    *,
    level: int = 2,
    device: Device = CPU,
    allocate: Allocate = in_memory,
    progress: Progress = silent,
) -> Float32:
    """Fuse two volumes [z, y, x], both in A's frame, slab by slab.

    Parameters
    ----------
    rule
        ``paper``: signed maximum of the coefficients in every band (Altantzis et al. 2021).
        ``masked``: coefficient of the volume with the larger magnitude within 3 voxels, after a
        majority vote; mean in the approximation band (Li, Manjunath and Mitra 1995).
        ``mean``: (A + B) / 2.
        ``depth-weighted``: each side from the series whose beam enters there.
    allocate
        Creates the array of the fused volume.
    """
    matched = match_intensity(volume_a, volume_b)
    share_of_a = np.full(len(volume_a), 0.5, np.float32)
    if rule == FusionRule.DEPTH_WEIGHTED:
        share_of_a = entrance_share(volume_a, volume_b, matched)
    band_rule = {FusionRule.PAPER: signed_maximum, FusionRule.MASKED: more_active}.get(rule)
    fused = allocate(volume_a.shape, np.float32)

    def fuse_slab(slab: slice, window: slice) -> None:
        a, b = volume_a[window], matched(volume_b[window])
        if band_rule is None:
            share = share_of_a[slab, None, None]
            fused[slab] = share * a + (1 - share) * b
        else:
            inner = slice(slab.start - window.start, slab.stop - window.start)
            fused[slab] = fuse_bands(a, b, band_rule, level, device)[inner]

    slabs = list(overlapping_slabs(len(volume_a), halo=4 * 2**level if band_rule else 0))
    if not device.holds(COPIES * volume_a[slabs[0][1]].nbytes):
        device = CPU
    # each slab occupies one thread for each position of the transform's grid
    at_a_time = device.threads() // 2**level if volume_a.nbytes <= SMALL_VOLUME_BYTES else 1
    with ThreadPoolExecutor(max(1, at_a_time)) as pool:
        for done, _ in enumerate(pool.map(fuse_slab, *zip(*slabs, strict=True)), start=1):
            progress("fusion", done / len(slabs))
    return fused


def mean(a: Array, b: Array) -> Array:
    """Return (A + B) / 2, the control that every rule must beat."""
    return (a + b) / 2


def signed_maximum(band: str, a: Array, b: Array, xp: ModuleType) -> Array:
    """Return max(A, B), signed, in every band: the rule as printed in the paper."""
    return xp.maximum(a, b)


def more_active(band: str, a: Array, b: Array, xp: ModuleType) -> Array:
    """Return details from the volume with the stronger ones nearby; the mean for approximation."""
    if band == SMOOTH:
        return mean(a, b)
    stronger_a = _nearby_maximum(abs(a), xp) >= _nearby_maximum(abs(b), xp)
    return xp.where(_nearby_sum(stronger_a.astype(np.uint8)) >= MAJORITY, a, b)


def _nearby_maximum(values: Array, xp: ModuleType) -> Array:
    """Return the largest value within one voxel along each axis."""
    for axis in range(3):
        below, above = _neighbours(axis)
        largest = values.copy()
        for here, there in ((below, above), (above, below)):
            largest[here] = xp.maximum(largest[here], values[there])
        values = largest
    return values


def _nearby_sum(values: Array) -> Array:
    """Return the sum within one voxel along each axis; at the edge a voxel stands for the next."""
    for axis in range(3):
        below, above = _neighbours(axis)
        total = values.copy()
        total[below] += values[above]
        total[above] += values[below]
        for edge in (slice(0, 1), slice(-1, None)):
            at_edge = (*(slice(None),) * axis, edge)
            total[at_edge] += values[at_edge]
        values = total
    return values


def _neighbours(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return all voxels but the last and all but the first along an axis."""
    before = (slice(None),) * axis
    return (*before, slice(None, -1)), (*before, slice(1, None))


def entrance_share(volume_a: Float32, volume_b: Float32, matched: IntensityMatch) -> Float32:
    """Return A's weight per plane [z], linear in depth: 1 at A's entrance side (+z), 0 below."""
    planes = zip(volume_a, volume_b, strict=True)
    mass = np.cumsum([np.maximum(a + matched(b), 0).sum(dtype=np.float64) for a, b in planes])
    if mass[-1] <= 0:
        return np.full(len(volume_a), 0.5, np.float32)
    low, high = np.searchsorted(mass / mass[-1], [0.02, 0.98])
    depth = (np.arange(len(volume_a)) - low) / max(high - low, 1)
    return np.asarray(np.clip(depth, 0, 1), np.float32)


def fuse_bands(a: Float32, b: Float32, rule: BandRule, level: int, device: Device) -> Float32:
    """Fuse band by band; average over the positions of the transform's grid."""
    cell = 2**level
    on_device = device.to_device(a), device.to_device(b)
    fuse_at = partial(_fuse_at_offset, *on_device, rule=rule, level=level, xp=device.xp)
    parts = device.map(fuse_at, range(cell))
    total = next(parts)
    for part in parts:
        total += part
    return device.to_host(total / np.float32(cell))


def _fuse_at_offset(
    a: Array, b: Array, offset: int, *, rule: BandRule, level: int, xp: ModuleType
) -> Array:
    """Fuse with the transform's grid moved by `offset` voxels on every axis."""
    cell = 2**level
    margins = [(offset, (-n - offset) % cell) for n in a.shape]
    whole = _fused(xp.pad(a, margins, "edge"), xp.pad(b, margins, "edge"), rule, level, xp)
    return whole[tuple(slice(offset, offset + n) for n in a.shape)]


def _fused(a: Array, b: Array, rule: BandRule, level: int, xp: ModuleType) -> Array:
    """Fuse the bands of `level` levels, and of the approximation that is left."""
    if level == 0:
        return rule(SMOOTH, a, b, xp)
    bands_a, bands_b = split(a), split(b)
    fused = {SMOOTH: _fused(bands_a[SMOOTH], bands_b[SMOOTH], rule, level - 1, xp)}
    for name in BANDS[1:]:
        fused[name] = rule(name, bands_a.pop(name), bands_b.pop(name), xp)
    return join(fused, xp)
