"""Fourier shell correlation (FSC) of two volumes of the same object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import uniform_filter1d

from processing.parallel import worker_threads
from processing.series import Bools, Float32, Float64

THRESHOLD = 0.143
"""Correlation of two halves at the resolution of the whole (Rosenthal and Henderson 2003)."""
SMOOTHED_OVER = 0.25
"""Range of frequencies over which the correlation is averaged, in inverse diameters.

A sphere has no signal at the zeros of its form factor, about 1 / diameter apart.
"""
SECTOR_DEG = 30.0
"""Half opening angle of the cones in which the correlation along an axis is measured."""


class Sector(StrEnum):
    """Frequencies that are compared: all, or a cone about an axis of the volume."""

    ALL = "all"
    X = "x"
    Y = "y"
    Z = "z"


@dataclass(frozen=True, eq=False)
class ShellCorrelation:
    """Correlation of two spectra in shells of equal frequency.

    Attributes
    ----------
    frequencies_per_nm
        Middle of each shell (1/nm), [shell], up to half the inverse voxel size.
    correlation
        [shell], -1 to 1; 0 in a shell without signal.
    """

    frequencies_per_nm: Float64
    correlation: Float64

    def resolution_nm(self, diameter_nm: float) -> float | None:
        """Return the finest detail that both volumes show (nm); None if the voxels limit it.

        It is where the correlation, averaged over `SMOOTHED_OVER`, first falls below `THRESHOLD`.
        Volumes without anything in common have their own size as resolution.
        """
        step = self.frequencies_per_nm[1] - self.frequencies_per_nm[0]
        width = max(1, round(SMOOTHED_OVER / diameter_nm / step))
        smooth = uniform_filter1d(self.correlation, width, mode="nearest")
        below = np.flatnonzero(smooth < THRESHOLD)
        if not below.size:
            return None
        last = max(1, int(below[0]))
        before, after = smooth[last - 1], smooth[last]
        share = (before - THRESHOLD) / max(before - after, 1e-9)
        crossing = self.frequencies_per_nm[last - 1] + np.clip(share, 0, 1) * step
        return float(1 / max(crossing, step))


def shell_correlations(
    first: Float32, second: Float32, voxel_nm: float, sectors: Sequence[Sector] = (Sector.ALL,)
) -> list[ShellCorrelation]:
    """Correlate two volumes [z, y, x] shell by shell, in each of the sectors.

    ``FSC(k) = sum F G* / sqrt(sum |F|^2 sum |G|^2)`` over the shell (Harauz and van Heel 1986).
    """
    threads = worker_threads()
    spectra = [fft.rfftn(volume, workers=threads) for volume in (first, second)]
    longest = max(first.shape)
    shells = longest // 2 + 1
    sums = np.zeros((len(sectors), 3, shells))
    rows, columns = np.fft.fftfreq(first.shape[1]), np.fft.rfftfreq(first.shape[2])
    for plane, kz in enumerate(np.fft.fftfreq(first.shape[0])):
        frequencies = np.broadcast_arrays(kz, rows[:, None], columns)
        radius = np.sqrt(kz**2 + rows[:, None] ** 2 + columns**2)
        shell = np.rint(radius * longest).astype(np.int64)
        f, g = (spectrum[plane] for spectrum in spectra)
        products = (f * g.conj()).real, np.abs(f) ** 2, np.abs(g) ** 2
        for number, sector in enumerate(sectors):
            chosen = (shell < shells) & _inside(sector, frequencies, radius)
            for part, product in enumerate(products):
                sums[number, part] += np.bincount(shell[chosen], product[chosen], shells)
    frequencies_per_nm = np.arange(shells) / (longest * voxel_nm)
    return [
        ShellCorrelation(frequencies_per_nm, cross / np.maximum(np.sqrt(one * other), 1e-30))
        for cross, one, other in sums
    ]


def _inside(sector: Sector, frequencies: Sequence[Float64], radius: Float64) -> Bools:
    """Return which frequencies (kz, ky, kx) are in the sector."""
    if sector is Sector.ALL:
        return np.ones(radius.shape, bool)
    along: NDArray[np.float64] = np.abs(frequencies["zyx".index(sector)])
    return np.asarray(along >= radius * np.cos(np.deg2rad(SECTOR_DEG)), np.bool_)
