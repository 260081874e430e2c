"""Samples of input: series of assemblies and of other bodies, right, odd or spoilt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from processing import TiltSeries
from simulator.settings import Packing
from tests.wrong_inputs import bodies, spoil
from tests.wrong_inputs.bodies import Array, Body, D
from tests.wrong_inputs.record import ANGLES_DEG, USUAL, Sample, record, simulated
from tests.wrong_inputs.record import sample_of as of
from tests.wrong_inputs.spoil import Change

FCC, GRAINS, DISORDERED = Packing.FCC, Packing.MULTI_GRAIN, Packing.DISORDERED
HOLLOW = bodies.sites(DISORDERED, 44, 1.4)


def one_series(packing: Packing = DISORDERED, **how: object) -> Sample:
    return of(simulated(packing, **how))  # type: ignore[arg-type]


def two_series(packing: Packing = DISORDERED, **how: object) -> Sample:
    return of(simulated(packing, both=True, **how), both=True)  # type: ignore[arg-type]


def fine() -> Sample:
    return of(simulated(DISORDERED, 40.0, pixel_nm=0.6, field_px=88), pixel_nm=0.6)


def coarse(packing: Packing, step_deg: float) -> Sample:
    """Return a series with pixels of 1.2 nm, as in a quick session."""
    dual = simulated(packing, 66.0, step_deg, pixel_nm=1.2, field_px=72)
    return of(dual, pixel_nm=1.2)


def large(packing: Packing, step_deg: float) -> Sample:
    """Return an assembly that is large for the angular step."""
    dual = simulated(packing, 110.0, step_deg, pixel_nm=1.2, field_px=108)
    return of(dual, pixel_nm=1.2)


def of_body(body: Body, truth: Array | None = None, diameter_nm: float = D) -> Sample:
    return Sample((record(body),), truth, diameter_nm)


def with_changes(sample: Callable[[], Sample], *changes: Change) -> Callable[[], Sample]:
    def make() -> Sample:
        changed = sample()
        for change in changes:
            changed = change(changed)
        return changed

    return make


def _sites(packing: Packing = DISORDERED, nm: float = 40.0, spacing: float = 1.22) -> Array:
    return bodies.sites(packing, nm, spacing)


def placed(piece: Body, centres: Array, *, turned: bool = False) -> Body:
    turns = Rotation.random(len(centres), random_state=7) if turned else None
    return bodies.copies(piece, centres, turns)


def turned_copies(piece: Body, number: int, apart_nm: float, seed: int) -> Sample:
    """Return copies of a piece, each turned in another direction."""
    centres = bodies.scattered(number, 19, apart_nm, seed)
    return of_body(placed(piece, centres, turned=True))


def turned_copies_with_truth(piece: Body, number: int, apart_nm: float, seed: int) -> Sample:
    """Return the same with the centres: they are far apart, so their number is right."""
    sample = turned_copies(piece, number, apart_nm, seed)
    return replace(sample, truth_nm=bodies.scattered(number, 19, apart_nm, seed))


def one_series_of_fcc() -> Sample:
    return one_series(FCC)


def mixed(packing: Packing, places: Callable[[int], Array]) -> Sample:
    """Replace the images at some sections by those of another specimen."""
    return spoil.other_images(one_series(packing, seed=9), places)(one_series(packing))


def dense() -> Sample:
    return of_body(placed(bodies.ball(), _sites()) + bodies.ball(44, 0.25), _sites())


def core_and_shell() -> Sample:
    return of_body(placed(bodies.ball(7.5, 0.25) + bodies.ball(4.0, 0.9), HOLLOW), HOLLOW, 7.5)


def two_balls() -> Sample:
    return of_body(bodies.ball(28) + bodies.ball(12).moved(22, 0, 0))


def two_sizes(small_nm: float, large_nm: float, every: int) -> Sample:
    """Every second or third sphere is large; the spacing suits the large ones."""
    centres = _sites(nm=44, spacing=1.22 * large_nm / D)
    large = np.arange(len(centres)) % every == 0
    body = placed(bodies.ball(large_nm), centres[large]) + placed(
        bodies.ball(small_nm), centres[~large]
    )
    return of_body(body, centres, small_nm)


def sizes_in_turn(*diameters_nm: float) -> Sample:
    """The diameters take turns from particle to particle; the spacing suits the largest."""
    centres = _sites(nm=44, spacing=1.22 * max(diameters_nm) / D)
    turn = np.arange(len(centres)) % len(diameters_nm)
    pieces = [
        placed(bodies.ball(diameter_nm), centres[turn == kind])
        for kind, diameter_nm in enumerate(diameters_nm)
    ]
    body = pieces[0]
    for piece in pieces[1:]:
        body = body + piece
    return of_body(body, centres, min(diameters_nm))


def two_assemblies(apart_nm: float) -> Sample:
    half = np.array([apart_nm / 2, 0, 0])
    first, second = _sites(nm=30) - half, _sites(FCC, nm=30) + half
    centres = np.vstack([first, second])
    return of_body(placed(bodies.ball(), centres), centres)


def in_contact(packing: Packing) -> Sample:
    """Return two assemblies in contact; only the larger one is a right count."""
    first, second = _sites(packing, nm=30), _sites(packing, nm=24)
    along = np.array([0.3, 1.0, 0.2]) / np.linalg.norm([0.3, 1.0, 0.2])
    far = next(far for far in np.arange(60, 0, -0.1) if _nearest(first, second + far * along) < 7.7)
    return of_body(placed(bodies.ball(), np.vstack([first, second + far * along])), first)


def _nearest(first: Array, second: Array) -> float:
    return float(np.linalg.norm(first[:, None] - second[None], axis=2).min())


def close_strays(packing: Packing) -> Sample:
    """Return loose particles that a chain of contacts does not join to the assembly."""
    centres = _sites(packing, nm=34)
    beside = np.array([[23, 6, -15], [-8, 25, 9], [4, -26, 12], [-23, -9, -14]], np.float64)
    return of_body(placed(bodies.ball(), np.vstack([centres, beside])), centres)


def strays() -> Sample:
    centres = _sites(nm=34)
    rng = np.random.default_rng(8)
    # evenly around it: hard spheres do not overlap
    angle, far = np.arange(14) * 2 * np.pi / 14, rng.uniform(22, 30, 14)
    beside = np.stack([far * np.cos(angle), far * np.sin(angle), np.full(14, 15.0)], axis=1)
    everything = np.vstack([centres, beside])
    return of_body(placed(bodies.ball(), everything), everything)


def noise(level: float) -> Sample:
    rng = np.random.default_rng(9)
    images = rng.poisson(level, (36, 68, 68)).astype(np.float32)
    return Sample((TiltSeries(images, ANGLES_DEG.copy(), 0.9),), None)


def smooth_noise() -> Sample:
    return spoil.images(spoil.blurred(2.5))(noise(200.0))


def gradient_alone() -> Sample:
    return spoil.images(lambda stack: stack + np.linspace(0, 50, 68, dtype="f4"))(noise(20.0))


def same_image() -> Sample:
    sample = one_series()
    rng = np.random.default_rng(1)
    middle = sample.series[0].images[18]
    images = middle + rng.normal(0, 8, sample.series[0].images.shape)
    return Sample((replace(sample.series[0], images=images.astype(np.float32)),), None)


def b_from(other: Callable[[], Sample]) -> Sample:
    first, second = two_series(), other()
    return Sample((first.series[0], replace(second.series[-1], name="B")), None)


def cropped() -> Sample:
    return without_truth(one_series(assembly_nm=72.0))


def mirrored(sample: Sample) -> Sample:
    series = tuple(replace(one, images=one.images[:, :, ::-1].copy()) for one in sample.series)
    assert sample.truth_nm is not None
    return replace(sample, series=series, truth_nm=sample.truth_nm * [-1, 1, 1])


def without_truth(sample: Sample) -> Sample:
    return replace(sample, truth_nm=None)


def jumping(sample: Sample) -> Sample:
    rng = np.random.default_rng(5)
    return spoil.images(
        lambda stack: np.stack([np.roll(i, rng.integers(-9, 10, 2), (0, 1)) for i in stack])
    )(sample)


def giant() -> Sample:
    centres = _sites(nm=44)
    centres = centres[np.linalg.norm(centres - [6, 0, 0], axis=1) > 14]
    body = placed(bodies.ball(), centres)
    return of_body(body + bodies.ball(20).moved(6, 0, 0))


def tiny() -> Sample:
    centres = _sites(nm=60) * 2.0 / D
    return Sample((record(placed(bodies.ball(2.0), centres)),), centres, 2.0)


def rods_twice() -> Sample:
    body = placed(bodies.rod(18, 5.4), bodies.scattered(9, 17, 12, 1), turned=True)
    turn = Rotation.from_euler("z", 37, degrees=True).as_matrix() @ np.diag([1.0, -1, -1])
    flipped = Body(body.points_nm @ turn.T, body.gold_nm3)
    a, b = record(body), record(flipped, replace(USUAL, seed=1))
    return Sample((a, replace(b, name="B")), None)
