"""Do images show the flipped object, or the same side up, or another one?

Each hypothesis has a pose of three angles: the unknown one in the plane, at which the grid was put
back, and the holder's seat, off by a degree or two about two axes. Under a pose, series A tells
what B must show at any tilt (see :mod:`processing.images.views`); the best pose of each hypothesis
is found and its views are compared with B's images at the particles' scale, where even round,
ordered assemblies tell their sides apart. At 0 degrees alone an ordered one seen along a direction
of symmetry would look the same from behind: hence images at +t and -t as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft, optimize
from scipy.spatial.transform import Rotation

from processing.images.views import (
    FINEST_PER_NM,
    Complex64,
    Outlined,
    TiltedViews,
    outlined,
    spectrum,
)
from processing.series import Float64

FLIP = np.diag([1.0, -1.0, -1.0])
"""Half a turn about x: the grid put back upside-down."""

FINE_NM, COARSE_NM = 0.9, 3.6
"""Standard deviations of the Gaussians that bound the band of the particles."""
FAINTEST = 0.12
"""Of the band's highest weight: frequencies with less are left out."""
SEAT_DEG, SEAT_STEP_DEG = 5.0, 1.5
"""How far off the holder may seat the grid, and how finely that is searched."""
RINGS_PER_NM = np.linspace(0.08, 0.2, 24)
RING_DEG = 1.0
"""Rings of the spectrum on which in-plane angles are looked for, and how finely."""
ANGLES_A_SEAT, CANDIDATES, REFINED = 12, 24, 3
"""In-plane angles taken from each seat, poses compared in full, and those refined."""
APART_DEG = 10.0
"""In the plane: a runner-up of the same hypothesis is at least so far from the best."""
REACH_NM = 8.0
"""How far the centres of mass of two views may be apart."""
LAGS = 64
"""Shifts an axis at which two views are compared."""
LARGEST_SCALING = 0.15


class FlipPose(NamedTuple):
    """p_B = scale Rz(in_plane) . Rseat . (F or 1) . p_A."""

    in_plane_deg: float
    seat_x_deg: float
    seat_y_deg: float
    scale: float

    def matrix(self, base: Float64) -> Float64:
        """[3, 3]: its first two rows say where a point of A shows in B at 0 degrees."""
        seat = Rotation.from_euler("xy", [self.seat_x_deg, self.seat_y_deg], degrees=True)
        turn = Rotation.from_euler("z", self.in_plane_deg, degrees=True)
        return np.asarray((turn * seat).as_matrix() @ base)

    @property
    def seat_deg(self) -> float:
        """Tilt of the seat, without its direction."""
        return float(np.hypot(self.seat_x_deg, self.seat_y_deg))

    def like(self, other: FlipPose) -> bool:
        """Tell whether refinement could lead from one to the other."""
        seats = np.hypot(self.seat_x_deg - other.seat_x_deg, self.seat_y_deg - other.seat_y_deg)
        return self.turned_deg(other) < 2 * RING_DEG and bool(seats < 1.5 * SEAT_STEP_DEG)

    def turned_deg(self, other: FlipPose) -> float:
        """How far apart two poses are in the plane."""
        return abs((self.in_plane_deg - other.in_plane_deg + 180) % 360 - 180)


class Likeness(NamedTuple):
    """A pose, and how well A's views under it fit B's images: normalised correlation, -1..1."""

    score: float
    pose: FlipPose


@dataclass(frozen=True)
class FlipMatch:
    """How well images fit either hypothesis.

    Attributes
    ----------
    flipped, same
        Best pose of either.
    runner_up
        Best pose beside the better hypothesis' own: of the other one, or at another angle.
    offset_nm
        (y, x) of B's object at the first tilt, from the image's centre.
    mass_ratio
        Signal of the object at 0 degrees in B over that in A, dwell and current being equal.
    """

    flipped: Likeness
    same: Likeness
    runner_up: Likeness
    offset_nm: tuple[float, float]
    mass_ratio: float

    @property
    def better(self) -> Likeness:
        return max(self.flipped, self.same)


