"""Search of the orientation of single bodies in the images, over all orientations.

The fit moves a body to the nearest orientation that explains the images. From a start that is 30
degrees off, it does not reach the right one. Here each body is taken out of the model in turn, and
every orientation is tried in what the images then show at its place.

The images enter only through a small field around the body: the correlation of what it must explain
with one ball, summed over the views. A body gains twice the field at its balls, and costs the
overlap of its balls with one another, both in squared pixels of all views.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from processing.fit.imager import Ints
from processing.fit.solve import sum_models
from processing.fit.view import Spheres, every
from processing.fit.view_model import ViewModel
from processing.parallel import slabs
from processing.series import Float32, Float64
from processing.shapes.bodies import Bodies
from processing.shapes.body import Body
from processing.shapes.orientations import spread_orientations
from processing.shapes.spline_sums import spline_sums

VIEWS_EVERY = 2
"""Interval between the views used: neighbouring tilts show a single body nearly alike."""
STEPS_PER_BALL = 4.0
"""Steps of the field over the diameter of a ball."""
TABLE_STEPS = 8
"""Steps of the table of overlaps over the diameter of a ball."""
REACH = 0.15
"""Largest shift of a body in the search along each axis, in widths."""
NEIGHBOURS, NEIGHBOURHOOD = 6, 2.5
"""Neighbours whose orientations are tried, too, and their largest distance in widths."""
REFINED = 4
"""Orientations that are refined by small changes."""
TRIES = 120
"""Small changes of place and orientation that are tried at a time."""
CHANGES = (1.0, 0.5, 0.25)
"""Size of the changes, one after another, in the largest ones."""
LARGE_SHIFT, LARGE_SPIN_DEG = 0.06, 7.0
"""Standard deviations of the largest changes: in widths, and degrees."""
POINTS_AT_A_TIME = 200_000
"""Places of the field that are looked up at a time, which bounds the memory."""


@dataclass(frozen=True, eq=False)
class _Grid:
    """Cube of places around a body: `half` steps of `step_nm` to each side along x, y and z."""

    half: int
    step_nm: float

    @property
    def offsets_nm(self) -> Float64:
        """Places [p, 3] from the centre, z fastest."""
        side = np.arange(-self.half, self.half + 1) * self.step_nm
        return np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1).reshape(-1, 3)

    def cube(self, values: Float32) -> Float64:
        """Return the spline coefficients [x, y, z] of values [p] at the places."""
        side = 2 * self.half + 1
        return np.asarray(ndimage.spline_filter(values.reshape(side, side, side), 3), np.float64)

    def sums(self, coefficients: Float64, places_nm: Float64) -> Float64:
        """Return the sums [n] of the values at places [n, each, 3]."""
        return spline_sums(coefficients, places_nm / self.step_nm + self.half)


def reoriented(models: Sequence[ViewModel], bodies: Bodies, body: Body, pool: Executor) -> Bodies:
    """Return the bodies at the places and orientations of least residual.

    Each is searched with all others as they are. A shift is at most `REACH` widths.

    Parameters
    ----------
    models
        Models of all balls of the bodies.
    """
    if not len(bodies):
        return bodies
    used = every(models, VIEWS_EVERY)
    reach_nm = float(np.linalg.norm(body.offsets_nm, axis=1).max()) + REACH * body.width_nm
    step_nm = body.ball_nm / STEPS_PER_BALL
    near = _Grid(int(np.ceil(reach_nm / step_nm)), step_nm)
    wide = _Grid(2 * near.half, step_nm)
    balls = body.balls_nm(bodies.centres_nm, bodies.turns)
    each = balls.shape[1]
    spheres = Spheres(balls.reshape(-1, 3), np.repeat(bodies.amplitudes, each))
    slots = [_body_slots(one, each) for one in used]
    fields = _fields(used, spheres, bodies.centres_nm, slots, near, pool)
    overlaps = _overlaps(used, wide)
    powers = np.concatenate(
        [
            np.take_along_axis(one.contrasts**2, slot, axis=1)
            for one, slot in zip(used, slots, strict=True)
        ]
    )
    in_slots, views = np.concatenate(slots), np.arange(len(powers))
    neighbours = _neighbours(bodies, body)
    spread = spread_orientations(body)

    def search(number: int) -> tuple[Float64, Float64]:
        overlap = wide.cube(powers[:, number] @ overlaps[views, in_slots[:, number]])
        own = balls[number] - bodies.centres_nm[number]
        shown = wide.sums(overlap, near.offsets_nm[:, None] - own)
        field = near.cube(fields[number] + shown * bodies.amplitudes[number])
        tried = [bodies.turns[[number, *neighbours[number]]], spread]
        site = _Site(body, near, wide, field, overlap)
        return site.best(Rotation.concatenate(tried), np.random.default_rng(number))

    shifts, quaternions = zip(*pool.map(search, range(len(bodies))), strict=True)
    return Bodies(
        bodies.centres_nm + np.array(shifts),
        Rotation.from_quat(np.array(quaternions)),
        bodies.amplitudes,
    )


@dataclass(frozen=True, eq=False)
class _Site:
    """Place of one body: what the images show there, and how the balls of a body overlap.

    Attributes
    ----------
    field, overlap
        Spline coefficients on `near` and on `wide`, for a body of amplitude 1.
    """

    body: Body
    near: _Grid
    wide: _Grid
    field: Float64
    overlap: Float64

    def residual(self, shifts_nm: Float64, turns: Rotation) -> Float64:
        """Return the residual energy [n] of shifts [n, 3] and orientations, less a constant."""
        balls = self.body.balls_nm(shifts_nm, turns)
        gain = self.near.sums(self.field, balls)
        first, other = np.triu_indices(balls.shape[1], 1)
        pairs = self.wide.sums(self.overlap, balls[:, first] - balls[:, other])
        return np.asarray(2 * pairs - 2 * gain, np.float64)

    def best(self, turns: Rotation, rng: np.random.Generator) -> tuple[Float64, Float64]:
        """Return the best shift [3] and orientation [4] from some; the first is always refined."""
        start = self.residual(np.zeros((len(turns), 3)), turns)
        refined = [0, *(1 + np.argsort(start[1:])[:REFINED]).tolist()]
        least, shift, turn = np.inf, np.zeros(3), turns[0]
        for number in refined:
            energy, at, turned = self._refined(turns[number], rng)
            if energy < least:
                least, shift, turn = energy, at, turned
        return shift, turn.as_quat()

    def _refined(self, turn: Rotation, rng: np.random.Generator) -> tuple[float, Float64, Rotation]:
        shift, energy = np.zeros(3), np.inf
        largest_nm = REACH * self.body.width_nm
        for size in CHANGES:
            shifts = size * LARGE_SHIFT * self.body.width_nm * rng.normal(size=(TRIES, 3))
            spins = size * np.deg2rad(LARGE_SPIN_DEG) * rng.normal(size=(TRIES, 3))
            shifts[0] = spins[0] = 0.0
            tried = Rotation.from_rotvec(spins) * turn
            moved = (shift + shifts).clip(-largest_nm, largest_nm)
            energies = self.residual(moved, tried)
            least = int(np.argmin(energies))
            energy, shift, turn = float(energies[least]), moved[least], tried[least]
        return energy, shift, turn


def _neighbours(bodies: Bodies, body: Body) -> list[list[int]]:
    """Return the numbers of the nearest neighbours of each body."""
    most = min(NEIGHBOURS + 1, len(bodies))
    if most < 2:
        return [[] for _ in range(len(bodies))]
    _, found = cKDTree(bodies.centres_nm).query(
        bodies.centres_nm,
        k=list(range(2, most + 1)),
        distance_upper_bound=NEIGHBOURHOOD * body.width_nm,
    )
    return [[number for number in row if number < len(bodies)] for row in found.tolist()]


def _fields(
    models: Sequence[ViewModel],
    spheres: Spheres,
    centres_nm: Float64,
    slots: Sequence[Ints],
    near: _Grid,
    pool: Executor,
) -> Float32:
    """Return the correlation [body, place] of the residual with a ball, summed over the views."""
    offsets = near.offsets_nm
    blocks = list(slabs(len(centres_nm), max(1, POINTS_AT_A_TIME // len(offsets))))

    def in_views(both: tuple[ViewModel, Ints]) -> Float32:
        model, slot = both
        views = model.views
        layers = model.adjoint(model.residual(spheres.weights))
        found = np.empty((len(centres_nm), len(offsets)), np.float32)
        for block in blocks:
            places = (centres_nm[block, None] + offsets).reshape(-1, 3)
            of_places = np.repeat(slot[:, block], len(offsets), axis=1)
            splines = views.imager.spread(
                views.project(places), views.imager.device.to_device(of_places)
            )
            found[block] = model.sum_over_views(splines.read(layers)).reshape(-1, len(offsets))
        return found

    return sum_models(pool, in_views, list(zip(models, slots, strict=True)))


def _body_slots(model: ViewModel, each: int) -> Ints:
    """Return the usual slot [view, body] of the balls of each body."""
    of_balls = np.asarray(model.views.imager.device.to_host(model.slot))
    return np.asarray(np.rint(of_balls.reshape(len(model), -1, each).mean(axis=2)), np.int64)


def _overlaps(models: Sequence[ViewModel], wide: _Grid) -> Float32:
    """Return the product [view, slot, place] of the images of two balls that lie so apart.

    Both balls have contrast 1.
    """
    tables: dict[int, tuple[Float64, Float64]] = {}
    found = []
    for model in models:
        views = model.views
        if views.series not in tables:
            tables[views.series] = _products(model, wide)
        steps, products = tables[views.series]
        apart_px = wide.offsets_nm @ np.swapaxes(views.axes[:, :2], 1, 2)
        distance_px = np.linalg.norm(apart_px, axis=2)
        found.append([[np.interp(one, steps, line) for line in products] for one in distance_px])
    return np.concatenate(found).astype(np.float32)


def _products(model: ViewModel, wide: _Grid) -> tuple[Float64, Float64]:
    """Return distances [step], pixels, and the products [slot, step] of two balls' images."""
    imager = model.views.imager
    put, to_host = imager.device.to_device, imager.device.to_host
    px_per_nm = float(np.linalg.norm(model.views.axes[0, 0]))
    largest_px = np.sqrt(3) * wide.half * wide.step_nm * px_per_nm
    steps = np.arange(0.0, 1.01 * largest_px + 1.0, imager.diameter_px / TABLE_STEPS)
    along = put(np.stack([0 * steps, steps], axis=1)[None])
    first = model.select(slice(0, 1))
    alone = replace(first, contrasts=np.ones_like(first.contrasts))
    products = np.empty((imager.slots, len(steps)))
    for slot in range(imager.slots):
        ball = imager.spread(put(np.zeros((1, 1, 2))), put(np.full((1, 1), slot)))
        image = alone.forward(ball.spread(put(np.ones(1, np.float32))))
        places = imager.spread(along, put(np.full((1, len(steps)), slot)))
        products[slot] = to_host(places.read(alone.adjoint(image)))
    return steps, products
