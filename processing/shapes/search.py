"""Search of a volume for bodies: a matched filter over all orientations.

The volume and the body are limited to the band in which single bodies show. In each voxel the
filter keeps the orientation whose body fits best. The best bodies that do not overlap are taken,
their places and orientations are improved, and they are subtracted before the next search.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.spatial.transform import Rotation

from processing.compiled import compiled
from processing.parallel import over_blocks, worker_threads
from processing.progress import Progress, silent
from processing.reconstruct.convolution import ball_form_factor, ball_volume
from processing.series import Float32, Float64
from processing.shapes.bodies import NO_BODIES, Bodies, without_overlaps
from processing.shapes.body import Body
from processing.shapes.orientations import spread_orientations

VOXELS_PER_BALL = 6.5
"""Voxels over the diameter of a ball to which a finer volume is reduced."""
FINE, COARSE = 0.13, 0.18
"""Sigmas of the band, in widths of the body: with a coarser one, cubes are turned wrongly."""
NEAR_WIDTHS, AROUND_WIDTHS = 1.0, 5.0
"""Sides of the cubes, in widths, in which material shows and in which the usual contrast is read.
"""
LEAST_CONTRAST = 0.1
"""Smallest contrast of material, in those of the clearest. Weaker one is not raised further."""
LEAST_SCORES = (0.5, 0.3, 0.25)
"""Smallest score of a body in one search after another, in scores of a typical one."""
SLAB = 8
"""Planes that are searched at a time: they fit the cache."""
TRIES = 160
"""Small changes of place and orientation that are tried at a time."""
LARGE_STEP, LARGE_SPIN_DEG = 0.15, 9.0
"""Standard deviations of the largest changes along and about each axis: in widths, and degrees."""


@dataclass(frozen=True, eq=False)
class Search:
    """Volume in which bodies are searched, in voxels that suit them.

    Attributes
    ----------
    spectrum
        Spectrum of the padded volume [kz, ky, kx], limited to the band, of even contrast.
    ball
        Transform of a ball of mass 1 in the band, [kz, ky, kx].
    turns
        Orientations that are searched.
    """

    body: Body
    shape: tuple[int, ...]
    padded: tuple[int, ...]
    pixel_nm: float
    spectrum: np.ndarray
    ball: Float32
    turns: Rotation

    @property
    def middle(self) -> Float64:
        """Index (z, y, x) of the volume's centre."""
        return (np.array(self.shape) - 1) / 2

    @cached_property
    def norm(self) -> float:
        """Squared norm of a body of amplitude 1 within the band."""
        offsets = self.body.offsets_nm / self.pixel_nm
        k = _frequencies(self.padded)
        phases = np.zeros(self.ball.shape, np.complex64)
        for z, y, x in offsets[:, ::-1]:
            phases += np.exp(-1j * k[0] * z) * (np.exp(-1j * k[1] * y) * np.exp(-1j * k[2] * x))
        power = np.abs(phases * self.ball) ** 2
        return float(fft.irfftn(power, self.padded)[0, 0, 0]) / len(offsets) ** 2


def prepare_search(volume: Float32, pixel_nm: float, body: Body) -> Search:
    """Reduce a volume [z, y, x] to voxels that suit the body, and limit it to its band."""
    factor = min(1.0, pixel_nm * VOXELS_PER_BALL / body.ball_nm)
    if factor < 0.9:
        sigma = 0.4 / factor
        volume = ndimage.zoom(ndimage.gaussian_filter(volume, sigma), factor, order=1)
        pixel_nm /= factor
    margin = int(np.ceil(2 * body.radius_nm / pixel_nm)) + 2
    padded = tuple(fft.next_fast_len(n + margin, real=True) for n in volume.shape)
    k = _frequencies(padded)
    square = k[0] ** 2 + k[1] ** 2 + k[2] ** 2
    width_px = body.width_nm / pixel_nm
    band = np.exp(-square * (FINE * width_px) ** 2 / 2)
    band = band - np.exp(-square * (COARSE * width_px) ** 2 / 2)
    ball_px = body.ball_nm / pixel_nm
    ball = ball_form_factor(np.sqrt(square), ball_px) / ball_volume(ball_px) * band
    spectrum = fft.rfftn(volume, padded, workers=worker_threads()) * band
    inside = tuple(slice(n) for n in volume.shape)
    details = fft.irfftn(spectrum, padded, workers=worker_threads())[inside].astype(np.float32)
    details = evened(details, width_px)
    spectrum = fft.rfftn(details, padded, workers=worker_threads())
    return Search(
        body,
        volume.shape,
        padded,
        pixel_nm,
        spectrum.astype(np.complex64),
        np.asarray(ball, np.float32),
        spread_orientations(body),
    )


