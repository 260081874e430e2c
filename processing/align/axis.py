"""In-plane angle of the tilt axis, from mass profiles along the axis."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage, optimize

from processing.align.alignment import Alignment, apply_alignment
from processing.progress import Progress, silent
from processing.series import Float64, TiltSeries

DETAIL_PX = (1.0, 6.0)
"""Band-pass sigmas for the profiles, on the scale of single particle layers."""
SEARCH_DEG = 6.0
"""Largest difference from the known axis in the search, to either side."""
GRID_DEG = 2.0
PRECISION_DEG = 0.05
LARGEST_RATIO = 0.9
"""Largest incoherence at a new axis, as a fraction of that at the known axis. A smaller improvement
is noise, and the known axis is kept."""
CENTRING_ROUNDS = 3
"""Iterations that shift each profile to the mean profile."""


def find_tilt_axis(
    series: TiltSeries, alignment: Alignment, *, progress: Progress = silent
) -> Alignment:
    """Search around the alignment's axis for the angle with the most coherent profiles.

    A section of the object across the tilt axis has the same mass at every tilt. Images summed
    perpendicular to the true axis therefore all give the same profile. With a wrong axis, particles
    move from row to row as the object turns.
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
    known_deg, trials = alignment.tilt_axis_deg, 0

    def incoherence(axis_deg: float) -> float:
        nonlocal trials
        trials += 1
        progress("tilt axis", min(1.0, trials / 20))
        return 1 - coherence(profiles(used, replace(kept, tilt_axis_deg=float(axis_deg))))

    grid = known_deg + np.arange(-SEARCH_DEG, SEARCH_DEG + 1, GRID_DEG)
    values = [incoherence(axis) for axis in grid]
    best = float(grid[np.argmin(values)])
    found = optimize.minimize_scalar(
        incoherence,
        bounds=(best - GRID_DEG, best + GRID_DEG),
        method="bounded",
        options={"xatol": PRECISION_DEG},
    )
    if found.fun > LARGEST_RATIO * values[len(grid) // 2]:
        return alignment
    return replace(alignment, tilt_axis_deg=float(found.x))


def profiles(series: TiltSeries, alignment: Alignment) -> Float64:
    """Sum each row of the aligned images, which gives the mass profile [tilt, y]."""
    return np.asarray(
        apply_alignment(series, alignment).images.sum(axis=2, dtype=np.float64), np.float64
    )


def coherence(rows: Float64) -> float:
    """Return the fraction (0..1) of the detail in the profiles [tilt, y] that they have in common.

    Each profile is first shifted along y to where it fits the mean profile best.
    """
    fine, coarse = (ndimage.gaussian_filter1d(rows, sigma, axis=1) for sigma in DETAIL_PX)
    spectra = np.fft.rfft(fine - coarse, axis=1)
    k = 2 * np.pi * np.fft.rfftfreq(rows.shape[1])
    for _ in range(CENTRING_ROUNDS):
        cross = spectra * np.conj(spectra.mean(axis=0))
        slope = -(k * cross.imag).sum(axis=1)
        curvature = (k * k * cross.real).sum(axis=1)
        newton = slope / np.where(curvature > 0, curvature, 1)
        shift_px = np.where(curvature > 0, np.clip(newton, -0.5, 0.5), 0)
        spectra = spectra * np.exp(1j * k * shift_px[:, None])
    common = float((np.abs(spectra.mean(axis=0)) ** 2).sum())
    return common / max(float((np.abs(spectra) ** 2).sum(axis=1).mean()), 1e-30)