def match_flip(
    views: TiltedViews,
    images_b: Sequence[NDArray[np.generic]],
    tilts_b_deg: Sequence[float],
    pixel_nm: float,
) -> FlipMatch:
    """Compare images of B with what series A lets expect of them.

    Parameters
    ----------
    views
        Of series A.
    images_b
        [y, x] each, the first at 0 degrees, the others at some tilts.
    tilts_b_deg
        Their tilts.
    pixel_nm
        Of B's images.

    Raises
    ------
    ProcessingError
        An image is too small, or holds nothing but one value.
    """
    seen = [outlined(image, pixel_nm) for image in images_b]
    images = [_Seen(one, tilt, views) for one, tilt in zip(seen, tilts_b_deg, strict=True)]
    size = float(np.sqrt(seen[0].area_px / views.flattest.area_px))
    size *= seen[0].pixel_nm / views.flattest.pixel_nm
    size = float(np.clip(size, 1 - LARGEST_SCALING, 1 + LARGEST_SCALING))
    with ThreadPoolExecutor() as pool:
        flipped, same = pool.map(
            lambda base: _best_poses(views, images, base, size), (FLIP, np.eye(3))
        )
    best, other = (flipped, same) if flipped[0] > same[0] else (same, flipped)
    apart = [one for one in best[1:] if one.pose.turned_deg(best[0].pose) > APART_DEG]
    y, x = seen[0].centre_px * seen[0].pixel_nm
    return FlipMatch(
        flipped=flipped[0],
        same=same[0],
        runner_up=max(other[0], *apart) if apart else other[0],
        offset_nm=(float(y), float(x)),
        mass_ratio=seen[0].mass / views.flattest.mass,
    )


class _Seen:
    """One image of B, ready to be compared with A's views."""

    def __init__(self, seen: Outlined, tilt_deg: float, views: TiltedViews) -> None:
        self.spectrum = spectrum(seen, views.side_nm)
        t = np.deg2rad(tilt_deg)
        self._across = np.array([np.cos(t), 0.0, np.sin(t)])
        # half of the frequencies tell all, and not finer than the object's size
        step = 1 / views.side_nm
        reach = int(FINEST_PER_NM / step)
        lines = np.arange(-reach, reach + 1)
        kv, ku = (axis.ravel() for axis in np.meshgrid(lines, lines, indexing="ij"))
        band = _band(step * np.hypot(ku, kv))
        kept = (band > FAINTEST * band.max()) & ((kv > 0) | ((kv == 0) & (ku > 0)))
        self._places = (kv[kept] % LAGS, ku[kept] % LAGS)
        self._u, self._v, self._band = step * ku[kept], step * kv[kept], band[kept]
        self._values = _flattened(self.spectrum.at(self._u, self._v), self._band)
        lags_nm = np.fft.fftfreq(LAGS) / step
        self._near = np.ix_(np.abs(lags_nm) <= REACH_NM, np.abs(lags_nm) <= REACH_NM)

    def products(self, views: TiltedViews, matrix: Float64, scale: float) -> Float64:
        """Correlation with A's view under a pose, at the best shift, and both energies."""
        frequencies = np.outer(self._across @ matrix, self._u) + np.outer(matrix[1], self._v)
        expected, known = views.at(scale * frequencies)
        expected = _flattened(expected, self._band) * known
        values = self._values * known
        cross = np.zeros((LAGS, LAGS), np.complex64)
        np.add.at(cross, self._places, expected.conj() * values)
        heights = fft.ifft2(cross).real[self._near] * cross.size
        return np.array([heights.max(), _energy(expected), _energy(values)])