def evened(details: Float32, width_px: float) -> Float32:
    """Return details [z, y, x] of a volume with the same contrast throughout the material.

    The beam's blur weakens bodies on the exit side. Without this step they would have less than the
    smallest score.
    """
    energy = details * details
    near, around = (2 * round(side * width_px / 2) + 1 for side in (NEAR_WIDTHS, AROUND_WIDTHS))
    beside = ndimage.uniform_filter(energy, near)
    least = LEAST_CONTRAST**2 * float(np.quantile(beside[::2, ::2, ::2], 0.99))
    material = (beside > least).astype(np.float32)
    usual = ndimage.uniform_filter(energy * material, around)
    usual /= np.maximum(ndimage.uniform_filter(material, around), np.float32(1e-3))
    lowest = np.float32(max(least, 1e-30))  # an empty volume has no contrast
    return np.asarray(details / np.sqrt(np.maximum(usual, lowest)), np.float32)


def _frequencies(padded: tuple[int, ...]) -> tuple[Float32, ...]:
    z, y = (2 * np.pi * np.fft.fftfreq(n) for n in padded[:2])
    x = 2 * np.pi * np.fft.rfftfreq(padded[2])
    return (
        z[:, None, None].astype(np.float32),
        y[None, :, None].astype(np.float32),
        x[None, None, :].astype(np.float32),
    )


def search_volume(
    search: Search, known: Bodies = NO_BODIES, *, progress: Progress = silent
) -> tuple[Bodies, Float32]:
    """Find bodies beside the known ones; return all, and the best score in each voxel."""
    found, first_scores = known, None
    if len(known):
        found = Bodies(known.centres_nm, known.turns, _amplitudes(search, known))
    searches = len(LEAST_SCORES)
    for number, least in enumerate(LEAST_SCORES):
        rest = search.spectrum - _spectrum_of(search, found) if len(found) else search.spectrum
        scores, best = _best_scores(search, rest)
        if first_scores is None:
            first_scores = scores
        typical = float(np.median(found.amplitudes)) if len(found) else 0.0
        more = _peaks(search, scores, best, least, typical)
        progress("body search", (number + 0.6) / searches)
        if not len(more):
            continue
        more = improve_in_volume(search, rest, more)
        found = without_overlaps(search.body, found.followed_by(more), kept=len(known))
        own = _amplitudes(search, found)
        found = Bodies(found.centres_nm, found.turns, own)
        progress("body search", (number + 1) / searches)
    typical = float(np.median(found.amplitudes)) if len(found) else 1.0
    scaled = Bodies(found.centres_nm, found.turns, found.amplitudes / max(typical, 1e-30))
    assert first_scores is not None
    return scaled, first_scores


def _field(search: Search, rest: np.ndarray) -> Float32:
    """Return the correlation [z, y, x] of what is left of the volume with one ball."""
    inside = tuple(slice(n) for n in search.shape)
    field = fft.irfftn(rest * search.ball, search.padded, workers=worker_threads())
    return np.asarray(field[inside], np.float32)


def _best_scores(search: Search, rest: np.ndarray) -> tuple[Float32, np.ndarray]:
    """Return the amplitude of the best orientation in each voxel, and the orientation's number.

    The balls are looked up in the nearest voxels, which is fast; places are improved later.
    """
    field = _field(search, rest) / np.float32(search.norm)
    turns = search.turns.as_matrix()
    offsets = np.einsum("oij,kj->oki", turns, search.body.offsets_nm)[..., ::-1] / search.pixel_nm
    shifts = np.rint(offsets).astype(int)
    margin = int(np.abs(shifts).max())
    wide = np.pad(field, margin)
    highest = np.empty(search.shape, np.float32)
    which = np.empty(search.shape, np.int32)

    def in_slab(slab: slice) -> None:
        _highest_sums(highest[slab], which[slab], wide[slab.start :], shifts + margin)

    over_blocks(in_slab, search.shape[0], SLAB)
    return highest / np.float32(len(search.body.offsets_nm)), which


@compiled
def _highest_sums(
    highest: Float32, which: NDArray[np.int32], wide: Float32, shifts: NDArray[np.intp]
) -> None:
    """Find the orientation of the highest sum at its balls, for each voxel.

    A row of sums stays in the cache over all balls of an orientation.
    """
    slices, rows, columns = highest.shape
    total = np.empty(columns, np.float32)
    for z in range(slices):
        for y in range(rows):
            best, number = highest[z, y], which[z, y]
            best[:] = -np.inf
            for orientation in range(shifts.shape[0]):
                total[:] = 0
                for ball in range(shifts.shape[1]):
                    to_z, to_y, to_x = shifts[orientation, ball]
                    line = wide[z + to_z, y + to_y, to_x : to_x + columns]
                    for x in range(columns):
                        total[x] += line[x]
                for x in range(columns):
                    if total[x] > best[x]:
                        best[x] = total[x]
                        number[x] = orientation


