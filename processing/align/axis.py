"""In-plane angle of the tilt axis, from mass profiles along the axis."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage, optimize, sparse

from processing.align.alignment import Alignment
from processing.progress import Progress, silent
from processing.series import Float64, TiltSeries
from processing.splines import TAPS, cubic_spline_values

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
        recorded_at=series.elapsed[~alignment.rejected],
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
    """Sum the images along lines perpendicular to the tilt axis: mass profiles [tilt, y].

    Equal to the row sums of the aligned images, smoothed by a cubic B-spline. Only one coordinate
    of each pixel matters, so a sparse matrix replaces the interpolation of the images.
    """
    rows, columns = series.images.shape[1:]
    axis = np.deg2rad(alignment.tilt_axis_deg)
    y, u = np.indices((rows, columns)) - (np.array([rows, columns])[:, None, None] - 1) / 2
    place = y * np.cos(axis) - u * np.sin(axis) + (rows - 1) / 2
    pixels = series.images.reshape(series.tilts, -1).T
    masses = (_spline_matrix(place.ravel(), rows) @ pixels).T
    dy, dx = alignment.shifts_px.T
    shift_px = dy * np.cos(axis) - dx * np.sin(axis)
    phase = np.exp(2j * np.pi * np.fft.rfftfreq(rows) * shift_px[:, None])
    return np.asarray(np.fft.irfft(np.fft.rfft(masses, axis=1) * phase, rows, axis=1), np.float64)


def _spline_matrix(place: Float64, bins: int) -> sparse.csr_matrix:
    """Return the values [bin, point] of cubic B-splines centred on points at `place`, in bins.

    The smoothing is the same at every angle; linear weights would smooth least at 0 degrees.
    """
    first = np.floor(place).astype(np.int32) - 1
    weights = cubic_spline_values((place - first - 1).astype(np.float32))
    taps = first[:, None] + np.arange(TAPS, dtype=np.int32)
    weights[(taps < 0) | (taps >= bins)] = 0
    points = np.arange(0, taps.size + 1, TAPS)
    shape = (len(place), bins)
    return sparse.csr_matrix(
        (weights.ravel(), np.clip(taps, 0, bins - 1).ravel(), points), shape
    ).T.tocsr()


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
