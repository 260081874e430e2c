"""The in-plane angle of the tilt axis, from the profiles along it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage, optimize

from processing.align.alignment import Alignment, apply_alignment
from processing.progress import Progress, silent
from processing.series import Float64, TiltSeries

DETAIL_PX = (1.0, 6.0)
"""Standard deviations that bound the details compared: single layers of particles."""
REACH_DEG = 6.0
GRID_DEG = 2.0
PRECISION_DEG = 0.05
WORTHWHILE = 0.9
"""Of the incoherence at the axis as given: a find that improves on it by less is noise."""
SETTLING_ROUNDS = 3


def find_tilt_axis(
    series: TiltSeries, alignment: Alignment, *, progress: Progress = silent
) -> Alignment:
    """Search around the alignment's own axis for the angle of the most coherent profiles.

    The mass in each section across the tilt axis is the same at every tilt, so that images summed
    across the true axis give one profile; across any other line, particles move from row to row as
    the object turns.
    """
    used = replace(
        series,
        images=series.images[~alignment.rejected],
        angles_deg=series.angles_deg[~alignment.rejected],
        excluded=series.excluded[~alignment.rejected],
    )
    kept = replace(
        alignment,
        shifts_px=alignment.shifts_px[~alignment.rejected],
        angles_deg=alignment.angles_deg[~alignment.rejected],
        rejected=alignment.rejected[~alignment.rejected],
    )
    middle, looked = alignment.tilt_axis_deg, 0

    def incoherence(axis_deg: float) -> float:
        nonlocal looked
        looked += 1
        progress("tilt axis", min(1.0, looked / 20))
        return 1 - coherence(profiles(used, replace(kept, tilt_axis_deg=float(axis_deg))))

    grid = middle + np.arange(-REACH_DEG, REACH_DEG + 1, GRID_DEG)
    values = [incoherence(axis) for axis in grid]
    best = float(grid[np.argmin(values)])
    found = optimize.minimize_scalar(
        incoherence,
        bounds=(best - GRID_DEG, best + GRID_DEG),
        method="bounded",
        options={"xatol": PRECISION_DEG},
    )
    if found.fun > WORTHWHILE * values[len(grid) // 2]:
        return alignment
    return replace(alignment, tilt_axis_deg=float(found.x))


def profiles(series: TiltSeries, alignment: Alignment) -> Float64:
    """Mass in each row of the aligned images, [tilt, y]."""
    return np.asarray(
        apply_alignment(series, alignment).images.sum(axis=2, dtype=np.float64), np.float64
    )


def coherence(rows: Float64) -> float:
    """Share of the profiles' detail [tilt, y] that their mean holds, 0..1.

    Each profile is first moved along itself to where it fits the mean best.
    """
    fine, coarse = (ndimage.gaussian_filter1d(rows, sigma, axis=1) for sigma in DETAIL_PX)
    spectra = np.fft.rfft(fine - coarse, axis=1)
    k = 2 * np.pi * np.fft.rfftfreq(rows.shape[1])
    for _ in range(SETTLING_ROUNDS):
        cross = spectra * np.conj(spectra.mean(axis=0))
        slope = -(k * cross.imag).sum(axis=1)
        bend = (k * k * cross.real).sum(axis=1)
        move = np.where(bend > 0, np.clip(slope / np.where(bend > 0, bend, 1), -0.5, 0.5), 0)
        spectra = spectra * np.exp(1j * k * move[:, None])
    common = float((np.abs(spectra.mean(axis=0)) ** 2).sum())
    return common / max(float((np.abs(spectra) ** 2).sum(axis=1).mean()), 1e-30)
