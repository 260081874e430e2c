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

from processing.combine.intensity import match_intensity
from processing.progress import Progress, silent
from processing.reconstruct.projector import worker_threads
from processing.results import FusionRule
from processing.series import Float32

Choice = Callable[[str, Float32, Float32], Float32]
"""Band's name (``a`` and ``d`` a axis), A's and B's coefficients -> the fused ones."""

SLAB = 64
"""Height of a slab, voxels; a multiple of every 2^level in use."""


def fuse(
    volume_a: Float32,
    volume_b: Float32,
    rule: FusionRule,
    *,
    wavelet: str = "haar",
    level: int = 2,
    progress: Progress = silent,
) -> Float32:
    """One volume [z, y, x] from A's and B's, both in A's frame.

    Parameters
    ----------
    rule
        ``paper``: the larger coefficient on every band, sign and all (Altantzis et al. 2021).
        ``masked``: the one larger in magnitude within 3 voxels, after a majority vote; the mean
        on the approximation (Li, Manjunath and Mitra 1995). ``mean``: (A + B) / 2.
        ``depth-weighted``: each side from the series whose beam enters there.
    """
    matched = match_intensity(volume_a, volume_b)
    if rule == "mean":
        return mean(volume_a, matched)
    if rule == "depth-weighted":
        return depth_weighted(volume_a, matched)
    choice = {"paper": larger, "masked": larger_magnitude}[rule]
    return by_bands(volume_a, matched, choice, wavelet, level, progress)


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


def depth_weighted(a: Float32, b: Float32) -> Float32:
    """A linear blend over the specimen's depth: A where its beam enters (+z), B at the far side."""
    mass = np.cumsum(np.maximum(a + b, 0).sum(axis=(1, 2), dtype=np.float64))
    if mass[-1] <= 0:
        return mean(a, b)
    low, high = np.searchsorted(mass / mass[-1], [0.02, 0.98])
    depth = (np.arange(len(a)) - low) / max(high - low, 1)
    weight = np.clip(depth, 0, 1).astype(np.float32)[:, None, None]
    return np.asarray(weight * a + (1 - weight) * b, np.float32)


def by_bands(
    a: Float32, b: Float32, choice: Choice, wavelet: str, level: int, progress: Progress
) -> Float32:
    """Fuse band by band, averaged over the places of the transform's grid, slab by slab."""
    cell = 2**level
    halo = 4 * cell
    fused = np.empty_like(a)
    starts = range(0, len(a), SLAB)
    with ThreadPoolExecutor(worker_threads()) as pool:
        for start in starts:
            below, above = max(0, start - halo), min(len(a), start + SLAB + halo)
            window = slice(below, above)
            jobs = pool.map(
                lambda place, window=window: _fuse_at(
                    a[window], b[window], place, choice, wavelet, level
                ),
                range(cell),
            )
            total = np.sum(list(jobs), axis=0) / np.float32(cell)
            end = min(len(a), start + SLAB)
            fused[start:end] = total[start - below : end - below]
            progress("fusion", end / len(a))
    return fused


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
