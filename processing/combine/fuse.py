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
from typing import Any

import numpy as np
import pywt
from scipy import ndimage

from processing.combine.intensity import IntensityMatch, match_intensity
from processing.parallel import each_in_threads, worker_threads
from processing.progress import Progress, silent
from processing.results import FusionRule
from processing.scratch import Allocate, in_memory, overlapping_slabs
from processing.series import Float32

BandRule = Callable[[str, Float32, Float32], Float32]
"""Map a band's name (``a`` or ``d`` per axis) and both coefficients to the fused coefficients."""

SMALL_VOLUME_BYTES = 400e6
"""Largest volume of which several slabs are fused at a time; of larger ones a slab takes GB."""


def fuse(
    volume_a: Float32,
    volume_b: Float32,
    rule: FusionRule,
    *,
    level: int = 2,
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
            fused[slab] = fuse_bands(a, b, band_rule, level)[inner]

    slabs = list(overlapping_slabs(len(volume_a), halo=4 * 2**level if band_rule else 0))
    # each slab occupies one thread for each position of the transform's grid
    at_a_time = worker_threads() // 2**level if volume_a.nbytes <= SMALL_VOLUME_BYTES else 1
    with ThreadPoolExecutor(max(1, at_a_time)) as pool:
        for done, _ in enumerate(pool.map(fuse_slab, *zip(*slabs, strict=True)), start=1):
            progress("fusion", done / len(slabs))
    return fused


def mean(a: Float32, b: Float32) -> Float32:
    """Return (A + B) / 2, the control that every rule must beat."""
    return np.asarray((a + b) / 2, np.float32)


def signed_maximum(band: str, a: Float32, b: Float32) -> Float32:
    """Return max(A, B), signed, in every band: the rule as printed in the paper."""
    return np.maximum(a, b)


def more_active(band: str, a: Float32, b: Float32) -> Float32:
    """Return details from the volume with the stronger ones nearby; the mean for approximation."""
    if set(band) == {"a"}:
        return mean(a, b)
    activity_a = ndimage.maximum_filter(np.abs(a), 3)
    activity_b = ndimage.maximum_filter(np.abs(b), 3)
    votes = ndimage.uniform_filter((activity_a >= activity_b).astype(np.float32), 3)
    return np.asarray(np.where(votes > 0.5, a, b), np.float32)


def entrance_share(volume_a: Float32, volume_b: Float32, matched: IntensityMatch) -> Float32:
    """Return A's weight per plane [z], linear in depth: 1 at A's entrance side (+z), 0 below."""
    planes = zip(volume_a, volume_b, strict=True)
    mass = np.cumsum([np.maximum(a + matched(b), 0).sum(dtype=np.float64) for a, b in planes])
    if mass[-1] <= 0:
        return np.full(len(volume_a), 0.5, np.float32)
    low, high = np.searchsorted(mass / mass[-1], [0.02, 0.98])
    depth = (np.arange(len(volume_a)) - low) / max(high - low, 1)
    return np.asarray(np.clip(depth, 0, 1), np.float32)


def fuse_bands(a: Float32, b: Float32, rule: BandRule, level: int) -> Float32:
    """Fuse band by band; average over the positions of the transform's grid."""
    cell = 2**level
    results = each_in_threads(
        lambda offset: _fuse_at_offset(a, b, offset, rule, level), range(cell)
    )
    return np.asarray(np.sum(results, axis=0) / np.float32(cell), np.float32)


def _fuse_at_offset(a: Float32, b: Float32, offset: int, rule: BandRule, level: int) -> Float32:
    """Fuse with the transform's grid moved by `offset` voxels on every axis."""
    cell = 2**level
    margins = [(offset, (-n - offset) % cell) for n in a.shape]
    bands_a = pywt.wavedecn(np.pad(a, margins, "edge"), "haar", "periodization", level)
    bands_b = pywt.wavedecn(np.pad(b, margins, "edge"), "haar", "periodization", level)
    fused: list[Any] = [rule("aaa", bands_a[0], bands_b[0])]
    for details_a, details_b in zip(bands_a[1:], bands_b[1:], strict=True):
        fused.append({name: rule(name, details_a[name], details_b[name]) for name in details_a})
    padded = pywt.waverecn(fused, "haar", "periodization")
    window = tuple(slice(offset, offset + n) for n in a.shape)
    return np.asarray(padded[window], np.float32)
