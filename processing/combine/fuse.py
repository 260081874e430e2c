"""Fusion of A's volume with B's, brought into A's frame.

The wavelet rules take the 3D Haar transform of both, choose band by band, and go back. A decimated
transform sees a different volume for every place of its grid; so the choice is made for several
places along the diagonal and averaged (cycle spinning, Coifman and Donoho 1995). Haar is local:
memory is bounded by working on slabs with a halo.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pywt
from scipy import ndimage

from processing.combine.intensity import IntensityMatch, match_intensity
from processing.parallel import worker_threads
from processing.progress import Progress, silent
from processing.results import FusionRule
from processing.scratch import Allocate, in_memory, overlapping_slabs
from processing.series import Float32

Choice = Callable[[str, Float32, Float32], Float32]
"""Band's name (``a`` and ``d`` a axis), A's and B's coefficients -> the fused ones."""


def fuse(
    volume_a: Float32,
    volume_b: Float32,
    rule: FusionRule,
    *,
    wavelet: str = "haar",
    level: int = 2,
    allocate: Allocate = in_memory,
    progress: Progress = silent,
) -> Float32:
    """One volume [z, y, x] from A's and B's, both in A's frame; slab by slab.

    Parameters
    ----------
    rule
        ``paper``: the larger coefficient on every band, sign and all (Altantzis et al. 2021).
        ``masked``: the one larger in magnitude within 3 voxels, after a majority vote; the mean
        on the approximation (Li, Manjunath and Mitra 1995). ``mean``: (A + B) / 2.
        ``depth-weighted``: each side from the series whose beam enters there.
    allocate
        Where the fused volume goes.
    """
    matched = match_intensity(volume_a, volume_b)
    share_of_a = np.full(len(volume_a), 0.5, np.float32)
    if rule == "depth-weighted":
        share_of_a = entrance_share(volume_a, volume_b, matched)
    choice = {"paper": larger, "masked": larger_magnitude}.get(rule)
    fused = allocate(volume_a.shape, np.float32)
    for slab, window in overlapping_slabs(len(volume_a), halo=4 * 2**level if choice else 0):
        a, b = volume_a[window], matched(volume_b[window])
        if choice is None:
            share = share_of_a[slab, None, None]
            fused[slab] = share * a + (1 - share) * b
        else:
            inner = slice(slab.start - window.start, slab.stop - window.start)
            fused[slab] = by_bands(a, b, choice, wavelet, level)[inner]
        progress("fusion", slab.stop / len(volume_a))
    return fused


def mean(a: Float32, b: Float32) -> Float32:
    """(A + B) / 2: the control that every rule has to beat."""
    return np.asarray((a + b) / 2, np.float32)


def larger(band: str, a: Float32, b: Float32) -> Float32:
    """max(A, B) with its sign, on every band alike: as printed in the paper."""
    return np.maximum(a, b)


def larger_magnitude(band: str, a: Float32, b: Float32) -> Float32:
    """Details from whichever volume is more active around; the approximation their mean."""
    if set(band) == {"a"}:
        return mean(a, b)
    activity_a = ndimage.maximum_filter(np.abs(a), 3)
    activity_b = ndimage.maximum_filter(np.abs(b), 3)
    votes = ndimage.uniform_filter((activity_a >= activity_b).astype(np.float32), 3)
    return np.asarray(np.where(votes > 0.5, a, b), np.float32)


def entrance_share(volume_a: Float32, volume_b: Float32, matched: IntensityMatch) -> Float32:
    """A's share by plane [z], linear over the specimen's depth: 1 where A's beam enters (+z)."""
    planes = zip(volume_a, volume_b, strict=True)
    mass = np.cumsum([np.maximum(a + matched(b), 0).sum(dtype=np.float64) for a, b in planes])
    if mass[-1] <= 0:
        return np.full(len(volume_a), 0.5, np.float32)
    low, high = np.searchsorted(mass / mass[-1], [0.02, 0.98])
    depth = (np.arange(len(volume_a)) - low) / max(high - low, 1)
    return np.asarray(np.clip(depth, 0, 1), np.float32)


def by_bands(a: Float32, b: Float32, choice: Choice, wavelet: str, level: int) -> Float32:
    """Fuse band by band, averaged over the places of the transform's grid."""
    cell = 2**level
    with ThreadPoolExecutor(worker_threads()) as pool:
        places = pool.map(lambda at: _fuse_at(a, b, at, choice, wavelet, level), range(cell))
        return np.asarray(np.sum(list(places), axis=0) / np.float32(cell), np.float32)


def _fuse_at(
    a: Float32, b: Float32, place: int, choice: Choice, wavelet: str, level: int
) -> Float32:
    """Fuse with the transform's grid moved by `place` voxels on every axis."""
    cell = 2**level
    margins = [(place, (-n - place) % cell) for n in a.shape]
    bands_a = pywt.wavedecn(np.pad(a, margins, "edge"), wavelet, "periodization", level)
    bands_b = pywt.wavedecn(np.pad(b, margins, "edge"), wavelet, "periodization", level)
    fused: list[Any] = [choice("aaa", bands_a[0], bands_b[0])]
    for details_a, details_b in zip(bands_a[1:], bands_b[1:], strict=True):
        fused.append({name: choice(name, details_a[name], details_b[name]) for name in details_a})
    whole = pywt.waverecn(fused, wavelet, "periodization")
    window = tuple(slice(place, place + n) for n in a.shape)
    return np.asarray(whole[window], np.float32)