def _best_poses(
    views: TiltedViews, images: Sequence[_Seen], base: Float64, size: float
) -> list[Likeness]:
    """Poses of one hypothesis, best first; those most alike B are refined."""

    def score(pose: FlipPose) -> float:
        matrix = pose.matrix(base)
        products = [one.products(views, matrix, pose.scale) for one in images]
        fits, expected, found = np.sum(products, axis=0)
        return float(fits / max(expected * found, 1e-30) ** 0.5)

    rough = sorted(
        (Likeness(score(pose), pose) for pose in _candidates(views, images[0], base, size)),
        reverse=True,
    )
    fine = [_refined(score, one.pose) for one in rough[:REFINED]]
    return sorted([*fine, *rough[REFINED:]], reverse=True)


def _candidates(views: TiltedViews, image: _Seen, base: Float64, size: float) -> list[FlipPose]:
    """Poses under which the moduli of the spectra agree at 0 degrees, likeliest first.

    The modulus does not depend on the shift, and the in-plane angle shifts it along the rings.
    """
    seats = np.arange(-SEAT_DEG, SEAT_DEG + SEAT_STEP_DEG, SEAT_STEP_DEG)
    seats -= seats.mean()
    angles = np.deg2rad(np.arange(0, 360, RING_DEG))
    ku = np.outer(RINGS_PER_NM, np.cos(angles)).ravel()
    kv = np.outer(RINGS_PER_NM, np.sin(angles)).ravel()
    found = _rings(image.spectrum.at(ku, kv))
    poses: list[tuple[float, FlipPose]] = []
    for x, y in np.stack(np.meshgrid(seats, seats), axis=-1).reshape(-1, 2):
        if np.hypot(x, y) > SEAT_DEG + 0.1:
            continue
        seated = FlipPose(0.0, float(x), float(y), size)
        u, v = seated.matrix(base)[:2]
        expected = _rings(views.at(size * (np.outer(u, ku) + np.outer(v, kv)))[0])
        agreement = fft.irfft((found * expected.conj()).sum(axis=0), len(angles))
        for turn in np.argsort(agreement)[::-1][:ANGLES_A_SEAT]:
            pose = seated._replace(in_plane_deg=float(turn * RING_DEG))
            poses.append((float(agreement[turn]), pose))
    kept: list[FlipPose] = []
    for _, pose in sorted(poses, reverse=True):
        if not any(pose.like(other) for other in kept):
            kept.append(pose)
        if len(kept) == CANDIDATES:
            break
    return kept


def _rings(values: Complex64) -> Complex64:
    """Fourier series along each ring of the root of the modulus, [ring, order]."""
    moduli = np.sqrt(np.abs(values)).reshape(len(RINGS_PER_NM), -1)
    moduli = moduli - moduli.mean(axis=1, keepdims=True)
    moduli /= np.sqrt(np.square(moduli).mean()) + 1e-30
    return np.asarray(fft.rfft(moduli, axis=1), np.complex64)


def _refined(score: Callable[[FlipPose], float], start: FlipPose) -> Likeness:
    """Climb from a pose; a seat beyond `SEAT_DEG` pays for it."""

    def cost(values: Float64) -> float:
        pose = FlipPose(*values)
        return 0.05 * max(0.0, pose.seat_deg - SEAT_DEG) - score(pose)

    steps = np.diag([1.0, 1.0, 1.0, 0.01])
    found = optimize.minimize(
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
    return Likeness(score(pose), pose)


def _band(k_per_nm: Float64) -> Float64:
    fine, coarse = (np.exp(-2 * (np.pi * sigma * k_per_nm) ** 2) for sigma in (FINE_NM, COARSE_NM))
    return np.asarray(fine - coarse)


def _flattened(values: Complex64, band: Float64) -> Complex64:
    """Divide a spectrum by about the root of its modulus.

    An ordered assembly is a few strong peaks, and those look the same from behind; what tells the
    sides apart is what is left of the spectrum.
    """
    weighted = values * band
    modulus = np.abs(weighted)
    return np.asarray(weighted / np.sqrt(modulus + np.median(modulus) + 1e-30), np.complex64)


def _energy(values: Complex64) -> float:
    return float(np.square(np.abs(values)).sum())
