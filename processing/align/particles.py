"""Alignment against the particles found: every sphere is a marker.

Bundle adjustment in two alternating steps. Images are rendered from the spheres and compared with
the measured ones in the band where single particles show; a linear least-squares fit per tilt
gives its shift, tilt error and in-plane turn, and one per particle gives its displacement.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from processing.align.alignment import Alignment, apply_alignment, in_raw_frame
from processing.progress import Progress, silent
from processing.reconstruct.projector import worker_threads
from processing.reconstruct.spheres import Spectrum, SphereImages
from processing.series import Float32, Float64, TiltSeries

FINE_PX = 0.8
COARSE_DIAMETERS = 1.0
"""The band's bounds: the noise below, saturation and whatever else is smooth above."""
STEP = 0.6
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
    rounds: int = 6,
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
        Also fit a tilt error an image.

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
        alignment = _with_poses(alignment, views, refine_angles)
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
    amplitudes: Float64
    """[n]: of each particle in this image over the image's mean."""


class _Camera:
    """Renders spheres and fits the small differences from an image."""

    def __init__(self, draw: SphereImages, diameter_px: float) -> None:
        self.draw = draw
        square = draw.k**2 / 2
        coarse = COARSE_DIAMETERS * diameter_px
        self.band = np.exp(-square * FINE_PX**2) - np.exp(-square * coarse**2)
        self.slope_y, self.slope_x = -1j * draw.ky, -1j * draw.kx
        one = draw.spread(np.zeros((1, 2)), np.ones(1))
        self.power = self._inner(one, one)
        self.stiffness = np.array(
            [self._inner(slope * one, slope * one) for slope in (self.slope_y, self.slope_x)]
        )

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
        points = np.stack([y, u], axis=1)
        spread = self.draw.spread
        model = spread(points, np.ones(len(u)))
        basis = [
            model,
            self.slope_y * model,
            self.slope_x * model,
            self.slope_x * spread(points, z * np.cos(angle_rad) - x * np.sin(angle_rad)),
            self.slope_y * spread(points, u) - self.slope_x * spread(points, y),
        ]
        rest = self.draw.spectrum(image)
        normal = np.array([[self._inner(a, b) for b in basis] for a in basis])
        right = np.array([self._inner(a, rest) for a in basis])
        found = np.linalg.lstsq(normal, right, rcond=1e-10)[0]
        gain = max(float(found[0]), 1e-12)
        for amount, part in zip(found, basis, strict=True):
            rest = rest - np.float32(amount) * part
        rest = rest * self.band**2
        slopes = (self.slope_y, self.slope_x)
        pulls = [self.draw.gather(rest * np.conj(slope), points) for slope in slopes]
        dy, dx, tilt, turn = found[1:] / gain
        return _View(
            angle_rad,
            np.array([dy, dx]),
            float(tilt),
            float(turn),
            np.stack(pulls, axis=1) / (gain * self.stiffness),
            1 + self.draw.gather(rest, points) / (gain * self.power),
        )

    def _inner(self, a: Spectrum, b: Spectrum) -> float:
        product = (np.conj(a) * b).real * (self.band**2 * self.draw.parseval)
        return float(product.sum(dtype=np.float64))


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
    """Displacement [n, (x, y, z)] of each particle that agrees best with all views."""
    angles = np.array([view.angle_rad for view in views])
    seen = np.stack([view.displacements for view in views])
    along = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    across: Float64 = np.linalg.lstsq(along, seen[:, :, 1], rcond=None)[0]
    moved = np.stack([across[0], seen[:, :, 0].mean(axis=0), across[1]], axis=1)
    return np.asarray(moved - moved.mean(axis=0), np.float64)
