"""The kinds of input: right ones, odd ones, and ones of which no count is right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from processing import TiltSeries
from simulator.settings import Packing
from tests.wrong_inputs import bodies, spoil
from tests.wrong_inputs.bodies import Array, Body, D
from tests.wrong_inputs.record import ANGLES_DEG, USUAL, Recording, Sample, record, simulated
from tests.wrong_inputs.record import sample_of as of
from tests.wrong_inputs.spoil import Change

FCC, GRAINS, DISORDERED = Packing.FCC, Packing.MULTI_GRAIN, Packing.DISORDERED


@dataclass(frozen=True)
class Kind:
    """One kind of input. `good` inputs must be trusted; no other has to be."""

    name: str
    make: Callable[[], Sample]
    good: bool = False


def _good(packing: Packing = DISORDERED, **how: object) -> Sample:
    return of(simulated(packing, **how))  # type: ignore[arg-type]


def _dual(packing: Packing = DISORDERED, **how: object) -> Sample:
    return of(simulated(packing, both=True, **how), both=True)  # type: ignore[arg-type]


def _fine() -> Sample:
    return of(simulated(DISORDERED, 40.0, pixel_nm=0.6, field_px=88), pixel_nm=0.6)


def _coarse(packing: Packing, step_deg: float) -> Sample:
    """Return a series with pixels of 1.2 nm, as in a quick session."""
    dual = simulated(packing, 66.0, step_deg, pixel_nm=1.2, field_px=72)
    return of(dual, pixel_nm=1.2)


def _large(packing: Packing, step_deg: float) -> Sample:
    """Return an assembly that is large for the angular step."""
    dual = simulated(packing, 110.0, step_deg, pixel_nm=1.2, field_px=108)
    return of(dual, pixel_nm=1.2)


def _body(body: Body, truth: Array | None = None, diameter_nm: float = D) -> Sample:
    return Sample((record(body),), truth, diameter_nm)


def _recorded(body: Body, how: Recording, truth: Array | None = None) -> Sample:
    return Sample((record(body, how),), truth)


def _with(sample: Callable[[], Sample], *changes: Change) -> Callable[[], Sample]:
    def make() -> Sample:
        changed = sample()
        for change in changes:
            changed = change(changed)
        return changed

    return make


def _sites(packing: Packing = DISORDERED, nm: float = 40.0, spacing: float = 1.22) -> Array:
    return bodies.sites(packing, nm, spacing)


def _placed(piece: Body, centres: Array, *, turned: bool = False) -> Body:
    turns = Rotation.random(len(centres), random_state=7) if turned else None
    return bodies.copies(piece, centres, turns)


def _turned(piece: Body, number: int, apart_nm: float, seed: int) -> Sample:
    """Return copies of a piece, each turned in another direction."""
    centres = bodies.scattered(number, 19, apart_nm, seed)
    return _body(_placed(piece, centres, turned=True))


def _turned_with_truth(piece: Body, number: int, apart_nm: float, seed: int) -> Sample:
    """Return the same with the centres: they are far apart, so their number is right."""
    sample = _turned(piece, number, apart_nm, seed)
    return replace(sample, truth_nm=bodies.scattered(number, 19, apart_nm, seed))


def _fcc() -> Sample:
    return _good(FCC)


def _mixed(packing: Packing, places: Callable[[int], Array]) -> Sample:
    """Replace the images at some sections by those of another specimen."""
    return spoil.other_images(_good(packing, seed=9), places)(_good(packing))


def _dense() -> Sample:
    return _body(_placed(bodies.ball(), _sites()) + bodies.ball(44, 0.25), _sites())


def _core_and_shell() -> Sample:
    return _body(_placed(bodies.ball(7.5, 0.25) + bodies.ball(4.0, 0.9), HOLLOW), HOLLOW, 7.5)


def _two_balls() -> Sample:
    return _body(bodies.ball(28) + bodies.ball(12).moved(22, 0, 0))


def _two_sizes(small_nm: float, large_nm: float, every: int) -> Sample:
    """Every second or third sphere is large; the spacing suits the large ones."""
    centres = _sites(nm=44, spacing=1.22 * large_nm / D)
    large = np.arange(len(centres)) % every == 0
    body = _placed(bodies.ball(large_nm), centres[large]) + _placed(
        bodies.ball(small_nm), centres[~large]
    )
    return _body(body, centres, small_nm)


def _sizes(*diameters_nm: float) -> Sample:
    """The diameters take turns from particle to particle; the spacing suits the largest."""
    centres = _sites(nm=44, spacing=1.22 * max(diameters_nm) / D)
    turn = np.arange(len(centres)) % len(diameters_nm)
    pieces = [
        _placed(bodies.ball(diameter_nm), centres[turn == kind])
        for kind, diameter_nm in enumerate(diameters_nm)
    ]
    body = pieces[0]
    for piece in pieces[1:]:
        body = body + piece
    return _body(body, centres, min(diameters_nm))


def _two_assemblies(apart_nm: float) -> Sample:
    half = np.array([apart_nm / 2, 0, 0])
    first, second = _sites(nm=30) - half, _sites(FCC, nm=30) + half
    centres = np.vstack([first, second])
    return _body(_placed(bodies.ball(), centres), centres)


def _in_contact(packing: Packing) -> Sample:
    """Return two assemblies in contact; only the larger one is a right count."""
    first, second = _sites(packing, nm=30), _sites(packing, nm=24)
    along = np.array([0.3, 1.0, 0.2]) / np.linalg.norm([0.3, 1.0, 0.2])
    far = next(far for far in np.arange(60, 0, -0.1) if _nearest(first, second + far * along) < 7.7)
    return _body(_placed(bodies.ball(), np.vstack([first, second + far * along])), first)


def _nearest(first: Array, second: Array) -> float:
    return float(np.linalg.norm(first[:, None] - second[None], axis=2).min())


def _close_strays(packing: Packing) -> Sample:
    """Return loose particles that a chain of contacts does not join to the assembly."""
    centres = _sites(packing, nm=34)
    beside = np.array([[23, 6, -15], [-8, 25, 9], [4, -26, 12], [-23, -9, -14]], np.float64)
    return _body(_placed(bodies.ball(), np.vstack([centres, beside])), centres)


def _strays() -> Sample:
    centres = _sites(nm=34)
    rng = np.random.default_rng(8)
    # evenly around it: hard spheres do not overlap
    angle, far = np.arange(14) * 2 * np.pi / 14, rng.uniform(22, 30, 14)
    beside = np.stack([far * np.cos(angle), far * np.sin(angle), np.full(14, 15.0)], axis=1)
    everything = np.vstack([centres, beside])
    return _body(_placed(bodies.ball(), everything), everything)


def _noise(level: float) -> Sample:
    rng = np.random.default_rng(9)
    images = rng.poisson(level, (36, 68, 68)).astype(np.float32)
    return Sample((TiltSeries(images, ANGLES_DEG.copy(), 0.9),), None)


def _smooth_noise() -> Sample:
    return spoil.images(spoil.blurred(2.5))(_noise(200.0))


def _gradient_alone() -> Sample:
    return spoil.images(lambda stack: stack + np.linspace(0, 50, 68, dtype="f4"))(_noise(20.0))


def _same_image() -> Sample:
    sample = _good()
    rng = np.random.default_rng(1)
    middle = sample.series[0].images[18]
    images = middle + rng.normal(0, 8, sample.series[0].images.shape)
    return Sample((replace(sample.series[0], images=images.astype(np.float32)),), None)


def _b_from(other: Callable[[], Sample]) -> Sample:
    first, second = _dual(), other()
    return Sample((first.series[0], replace(second.series[-1], name="B")), None)


def _cropped() -> Sample:
    return _without_truth(_good(assembly_nm=72.0))


def _mirrored(sample: Sample) -> Sample:
    series = tuple(replace(one, images=one.images[:, :, ::-1].copy()) for one in sample.series)
    assert sample.truth_nm is not None
    return replace(sample, series=series, truth_nm=sample.truth_nm * [-1, 1, 1])


def _without_truth(sample: Sample) -> Sample:
    return replace(sample, truth_nm=None)


def _jumping(sample: Sample) -> Sample:
    rng = np.random.default_rng(5)
    return spoil.images(
        lambda stack: np.stack([np.roll(i, rng.integers(-9, 10, 2), (0, 1)) for i in stack])
    )(sample)


RIGHT = (
    Kind("disordered, one series", _good, good=True),
    Kind("fcc, one series", lambda: _good(FCC), good=True),
    Kind("grains, one series", lambda: _good(GRAINS), good=True),
    Kind("disordered, two series", _dual, good=True),
    Kind("fcc, two series", lambda: _dual(FCC), good=True),
    Kind("grains, two series", lambda: _dual(GRAINS), good=True),
    Kind("disordered, 30 nm", lambda: _good(assembly_nm=30.0), good=True),
    Kind("fcc, 58 nm", lambda: _good(FCC, assembly_nm=58.0, field_px=80), good=True),
    Kind("steps of 2 degrees", lambda: _good(FCC, step_deg=2.0), good=True),
    Kind("half the dose", lambda: _good(dwell_us=1.5), good=True),
    Kind(
        "finer pixel",
        _fine,
        good=True,
    ),
    Kind("spread of diameters 6 %", lambda: _good(size_spread=0.06), good=True),
    Kind("six spheres", lambda: _body(_placed(bodies.ball(), SIX), SIX), good=True),
    Kind("twenty spheres apart", lambda: _body(_placed(bodies.ball(), APART), APART), good=True),
    Kind("one sphere", lambda: _body(bodies.ball(8.0), np.zeros((1, 3)), 8.0)),
    Kind("single particles beside the assembly", _strays),
    Kind("two assemblies, both in view", lambda: _two_assemblies(32.0)),
    Kind("two assemblies in contact, fcc", lambda: _in_contact(FCC)),
    Kind("two assemblies in contact, disordered", lambda: _in_contact(DISORDERED)),
    Kind("loose particles close to an assembly, fcc", lambda: _close_strays(FCC)),
    Kind("loose particles close to an assembly, disordered", lambda: _close_strays(DISORDERED)),
)

SIX = np.array(
    [[0, 0, 0], [11, 1, 2], [-4, 11, 1], [3, -6, 12], [8, 8, -7], [-9, 2, -6.0]], np.float64
)
APART = bodies.scattered(20, 20, 9, seed=3)

NOT_SPHERES = (
    Kind(
        "nine rods",
        lambda: _turned(bodies.rod(18, 5.4), 9, 12, 1),
    ),
    Kind(
        "forty short rods",
        lambda: _turned(bodies.rod(12, 5), 40, 8, 1),
    ),
    Kind("parallel rods", lambda: _body(_placed(bodies.rod(24, 5.4), PARALLEL))),
    Kind(
        "cubes",
        lambda: _turned_with_truth(bodies.box(6, 6, 6), 60, 9, 2),
    ),
    Kind("packed cubes in one direction", lambda: _body(_placed(bodies.box(6, 6, 6), CUBIC))),
    Kind(
        "octahedra",
        lambda: _turned_with_truth(bodies.octahedron(8), 60, 9, 2),
    ),
    Kind("plates", lambda: _body(bodies.plates())),
    Kind("needle", lambda: _body(bodies.needle())),
    Kind("thin needle", lambda: _body(bodies.rod(40, 7))),
    Kind("foam", lambda: _body(bodies.foam())),
    Kind("fine foam", lambda: _body(bodies.foam(5, 3.0, 0.3))),
    Kind("coarse foam", lambda: _body(bodies.foam(6, 8.0, 0.5))),
    Kind("fibres", lambda: _body(bodies.fibres())),
    Kind("coil", lambda: _body(bodies.helix())),
    Kind("solid ball of 30 nm", lambda: _body(bodies.ball(30), np.zeros((1, 3)), 30.0)),
    Kind("cube of 24 nm", lambda: _body(bodies.box(24, 24, 24))),
    Kind("hollow ball of 36 nm", lambda: _body(bodies.shell(36, 28))),
    Kind("two halves of a ball", _two_balls),
    Kind("hollow shells", lambda: _body(_placed(bodies.shell(7.5, 5.5), HOLLOW), HOLLOW, 7.5)),
    Kind(
        "core and shell",
        _core_and_shell,
    ),
    Kind(
        "dumb-bells",
        lambda: _body(
            _placed(
                bodies.ball() + bodies.ball().moved(0, 0, 4.4),
                bodies.scattered(30, 18, 11, 4),
                turned=True,
            )
        ),
    ),
    Kind("two sizes, every third large", lambda: _two_sizes(4.2, 7.4, 3)),
    Kind("two sizes, every second large", lambda: _two_sizes(5.0, 7.0, 2)),
    Kind("one in six small", lambda: _sizes(6.3, 6.3, 4.4, 6.3, 6.3, 6.3)),
    Kind("two sizes, a third wider", lambda: _sizes(6.6, 5.0)),
    Kind("three sizes", lambda: _sizes(8.0, 6.0, 4.5)),
    Kind("sizes from 4 to 8 nm", lambda: _sizes(*np.linspace(4, 8, 17))),
    Kind("few large, many tiny", lambda: _sizes(9.0, *[3.2] * 5)),
    Kind("one giant among many", lambda: _giant()),
    Kind("touching spheres", lambda: _body(_placed(bodies.ball(), TOUCHING), TOUCHING)),
    Kind("fused spheres", lambda: _body(_placed(bodies.ball(), FUSED), FUSED)),
    Kind(
        "spheres in a dense matrix",
        _dense,
    ),
    Kind("spheres two pixels wide", lambda: _tiny()),
)

PARALLEL = np.array([[8.0 * i, 8.0 * j, 0] for i in range(-2, 3) for j in range(-2, 3)])
CUBIC = np.array(
    [[7.4 * i, 7.4 * j, 7.4 * k] for i in range(-2, 3) for j in range(-2, 3) for k in range(-2, 3)]
)
HOLLOW = bodies.sites(DISORDERED, 44, 1.4)
TOUCHING = bodies.sites(FCC, 40, 1.1) / 1.1 * 1.0
FUSED = bodies.sites(DISORDERED, 40, 1.1) / 1.1 * 0.9


def _giant() -> Sample:
    centres = _sites(nm=44)
    centres = centres[np.linalg.norm(centres - [6, 0, 0], axis=1) > 14]
    body = _placed(bodies.ball(), centres)
    return _body(body + bodies.ball(20).moved(6, 0, 0))


def _tiny() -> Sample:
    centres = _sites(nm=60) * 2.0 / D
    return Sample((record(_placed(bodies.ball(2.0), centres)),), centres, 2.0)


RECORDED_BADLY = (
    Kind("noise alone", lambda: _noise(20.0)),
    Kind("bright noise alone", lambda: _noise(5000.0)),
    Kind("smooth noise", _smooth_noise),
    Kind("empty field with a slope", _gradient_alone),
    Kind("one image again and again", _same_image),
    Kind("bright field", _with(_good, spoil.images(spoil.inverted), _without_truth)),
    Kind("bright field, fcc", _with(_fcc, spoil.images(spoil.inverted), _without_truth)),
    Kind("a hundredth of the dose", lambda: _good(dwell_us=0.03)),
    Kind("a thirtieth of the dose, fcc", lambda: _good(FCC, dwell_us=0.1)),
    Kind("drift of 4 px in each exposure", _with(_good, spoil.images(spoil.drifting(4.0)))),
    Kind("drift of 8 px in each exposure", _with(_good, spoil.images(spoil.drifting(8.0)))),
    Kind("out of focus by 2 px", _with(_good, spoil.images(spoil.blurred(2.0)))),
    Kind("out of focus by 3.5 px, fcc", _with(_fcc, spoil.images(spoil.blurred(3.5)))),
    Kind("a tenth saturated", _with(_good, spoil.images(spoil.clipped(0.1)))),
    Kind("half saturated", _with(_good, spoil.images(spoil.clipped(0.5)))),
    Kind("cut by the field", _cropped),
    Kind("cut by the field, fcc", lambda: _without_truth(_good(FCC, assembly_nm=72.0))),
    Kind("film with an edge, 10 %", _with(_good, spoil.images(spoil.film(0.1)))),
    Kind("film with an edge, 40 %", _with(_good, spoil.images(spoil.film(0.4)))),
    Kind("slope of 10 %", _with(_good, spoil.images(spoil.gradient(0.1)))),
    Kind("slope of 50 %", _with(_good, spoil.images(spoil.gradient(0.5)))),
    Kind("two spikes an image", _with(_good, spoil.images(spoil.spikes(2)))),
    Kind("forty spikes an image", _with(_good, spoil.images(spoil.spikes(40)))),
    Kind("stuck pixels and a bright column", _with(_good, spoil.images(spoil.hot))),
    Kind("stripes", _with(_good, spoil.images(spoil.moire))),
    Kind("gain varies by 15 %", _with(_good, spoil.images(spoil.flicker))),
    Kind("eight grey levels", _with(_good, spoil.images(spoil.levels(8)))),
    Kind("two grey levels", _with(_good, spoil.images(spoil.levels(1)))),
    Kind("jumps of 9 px", _with(_good, _jumping)),
    Kind("scan sheared by 4 %", _with(_good, spoil.images(spoil.sheared(0.04)))),
    Kind("mirrored", _with(_good, _mirrored)),
)

GEOMETRY = (
    Kind("angles in reverse", _with(_good, spoil.angles(lambda a: -a))),
    Kind("angles half as large", _with(_good, spoil.angles(lambda a: a / 2), _without_truth)),
    Kind(
        "angles 1.25 times as large", _with(_good, spoil.angles(lambda a: a * 1.25), _without_truth)
    ),
    Kind(
        "angles 0.8 times as large, fcc",
        _with(_fcc, spoil.angles(lambda a: a * 0.8), _without_truth),
    ),
    Kind("angles in radians", _with(_good, spoil.angles(np.deg2rad), _without_truth)),
    Kind("angles all equal", _with(_good, spoil.angles(np.zeros_like), _without_truth)),
    Kind("angles off by 20 degrees", _with(_good, spoil.angles(lambda a: a + 20))),
    Kind(
        "angles with errors of 3 degrees",
        _with(_good, spoil.angles(spoil.wrong_by(3.0))),
    ),
    Kind("images shuffled", _with(_good, spoil.images(spoil.shuffled))),
    Kind("images shuffled, fcc", _with(_fcc, spoil.images(spoil.shuffled))),
    Kind("second half in reverse", _with(_good, spoil.images(spoil.half_shuffled))),
    Kind("tilt axis 90 degrees off", _with(_good, spoil.turned(90))),
    Kind("tilt axis 20 degrees off", _with(_good, spoil.turned(20))),
    Kind("tilt axis 20 degrees off, fcc", _with(_fcc, spoil.turned(20))),
    Kind(
        "half of another specimen",
        lambda: _mixed(DISORDERED, lambda n: np.arange(n // 2)),
    ),
    Kind(
        "every second of another specimen",
        lambda: _mixed(DISORDERED, lambda n: np.arange(0, n, 2)),
    ),
    Kind(
        "a quarter of another specimen, fcc",
        lambda: _mixed(FCC, lambda n: np.arange(0, n, 4)),
    ),
    Kind("pixel ten times too small", _with(_good, spoil.pixel(0.1))),
    Kind("pixel twice too large", _with(_good, spoil.pixel(2.0))),
    Kind("three tilts", _with(_good, spoil.tilts(lambda a: np.array([0, 17, 35])))),
    Kind("six tilts", _with(_good, spoil.tilts(lambda a: np.arange(0, 36, 7)))),
    Kind("nine tilts, fcc", _with(_fcc, spoil.tilts(lambda a: np.arange(0, 36, 4)))),
    Kind(
        "tilts of -30 to 30 degrees",
        _with(_good, spoil.tilts(spoil.up_to(30))),
    ),
    Kind(
        "tilts of -45 to 45 degrees",
        _with(_good, spoil.tilts(spoil.up_to(45))),
    ),
    Kind("tilts of 0 to 70 degrees", _with(_good, spoil.tilts(lambda a: np.flatnonzero(a >= 0)))),
    Kind("each image twice", _with(_good, spoil.tilts(lambda a: np.repeat(np.arange(len(a)), 2)))),
    *(
        Kind(
            f"{packing}, 1.2 nm pixels, steps of {step} degrees",
            lambda p=packing, s=step: _coarse(p, s),
        )
        for packing in (FCC, DISORDERED)
        for step in (3.0, 4.0, 6.0, 8.0)
    ),
    Kind("fcc of 110 nm, steps of 4 degrees", lambda: _large(FCC, 4.0), good=True),
    Kind("fcc of 110 nm, steps of 6 degrees", lambda: _large(FCC, 6.0)),
    Kind("fcc of 110 nm, steps of 8 degrees", lambda: _large(FCC, 8.0)),
    Kind("disordered, 110 nm, steps of 8 degrees", lambda: _large(DISORDERED, 8.0)),
)

DUAL = (
    Kind("B is another specimen", lambda: _b_from(lambda: _dual(seed=9))),
    Kind("B is another specimen, fcc", lambda: _b_from(lambda: _dual(FCC, seed=9))),
    Kind("B is A again", lambda: _b_from(_good)),
    Kind("B with reversed angles", _with(_dual, spoil.angles(lambda a: -a, only=1))),
    Kind(
        "B with shuffled images", _with(_dual, spoil.images(spoil.shuffled, only=1), _without_truth)
    ),
    Kind("B is noise", lambda: _b_from(lambda: _noise(20.0))),
    Kind("B is bright field", _with(_dual, spoil.images(spoil.inverted, only=1), _without_truth)),
    Kind("B mirrored", _with(_dual, spoil.images(spoil.mirrored, only=1), _without_truth)),
    Kind("rods in A and B", lambda: _rods_twice()),
)


def _rods_twice() -> Sample:
    body = _placed(bodies.rod(18, 5.4), bodies.scattered(9, 17, 12, 1), turned=True)
    turn = Rotation.from_euler("z", 37, degrees=True).as_matrix() @ np.diag([1.0, -1, -1])
    flipped = Body(body.points_nm @ turn.T, body.gold_nm3)
    a, b = record(body), record(flipped, replace(USUAL, seed=1))
    return Sample((a, replace(b, name="B")), None)


KINDS = (*RIGHT, *NOT_SPHERES, *RECORDED_BADLY, *GEOMETRY, *DUAL)
