"""Alignment against the particles found: every sphere is a marker.

Bundle adjustment in two alternating steps. Images are rendered from the spheres and compared with
the measured ones in the band where single particles show; a linear least-squares fit per tilt
gives its shift, tilt error and in-plane turn, and one per particle gives its displacement.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from processing.align.alignment import Alignment, apply_alignment, in_raw_frame
from processing.progress import Progress, silent
from processing.reconstruct.projector import worker_threads
from processing.reconstruct.spheres import Spectrum, SphereImages
from processing.series import Float32, Float64, TiltSeries

FINE_PX = 0.8
COARSE_DIAMETERS = 1.0
"""The band's bounds: the noise below, saturation and whatever else is smooth above."""
LAYERS = 4
"""Of particles by depth, each with a contrast of its own in every image."""
COLUMN_DIAMETERS = 1.5
"""Width of the columns in which depth is counted."""
WEAKEST = 0.2
"""Of the contrasts, below which a particle counts no less."""
STEP = 0.25
"""Share of a particle's own least-squares step that is taken: neighbours overlap in projection."""


@dataclass(frozen=True)
class ParticleFit:
    """Poses and particles that explain the images together.

    Attributes
    ----------
    alignment
        Refined shifts, angles and tilt axis.
    centres_nm
        [n, 3] as (x, y, z), refined.
    agreement
        [n]: each particle's amplitude in the images over the typical one, about 1.
    """

    alignment: Alignment
    centres_nm: Float64
    agreement: Float64


def refine_against_particles(
    series: TiltSeries,
    alignment: Alignment,
    centres_nm: Float64,
    diameter_nm: float,
    *,
    rounds: int = 3,
    refine_angles: bool = True,
    progress: Progress = silent,
) -> ParticleFit:
    """Refine an alignment and the particles' centres together.

    Parameters
    ----------
    series
        The raw series, flattened (`flattened`).
    alignment
        What the particles were found with.
    centres_nm
        [n, 3] as (x, y, z) from the volume's centre.
    rounds
        Each moves the raw images anew.
    refine_angles
        Also fit a tilt error an image, once, in the last round: repeated, the fit would follow what
        the model leaves out where ordered layers line up.

    Notes
    -----
    A turn or shift of everything together changes nothing that can be seen; the particles' mean
    position and the mean of the tilt errors stay as they were.
    """
    size_px = diameter_nm / series.pixel_nm
    shape = (series.images.shape[1], series.images.shape[2])
    camera = _Camera(SphereImages(shape, size_px), size_px)
    centres = centres_nm / series.pixel_nm
    agreement = np.ones(len(centres))
    for done in range(rounds):
        aligned = apply_alignment(series, alignment)
        views = camera.look_at_all(aligned, centres)
        last = done == rounds - 1
        alignment = _with_poses(alignment, views, refine_angles and last)
        used = [v for v, out in zip(views, alignment.rejected, strict=True) if not out]
        centres = centres + STEP * _displacements(used)
        agreement = np.mean([view.amplitudes for view in used], axis=0)
        progress("particle alignment", (done + 1) / rounds)
    return ParticleFit(alignment, centres * series.pixel_nm, agreement)


@dataclass(frozen=True)
class _View:
    """How one image differs from its rendering."""

    angle_rad: float
    shift_px: Float64
    """(y, x)."""
    tilt_rad: float
    turn_rad: float
    displacements: Float64
    """[n, (y, u)]: of each particle, by this image alone, once the pose is corrected."""
    weights: Float64
    """[n]: what each particle's displacement is worth."""
    amplitudes: Float64
    """[n]: of each particle in this image over the image's mean."""


