"""Decide whether images show the flipped object, the same side up, or another object.

Each hypothesis has a pose of three angles: the unknown in-plane angle at which the grid was put
back, and the tilt of the grid in its seat, a degree or two about two axes. For a given pose, series
A predicts B's image at any tilt (see :mod:`processing.images.views`). The best pose of each
hypothesis is found, and its predicted images are correlated with B's images on the scale of the
particles, where the two sides differ even for round, ordered assemblies. At 0 degrees alone, an
ordered assembly seen along a symmetry axis would look the same from both sides. Images at +t and -t
are therefore compared as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.spatial.transform import Rotation

from processing.images.views import (
    FINEST_PER_NM,
    Complex64,
    OutlinedObject,
    TiltedViews,
    outline_object,
    spectrum,
)
from processing.series import Float64

FLIP = np.diag([1.0, -1.0, -1.0])
"""Rotation by 180 degrees about x: the grid put back upside down."""

FINE_NM, COARSE_NM = 0.9, 3.6
"""Band-pass sigmas that select the scale of the particles."""
SMALLEST_WEIGHT = 0.12
"""Smallest band-pass weight of a frequency in use, as a fraction of the largest weight."""
SEAT_DEG, SEAT_STEP_DEG = 5.0, 1.5
"""Largest tilt of the grid in its seat, and step of the search."""
RINGS_PER_NM = np.linspace(0.08, 0.2, 24)
RING_DEG = 1.0
"""Rings of the spectrum (frequencies) that give the in-plane angle, and step of the search."""
ANGLES_PER_SEAT, CANDIDATES, REFINED = 12, 24, 3
"""In-plane angles kept for each seat tilt, poses compared in full, and poses refined."""
DISTINCT_DEG = 10.0
"""Smallest in-plane angle between the best pose and a runner-up of the same hypothesis."""
LARGEST_OFFSET_NM = 8.0
"""Largest distance between the centres of mass of two images."""
LAGS = 64
"""Number of shifts along each axis at which two images are correlated."""
LARGEST_SCALING = 0.15
"""Largest change in size between A and B."""
SMALL_NM, LARGE_NM = 80.0, 120.0
"""Diameters of objects between which `least_certain_score` falls."""
SMALL_SCORE, LARGE_SCORE = 0.69, 0.45
"""Scores that no other crystal of the same orientation reached, at these diameters."""


class FlipPose(NamedTuple):
    """p_B = scale Rz(in_plane) . Rseat . (F or 1) . p_A."""

    in_plane_deg: float
    seat_x_deg: float
    seat_y_deg: float
    scale: float

    def matrix(self, base: Float64) -> Float64:
        """Return the rotation [3, 3] from A to B, where `base` is the flip or the identity.

        Its first two rows give the position (x, y) in B's image at 0 degrees of a point of A.
        """
        seat = Rotation.from_euler("xy", [self.seat_x_deg, self.seat_y_deg], degrees=True)
        turn = Rotation.from_euler("z", self.in_plane_deg, degrees=True)
        return np.asarray((turn * seat).as_matrix() @ base)

    @property
    def seat_deg(self) -> float:
        """Angle of the seat tilt, without its direction."""
        return float(np.hypot(self.seat_x_deg, self.seat_y_deg))

    def is_near(self, other: FlipPose) -> bool:
        """Return whether refinement could lead from one pose to the other."""
        seats = np.hypot(self.seat_x_deg - other.seat_x_deg, self.seat_y_deg - other.seat_y_deg)
        in_plane_deg = self.in_plane_difference_deg(other)
        return in_plane_deg < 2 * RING_DEG and bool(seats < 1.5 * SEAT_STEP_DEG)

    def in_plane_difference_deg(self, other: FlipPose) -> float:
        """Return the in-plane angle between two poses, 0..180."""
        return abs((self.in_plane_deg - other.in_plane_deg + 180) % 360 - 180)


class ScoredPose(NamedTuple):
    """A pose with the normalised correlation of A's predicted images and B's images, -1..1."""

    score: float
    pose: FlipPose


@dataclass(frozen=True)
class FlipMatch:
    """Best poses and scores of both hypotheses.

    Attributes
    ----------
    flipped, same_side
        Best pose of each hypothesis.
    runner_up
        Second-best pose: of the other hypothesis, or of the better one at another in-plane angle.
    offset_nm
        (y, x) of B's object in the first image, from the image's centre.
    mass_ratio
        Signal of the object at 0 degrees in B over that in A, for equal dwell time and current.
    size_nm
        Diameter of A's object at its smallest tilt.
    """

    flipped: ScoredPose
    same_side: ScoredPose
    runner_up: ScoredPose
    offset_nm: tuple[float, float]
    mass_ratio: float
    size_nm: float

    @property
    def least_certain_score(self) -> float:
        """Smallest score that identifies an object of this size.

        Two small crystals of about the same orientation have their lattice in common, and little
        else tells them apart: few layers, and a few hundred particles with their disorder.
        """
        score = np.interp(self.size_nm, (SMALL_NM, LARGE_NM), (SMALL_SCORE, LARGE_SCORE))
        return float(score)

    @property
    def better(self) -> ScoredPose:
        """Pose of the hypothesis with the higher score."""
        return max(self.flipped, self.same_side)


def match_flip(
    views: TiltedViews,
    images_b: Sequence[NDArray[np.generic]],
    tilts_b_deg: Sequence[float],
    pixel_nm: float,
) -> FlipMatch:
    """Compare images of B with those that series A predicts for both hypotheses.

    Parameters
    ----------
    views
        Views of series A.
    images_b
        Images [y, x] of B, the first one at 0 degrees.
    tilts_b_deg
        Tilt angle of each image in `images_b`.
    pixel_nm
        Pixel size of B's images.

    Raises
    ------
    ProcessingError
        An image is too small, or all its pixels have the same value.
    """
    objects = [outline_object(image, pixel_nm) for image in images_b]
    images = [_ImageB(one, tilt, views) for one, tilt in zip(objects, tilts_b_deg, strict=True)]
    size = float(np.sqrt(objects[0].area_px / views.least_tilted.area_px))
    size *= objects[0].pixel_nm / views.least_tilted.pixel_nm
    size = float(np.clip(size, 1 - LARGEST_SCALING, 1 + LARGEST_SCALING))
    with ThreadPoolExecutor() as pool:
        flipped, same_side = pool.map(
            lambda base: _best_poses(views, images, base, size), (FLIP, np.eye(3))
        )
    best, other = (flipped, same_side) if flipped[0] > same_side[0] else (same_side, flipped)
    top = best[0].pose
    distinct = [one for one in best[1:] if one.pose.in_plane_difference_deg(top) > DISTINCT_DEG]
    y, x = objects[0].centre_px * objects[0].pixel_nm
    return FlipMatch(
        flipped=flipped[0],
        same_side=same_side[0],
        runner_up=max(other[0], *distinct) if distinct else other[0],
        offset_nm=(float(y), float(x)),
        mass_ratio=objects[0].mass / views.least_tilted.mass,
        size_nm=views.least_tilted.diameter_nm,
    )


class _ImageB:
    """One image of B, prepared for comparison with A's predicted images."""

    def __init__(self, outlined: OutlinedObject, tilt_deg: float, views: TiltedViews) -> None:
        self.spectrum = spectrum(outlined, views.side_nm)
        t = np.deg2rad(tilt_deg)
        self._across = np.array([np.cos(t), 0.0, np.sin(t)])
        # half of the plane holds all information, at a spacing set by the object's size
        step = 1 / views.side_nm
        highest = int(FINEST_PER_NM / step)
        k = np.arange(-highest, highest + 1)
        kv, ku = (axis.ravel() for axis in np.meshgrid(k, k, indexing="ij"))
        band = _band_pass(step * np.hypot(ku, kv))
        kept = (band > SMALLEST_WEIGHT * band.max()) & ((kv > 0) | ((kv == 0) & (ku > 0)))
        self._indices = (kv[kept] % LAGS, ku[kept] % LAGS)
        self._u, self._v, self._band = step * ku[kept], step * kv[kept], band[kept]
        self._values = _whitened(self.spectrum.at(self._u, self._v), self._band)
        lags_nm = np.abs(np.fft.fftfreq(LAGS) / step)
        self._near = np.ix_(lags_nm <= LARGEST_OFFSET_NM, lags_nm <= LARGEST_OFFSET_NM)

    def products(self, views: TiltedViews, matrix: Float64, scale: float) -> Float64:
        """Return the cross-correlation with A's prediction at the best shift, and both energies."""
        frequencies = np.outer(self._across @ matrix, self._u) + np.outer(matrix[1], self._v)
        expected, known = views.at(scale * frequencies)
        expected = _whitened(expected, self._band) * known
        values = self._values * known
        cross = np.zeros((LAGS, LAGS), np.complex64)
        np.add.at(cross, self._indices, expected.conj() * values)
        correlation = fft.ifft2(cross).real[self._near] * cross.size
        return np.array([correlation.max(), _energy(expected), _energy(values)])


