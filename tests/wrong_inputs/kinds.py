"""Kinds of input: right ones, odd ones, and ones of which no count is right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.wrong_inputs import bodies, spoil
from tests.wrong_inputs.record import Sample
from tests.wrong_inputs.samples import (
    DISORDERED,
    FCC,
    GRAINS,
    HOLLOW,
    b_from,
    close_strays,
    coarse,
    core_and_shell,
    cropped,
    dense,
    fine,
    giant,
    gradient_alone,
    in_contact,
    jumping,
    large,
    mirrored,
    mixed,
    noise,
    of_body,
    one_series,
    one_series_of_fcc,
    placed,
    rods_twice,
    same_image,
    sizes_in_turn,
    smooth_noise,
    strays,
    tiny,
    turned_copies,
    turned_copies_with_truth,
    two_assemblies,
    two_balls,
    two_series,
    two_sizes,
    with_changes,
    without_truth,
)


@dataclass(frozen=True)
class Kind:
    """One kind of input. `good` inputs must be trusted; no other has to be."""

    name: str
    make: Callable[[], Sample]
    good: bool = False


RIGHT = (
    Kind("disordered, one series", one_series, good=True),
    Kind("fcc, one series", lambda: one_series(FCC), good=True),
    Kind("grains, one series", lambda: one_series(GRAINS), good=True),
    Kind("disordered, two series", two_series, good=True),
    Kind("fcc, two series", lambda: two_series(FCC), good=True),
    Kind("grains, two series", lambda: two_series(GRAINS), good=True),
    Kind("disordered, 30 nm", lambda: one_series(assembly_nm=30.0), good=True),
    Kind("fcc, 58 nm", lambda: one_series(FCC, assembly_nm=58.0, field_px=80), good=True),
    Kind("steps of 2 degrees", lambda: one_series(FCC, step_deg=2.0), good=True),
    Kind("half the dose", lambda: one_series(dwell_us=1.5), good=True),
    Kind("finer pixel", fine, good=True),
    Kind("spread of diameters 6 %", lambda: one_series(size_spread=0.06), good=True),
    Kind("six spheres", lambda: of_body(placed(bodies.ball(), SIX), SIX), good=True),
    Kind("twenty spheres apart", lambda: of_body(placed(bodies.ball(), APART), APART), good=True),
    Kind("one sphere", lambda: of_body(bodies.ball(8.0), np.zeros((1, 3)), 8.0)),
    Kind("single particles beside the assembly", strays),
    Kind("two assemblies, both in view", lambda: two_assemblies(32.0)),
    Kind("two assemblies in contact, fcc", lambda: in_contact(FCC)),
    Kind("two assemblies in contact, disordered", lambda: in_contact(DISORDERED)),
    Kind("loose particles close to an assembly, fcc", lambda: close_strays(FCC)),
    Kind("loose particles close to an assembly, disordered", lambda: close_strays(DISORDERED)),
)

SIX = np.array(
    [[0, 0, 0], [11, 1, 2], [-4, 11, 1], [3, -6, 12], [8, 8, -7], [-9, 2, -6.0]], np.float64
)
APART = bodies.scattered(20, 20, 9, seed=3)

NOT_SPHERES = (
    Kind("nine rods", lambda: turned_copies(bodies.rod(18, 5.4), 9, 12, 1)),
    Kind("forty short rods", lambda: turned_copies(bodies.rod(12, 5), 40, 8, 1)),
    Kind("parallel rods", lambda: of_body(placed(bodies.rod(24, 5.4), PARALLEL))),
    Kind("cubes", lambda: turned_copies_with_truth(bodies.box(6, 6, 6), 60, 9, 2)),
    Kind("packed cubes in one direction", lambda: of_body(placed(bodies.box(6, 6, 6), CUBIC))),
    Kind("octahedra", lambda: turned_copies_with_truth(bodies.octahedron(8), 60, 9, 2)),
    Kind("plates", lambda: of_body(bodies.plates())),
    Kind("needle", lambda: of_body(bodies.needle())),
    Kind("thin needle", lambda: of_body(bodies.rod(40, 7))),
    Kind("foam", lambda: of_body(bodies.foam())),
    Kind("fine foam", lambda: of_body(bodies.foam(5, 3.0, 0.3))),
    Kind("coarse foam", lambda: of_body(bodies.foam(6, 8.0, 0.5))),
    Kind("fibres", lambda: of_body(bodies.fibres())),
    Kind("coil", lambda: of_body(bodies.helix())),
    Kind("solid ball of 30 nm", lambda: of_body(bodies.ball(30), np.zeros((1, 3)), 30.0)),
    Kind("cube of 24 nm", lambda: of_body(bodies.box(24, 24, 24))),
    Kind("hollow ball of 36 nm", lambda: of_body(bodies.shell(36, 28))),
    Kind("two halves of a ball", two_balls),
    Kind("hollow shells", lambda: of_body(placed(bodies.shell(7.5, 5.5), HOLLOW), HOLLOW, 7.5)),
    Kind("core and shell", core_and_shell),
    Kind(
        "dumb-bells",
        lambda: of_body(
            placed(
                bodies.ball() + bodies.ball().moved(0, 0, 4.4),
                bodies.scattered(30, 18, 11, 4),
                turned=True,
            )
        ),
    ),
    Kind("two sizes, every third large", lambda: two_sizes(4.2, 7.4, 3)),
    Kind("two sizes, every second large", lambda: two_sizes(5.0, 7.0, 2)),
    Kind("one in six small", lambda: sizes_in_turn(6.3, 6.3, 4.4, 6.3, 6.3, 6.3)),
    Kind("two sizes, a third wider", lambda: sizes_in_turn(6.6, 5.0)),
    Kind("three sizes", lambda: sizes_in_turn(8.0, 6.0, 4.5)),
    Kind("sizes from 4 to 8 nm", lambda: sizes_in_turn(*np.linspace(4, 8, 17))),
    Kind("few large, many tiny", lambda: sizes_in_turn(9.0, *[3.2] * 5)),
    Kind("one giant among many", lambda: giant()),
    Kind("touching spheres", lambda: of_body(placed(bodies.ball(), TOUCHING), TOUCHING)),
    Kind("fused spheres", lambda: of_body(placed(bodies.ball(), FUSED), FUSED)),
    Kind("spheres in a dense matrix", dense),
    Kind("spheres two pixels wide", lambda: tiny()),
)

PARALLEL = np.array([[8.0 * i, 8.0 * j, 0] for i in range(-2, 3) for j in range(-2, 3)])
CUBIC = np.array(
    [[7.4 * i, 7.4 * j, 7.4 * k] for i in range(-2, 3) for j in range(-2, 3) for k in range(-2, 3)]
)
TOUCHING = bodies.sites(FCC, 40, 1.1) / 1.1 * 1.0
FUSED = bodies.sites(DISORDERED, 40, 1.1) / 1.1 * 0.9


RECORDED_BADLY = (
    Kind("noise alone", lambda: noise(20.0)),
    Kind("bright noise alone", lambda: noise(5000.0)),
    Kind("smooth noise", smooth_noise),
    Kind("empty field with a slope", gradient_alone),
    Kind("one image again and again", same_image),
    Kind("bright field", with_changes(one_series, spoil.images(spoil.inverted), without_truth)),
    Kind(
        "bright field, fcc",
        with_changes(one_series_of_fcc, spoil.images(spoil.inverted), without_truth),
    ),
    Kind("a hundredth of the dose", lambda: one_series(dwell_us=0.03)),
    Kind("a thirtieth of the dose, fcc", lambda: one_series(FCC, dwell_us=0.1)),
    Kind(
        "drift of 4 px in each exposure",
        with_changes(one_series, spoil.images(spoil.drifting(4.0))),
    ),
    Kind(
        "drift of 8 px in each exposure",
        with_changes(one_series, spoil.images(spoil.drifting(8.0))),
    ),
    Kind("out of focus by 2 px", with_changes(one_series, spoil.images(spoil.blurred(2.0)))),
    Kind(
        "out of focus by 3.5 px, fcc",
        with_changes(one_series_of_fcc, spoil.images(spoil.blurred(3.5))),
    ),
    Kind("a tenth saturated", with_changes(one_series, spoil.images(spoil.clipped(0.1)))),
    Kind("half saturated", with_changes(one_series, spoil.images(spoil.clipped(0.5)))),
    Kind("cut by the field", cropped),
    Kind("cut by the field, fcc", lambda: without_truth(one_series(FCC, assembly_nm=72.0))),
    Kind("film with an edge, 10 %", with_changes(one_series, spoil.images(spoil.film(0.1)))),
    Kind("film with an edge, 40 %", with_changes(one_series, spoil.images(spoil.film(0.4)))),
    Kind("slope of 10 %", with_changes(one_series, spoil.images(spoil.gradient(0.1)))),
    Kind("slope of 50 %", with_changes(one_series, spoil.images(spoil.gradient(0.5)))),
    Kind("two spikes an image", with_changes(one_series, spoil.images(spoil.spikes(2)))),
    Kind("forty spikes an image", with_changes(one_series, spoil.images(spoil.spikes(40)))),
    Kind("stuck pixels and a bright column", with_changes(one_series, spoil.images(spoil.hot))),
    Kind("stripes", with_changes(one_series, spoil.images(spoil.moire))),
    Kind("gain varies by 15 %", with_changes(one_series, spoil.images(spoil.flicker))),
    Kind("eight grey levels", with_changes(one_series, spoil.images(spoil.levels(8)))),
    Kind("two grey levels", with_changes(one_series, spoil.images(spoil.levels(1)))),
    Kind("jumps of 9 px", with_changes(one_series, jumping)),
    Kind("scan sheared by 4 %", with_changes(one_series, spoil.images(spoil.sheared(0.04)))),
    Kind("turned, black corners", with_changes(one_series, spoil.images(spoil.turned_in_black))),
    Kind("gain of the quadrants", with_changes(one_series, spoil.images(spoil.quadrants))),
    Kind(
        "black below a fifth of the signal",
        with_changes(one_series, spoil.images(spoil.clipped_below(0.2))),
    ),
    Kind("mirrored", with_changes(one_series, mirrored)),
)

GEOMETRY = (
    Kind("angles in reverse", with_changes(one_series, spoil.angles(lambda a: -a))),
    Kind(
        "angles half as large",
        with_changes(one_series, spoil.angles(lambda a: a / 2), without_truth),
    ),
    Kind(
        "angles 1.25 times as large",
        with_changes(one_series, spoil.angles(lambda a: a * 1.25), without_truth),
    ),
    Kind(
        "angles 0.8 times as large, fcc",
        with_changes(one_series_of_fcc, spoil.angles(lambda a: a * 0.8), without_truth),
    ),
    Kind("angles in radians", with_changes(one_series, spoil.angles(np.deg2rad), without_truth)),
    Kind("angles all equal", with_changes(one_series, spoil.angles(np.zeros_like), without_truth)),
    Kind("angles off by 20 degrees", with_changes(one_series, spoil.angles(lambda a: a + 20))),
    Kind(
        "angles with errors of 3 degrees",
        with_changes(one_series, spoil.angles(spoil.wrong_by(3.0))),
    ),
    Kind("images shuffled", with_changes(one_series, spoil.images(spoil.shuffled))),
    Kind("images shuffled, fcc", with_changes(one_series_of_fcc, spoil.images(spoil.shuffled))),
    Kind("second half in reverse", with_changes(one_series, spoil.images(spoil.half_shuffled))),
    Kind("tilt axis 90 degrees off", with_changes(one_series, spoil.turned(90))),
    Kind("tilt axis 20 degrees off", with_changes(one_series, spoil.turned(20))),
    Kind("tilt axis 20 degrees off, fcc", with_changes(one_series_of_fcc, spoil.turned(20))),
    Kind("half of another specimen", lambda: mixed(DISORDERED, lambda n: np.arange(n // 2))),
    Kind(
        "every second of another specimen", lambda: mixed(DISORDERED, lambda n: np.arange(0, n, 2))
    ),
    Kind("a quarter of another specimen, fcc", lambda: mixed(FCC, lambda n: np.arange(0, n, 4))),
    Kind("pixel ten times too small", with_changes(one_series, spoil.pixel(0.1))),
    Kind("pixel twice too large", with_changes(one_series, spoil.pixel(2.0))),
    Kind("three tilts", with_changes(one_series, spoil.tilts(lambda a: np.array([0, 17, 35])))),
    Kind("six tilts", with_changes(one_series, spoil.tilts(lambda a: np.arange(0, 36, 7)))),
    Kind(
        "nine tilts, fcc",
        with_changes(one_series_of_fcc, spoil.tilts(lambda a: np.arange(0, 36, 4))),
    ),
    Kind("tilts of -30 to 30 degrees", with_changes(one_series, spoil.tilts(spoil.up_to(30)))),
    Kind("tilts of -45 to 45 degrees", with_changes(one_series, spoil.tilts(spoil.up_to(45)))),
    Kind(
        "tilts of 0 to 70 degrees",
        with_changes(one_series, spoil.tilts(lambda a: np.flatnonzero(a >= 0))),
    ),
    Kind(
        "no tilts within 30 degrees",
        with_changes(one_series, spoil.tilts(lambda a: np.flatnonzero(np.abs(a) > 30))),
    ),
    Kind(
        "no tilts within 42 degrees",
        with_changes(one_series, spoil.tilts(lambda a: np.flatnonzero(np.abs(a) > 42))),
    ),
    Kind(
        "first half at 1.03 times the magnification",
        with_changes(one_series, spoil.images(spoil.magnified(1.03, 0.5))),
    ),
    Kind(
        "first half at 1.1 times the magnification",
        with_changes(one_series, spoil.images(spoil.magnified(1.1, 0.5))),
    ),
    Kind(
        "stretched by 1 / cos of the tilt",
        with_changes(one_series, spoil.stretched, without_truth),
    ),
    Kind(
        "each image twice",
        with_changes(one_series, spoil.tilts(lambda a: np.repeat(np.arange(len(a)), 2))),
    ),
    *(
        Kind(
            f"{packing}, 1.2 nm pixels, steps of {step} degrees",
            lambda p=packing, s=step: coarse(p, s),
        )
        for packing in (FCC, DISORDERED)
        for step in (3.0, 4.0, 6.0, 8.0)
    ),
    Kind("fcc of 110 nm, steps of 4 degrees", lambda: large(FCC, 4.0), good=True),
    Kind("fcc of 110 nm, steps of 6 degrees", lambda: large(FCC, 6.0)),
    Kind("fcc of 110 nm, steps of 8 degrees", lambda: large(FCC, 8.0)),
    Kind("disordered, 110 nm, steps of 8 degrees", lambda: large(DISORDERED, 8.0)),
)

DUAL = (
    Kind("B is another specimen", lambda: b_from(lambda: two_series(seed=9))),
    Kind("B is another specimen, fcc", lambda: b_from(lambda: two_series(FCC, seed=9))),
    Kind("B is A again", lambda: b_from(one_series)),
    Kind("B with reversed angles", with_changes(two_series, spoil.angles(lambda a: -a, only=1))),
    Kind(
        "B with shuffled images",
        with_changes(two_series, spoil.images(spoil.shuffled, only=1), without_truth),
    ),
    Kind("B is noise", lambda: b_from(lambda: noise(20.0))),
    Kind(
        "B is bright field",
        with_changes(two_series, spoil.images(spoil.inverted, only=1), without_truth),
    ),
    Kind(
        "B mirrored", with_changes(two_series, spoil.images(spoil.mirrored, only=1), without_truth)
    ),
    Kind(
        "B at 1.1 times the magnification",
        with_changes(two_series, spoil.images(spoil.magnified(1.1), only=1)),
    ),
    Kind("rods in A and B", lambda: rods_twice()),
)


KINDS = (*RIGHT, *NOT_SPHERES, *RECORDED_BADLY, *GEOMETRY, *DUAL)