class _Camera:
    """Renders spheres and fits the small differences from an image."""

    def __init__(self, draw: SphereImages, diameter_px: float) -> None:
        self.draw = draw
        self.diameter_px = diameter_px
        square = draw.k**2 / 2
        coarse = COARSE_DIAMETERS * diameter_px
        self.band = np.exp(-square * FINE_PX**2) - np.exp(-square * coarse**2)
        self.slope_y, self.slope_x = -1j * draw.ky, -1j * draw.kx
        self.root = (self.band * np.sqrt(draw.parseval)).astype(np.float32)
        one = draw.spread(np.zeros((1, 2)), np.ones(1))
        self.power, *stiffness = (
            float(np.sum(self._weighted(part) ** 2))
            for part in (one, self.slope_y * one, self.slope_x * one)
        )
        self.stiffness = np.array(stiffness)

    def look_at_all(self, aligned: TiltSeries, centres_px: Float64) -> list[_View]:
        """One view an image."""

        def look(tilt: int) -> _View:
            return self.look(aligned.images[tilt], float(aligned.angles_rad[tilt]), centres_px)

        with ThreadPoolExecutor(worker_threads()) as pool:
            return list(pool.map(look, range(aligned.tilts)))

    def look(self, image: Float32, angle_rad: float, centres_px: Float64) -> _View:
        """Compare an image with spheres at `centres_px` [n, (x, y, z)] seen at an angle."""
        x, y, z = centres_px.T
        u = x * np.cos(angle_rad) + z * np.sin(angle_rad)
        depth = x * np.sin(angle_rad) - z * np.cos(angle_rad)
        points = np.stack([y, u], axis=1)
        measured = self.draw.spectrum(image)
        weights = self._contrasts(measured, points, self._layers(points, depth))
        spread = self.draw.spread
        model = spread(points, weights)
        basis = [
            model,
            self.slope_y * model,
            self.slope_x * model,
            self.slope_x * spread(points, -depth * weights),
            self.slope_y * spread(points, u * weights) - self.slope_x * spread(points, y * weights),
        ]
        found = self._fit(basis, measured)
        rest = measured
        for amount, part in zip(found, basis, strict=True):
            rest = rest - np.float32(amount) * part
        rest = rest * self.band**2
        gain = max(float(found[0]), 1e-12)
        own = gain * np.maximum(weights, WEAKEST * weights.max())
        slopes = (self.slope_y, self.slope_x)
        pulls = [self.draw.gather(rest * np.conj(slope), points) for slope in slopes]
        dy, dx, tilt, turn = found[1:] / gain
        return _View(
            angle_rad,
            np.array([dy, dx]),
            float(tilt),
            float(turn),
            np.stack(pulls, axis=1) / (own[:, None] * self.stiffness),
            own**2,
            1 + self.draw.gather(rest, points) / (own * self.power),
        )

    def _layers(self, points: Float64, depth: Float64) -> NDArray[np.int64]:
        """Layer [n], 0..LAYERS-1, by the number of particles that the beam has met before."""
        width = COLUMN_DIAMETERS * self.diameter_px
        columns = np.floor(points / width).astype(np.int64)
        _, column = np.unique(columns, axis=0, return_inverse=True)
        order = np.lexsort([depth, column])
        sorted_column = column[order]
        first = np.searchsorted(sorted_column, sorted_column)
        met = np.empty(len(points), np.int64)
        met[order] = np.arange(len(points)) - first
        return np.asarray(met * LAYERS // (met.max() + 1), np.int64)

    def _contrasts(self, measured: Spectrum, points: Float64, layers: NDArray[np.int64]) -> Float64:
        """Amplitude [n] that each particle's layer has in an image: the deeper, the fainter."""
        present = np.unique(layers)
        parts = [
            self.draw.spread(points[layers == k], np.ones((layers == k).sum())) for k in present
        ]
        amplitudes = np.zeros(LAYERS)
        amplitudes[present] = np.maximum(self._fit(parts, measured), 0)
        if not amplitudes.any():
            amplitudes[present] = 1
        return np.asarray(amplitudes[layers], np.float64)

    def _fit(self, basis: list[Spectrum], measured: Spectrum) -> Float64:
        """Least-squares amounts of the basis images in the band."""
        design = np.stack([self._weighted(part) for part in basis])
        normal = (design @ design.T).astype(np.float64)
        right = (design @ self._weighted(measured)).astype(np.float64)
        return np.asarray(np.linalg.lstsq(normal, right, rcond=1e-10)[0], np.float64)

    def _weighted(self, spectrum: Spectrum) -> Float32:
        """Real vector whose inner products are those of the images in the band."""
        return np.ascontiguousarray(spectrum * self.root, np.complex64).view(np.float32).ravel()


def _with_poses(alignment: Alignment, views: list[_View], refine_angles: bool) -> Alignment:
    used = ~alignment.rejected
    shifts = np.stack([view.shift_px for view in views])
    angles = alignment.angles_deg
    if refine_angles:
        errors = np.rad2deg([view.tilt_rad for view in views])
        angles = angles + errors - errors[used].mean()
    turns = np.rad2deg([view.turn_rad for view in views])
    return replace(
        alignment,
        shifts_px=alignment.shifts_px + in_raw_frame(shifts, alignment.tilt_axis_deg),
        angles_deg=angles,
        tilt_axis_deg=alignment.tilt_axis_deg + _common_turn(turns[used], angles[used]),
        residuals_px=np.hypot(*shifts.T),
    )


def _common_turn(turns_deg: Float64, angles_deg: Float64) -> float:
    """The part of the turns [tilt] that no turn of the object explains.

    Turning the object about the beam (at 0 degrees) or about x shows as in-plane turns that go
    with the cosine or the sine of the tilt.
    """
    t = np.deg2rad(angles_deg)
    design = np.stack([np.ones_like(t), np.cos(t), np.sin(t)], axis=1)
    return float(np.linalg.lstsq(design, turns_deg, rcond=None)[0][0])


def _displacements(views: list[_View]) -> Float64:
    """Displacement [n, (x, y, z)] of each particle that agrees best with all views.

    Views in which the particle lies deep, and is faint, count less.
    """
    angles = np.array([view.angle_rad for view in views])
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    weight = np.stack([view.weights for view in views])
    seen_y, seen_u = np.moveaxis(np.stack([view.displacements for view in views]), 2, 0)
    xx, xz, zz = ((weight * f).sum(axis=0) for f in (cos * cos, cos * sin, sin * sin))
    x, z = ((weight * f * seen_u).sum(axis=0) for f in (cos, sin))
    free = xx * zz - xz * xz
    moved = np.stack(
        [
            (zz * x - xz * z) / free,
            (weight * seen_y).sum(axis=0) / weight.sum(axis=0),
            (xx * z - xz * x) / free,
        ],
        axis=1,
    )
    return np.asarray(moved - moved.mean(axis=0), np.float64)