def _best_poses(
    views: TiltedViews, images: Sequence[_ImageB], base: Float64, size: float
) -> list[ScoredPose]:
    """Score the poses of one hypothesis, best first; the best of them are refined."""

    def score(pose: FlipPose) -> float:
        matrix = pose.matrix(base)
        products = [one.products(views, matrix, pose.scale) for one in images]
        correlation, expected, found = np.sum(products, axis=0)
        return float(correlation / max(expected * found, 1e-30) ** 0.5)

    rough = sorted(
        (ScoredPose(score(pose), pose) for pose in _candidates(views, images[0], base, size)),
        reverse=True,
    )
    fine = [_refine(score, one.pose) for one in rough[:REFINED]]
    return sorted([*fine, *rough[REFINED:]], reverse=True)


def _candidates(views: TiltedViews, image: _ImageB, base: Float64, size: float) -> list[FlipPose]:
    """List the poses for which the moduli of both spectra agree at 0 degrees, best first.

    The modulus does not depend on the shift, and the in-plane angle shifts it along the rings.
    """
    seats = np.arange(-SEAT_DEG, SEAT_DEG + SEAT_STEP_DEG, SEAT_STEP_DEG)
    seats -= seats.mean()
    angles = np.deg2rad(np.arange(0, 360, RING_DEG))
    ku = np.outer(RINGS_PER_NM, np.cos(angles)).ravel()
    kv = np.outer(RINGS_PER_NM, np.sin(angles)).ravel()
    found = _ring_harmonics(image.spectrum.at(ku, kv))
    poses: list[tuple[float, FlipPose]] = []
    for x, y in np.stack(np.meshgrid(seats, seats), axis=-1).reshape(-1, 2):
        if np.hypot(x, y) > SEAT_DEG + 0.1:
            continue
        seated = FlipPose(0.0, float(x), float(y), size)
        u, v = seated.matrix(base)[:2]
        expected = _ring_harmonics(views.at(size * (np.outer(u, ku) + np.outer(v, kv)))[0])
        correlation = fft.irfft((found * expected.conj()).sum(axis=0), len(angles))
        for turn in np.argsort(correlation)[::-1][:ANGLES_PER_SEAT]:
            pose = seated._replace(in_plane_deg=float(turn * RING_DEG))
            poses.append((float(correlation[turn]), pose))
    kept: list[FlipPose] = []
    for _, pose in sorted(poses, reverse=True):
        if not any(pose.is_near(other) for other in kept):
            kept.append(pose)
        if len(kept) == CANDIDATES:
            break
    return kept