def _peaks(
    search: Search, scores: Float32, best: np.ndarray, least: float, typical: float
) -> Bodies:
    """Return the highest peaks of the scores that do not overlap.

    They have at least the score `least`, in those of a typical body; 0 for an unknown typical one.
    """
    size = 2 * max(1, round(0.25 * search.body.width_nm / search.pixel_nm)) + 1
    peaks = np.argwhere((scores == ndimage.maximum_filter(scores, size)) & (scores > 0))
    heights = scores[tuple(peaks.T)].astype(np.float64)
    if not len(heights):
        return NO_BODIES
    reference = typical or _typical_height(search, heights)
    kept = heights > least * reference
    peaks, heights = peaks[kept], heights[kept]
    turns = search.turns[best[tuple(peaks.T)]]
    centres_nm = ((peaks - search.middle) * search.pixel_nm)[:, ::-1]
    return without_overlaps(search.body, Bodies(centres_nm, turns, heights))


def _typical_height(search: Search, heights: Float64) -> float:
    """Return the median of the heights above half of it, from the highest ones on."""
    reference = float(np.quantile(heights, 0.995))
    for _ in range(30):
        median = float(np.median(heights[heights >= reference / 2]))
        if median == reference:
            break
        reference = median
    return reference


def improve_in_volume(search: Search, rest: np.ndarray, bodies: Bodies) -> Bodies:
    """Improve places and orientations by small random changes, in the volume without the others."""
    field = ndimage.spline_filter(_field(search, rest), order=2)
    rng = np.random.default_rng(0)
    centres_nm, quaternions = bodies.centres_nm.copy(), bodies.turns.as_quat()
    for size in (1.0, 0.5, 0.25):
        steps = size * LARGE_STEP * search.body.width_nm * rng.normal(size=(TRIES, 3))
        spins = size * np.deg2rad(LARGE_SPIN_DEG) * rng.normal(size=(TRIES, 3))
        steps[0] = spins[0] = 0.0
        spun = Rotation.from_rotvec(spins)
        for index in range(len(bodies)):
            tried = spun * Rotation.from_quat(quaternions[index])
            balls = search.body.balls_nm(centres_nm[index] + steps, tried)
            places = (balls[..., ::-1] / search.pixel_nm + search.middle).reshape(-1, 3).T
            values = ndimage.map_coordinates(field, places, order=2, prefilter=False)
            best = int(np.argmax(values.reshape(TRIES, -1).sum(axis=1)))
            centres_nm[index] += steps[best]
            quaternions[index] = tried[best].as_quat()
    return Bodies(centres_nm, Rotation.from_quat(quaternions), bodies.amplitudes)


def _spectrum_of(search: Search, bodies: Bodies) -> np.ndarray:
    """Return the spectrum of bodies with their amplitudes, within the band."""
    balls = search.body.balls_nm(bodies.centres_nm, bodies.turns)
    each = balls.shape[1]
    places = (balls[..., ::-1] / search.pixel_nm + search.middle).reshape(-1, 3)
    weights = np.repeat(bodies.amplitudes / each, each)
    drawn = np.zeros(search.padded, np.float32)
    whole = np.floor(places).astype(int)
    part = places - whole
    last = np.array(search.padded)
    for corner in np.ndindex(2, 2, 2):
        at = (whole + corner) % last
        share = np.where(np.array(corner), part, 1 - part).prod(axis=1)
        np.add.at(drawn, tuple(at.T), (share * weights).astype(np.float32))
    drawn_spectrum = fft.rfftn(drawn, workers=worker_threads())
    return np.asarray(drawn_spectrum * search.ball, np.complex64)


def _amplitudes(search: Search, bodies: Bodies, steps: int = 5) -> Float64:
    """Return the amplitudes of bodies that explain the volume, by projected descent."""
    balls = search.body.balls_nm(bodies.centres_nm, bodies.turns)
    each = balls.shape[1]
    places = (balls[..., ::-1] / search.pixel_nm + search.middle).reshape(-1, 3).T
    now = np.zeros(len(bodies))
    for _ in range(steps):
        rest = search.spectrum - _spectrum_of(search, Bodies(bodies.centres_nm, bodies.turns, now))
        values = ndimage.map_coordinates(_field(search, rest), places, order=1, mode="nearest")
        now = np.maximum(now + 0.6 * values.reshape(-1, each).mean(axis=1) / search.norm, 0.0)
    return now