def _ring_harmonics(values: Complex64) -> Complex64:
    """Fourier series [ring, order] of the square root of the modulus along each ring."""
    moduli = np.sqrt(np.abs(values)).reshape(len(RINGS_PER_NM), -1)
    moduli = moduli - moduli.mean(axis=1, keepdims=True)
    moduli /= np.sqrt(np.square(moduli).mean()) + 1e-30
    return np.asarray(fft.rfft(moduli, axis=1), np.complex64)


def _refine(score: Callable[[FlipPose], float], start: FlipPose) -> ScoredPose:
    """Maximise the score from a start pose; a seat tilt beyond `SEAT_DEG` has a penalty."""

    from scipy.optimize import minimize  # slow to load, and needed at a flip alone

    def cost(values: Float64) -> float:
        pose = FlipPose(*values)
        return 0.05 * max(0.0, pose.seat_deg - SEAT_DEG) - score(pose)

    steps = np.diag([1.0, 1.0, 1.0, 0.01])
    found = minimize(
        cost,
        start,
        method="Nelder-Mead",
        options={
            "initial_simplex": np.vstack([start, np.array(start) + steps]),
            "maxfev": 80,
            "xatol": 0.05,
            "fatol": 0.002,
        },
    )
    turn, seat_x, seat_y, scale = (float(value) for value in found.x)
    pose = FlipPose((turn + 180) % 360 - 180, seat_x, seat_y, scale)
    return ScoredPose(score(pose), pose)


def _band_pass(k_per_nm: Float64) -> Float64:
    fine, coarse = (np.exp(-2 * (np.pi * sigma * k_per_nm) ** 2) for sigma in (FINE_NM, COARSE_NM))
    return np.asarray(fine - coarse)


def _whitened(values: Complex64, band: Float64) -> Complex64:
    """Weight a spectrum by the band-pass and divide it by about the root of its modulus.

    The spectrum of an ordered assembly is a few strong peaks, which look the same from both sides.
    The rest of the spectrum, which is weaker, tells the two sides apart.
    """
    weighted = values * band
    modulus = np.abs(weighted)
    return np.asarray(weighted / np.sqrt(modulus + np.median(modulus) + 1e-30), np.complex64)


def _energy(values: Complex64) -> float:
    return float(np.square(np.abs(values)).sum())
