"""Loose particles are listed, not counted; several bodies make a count doubtful."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from processing import ProcessSettings, TiltSeries, combine_series, process_series
from processing.count.bodies import Bodies, find_bodies
from processing.files.particles import ParticleTable
from processing.pipeline.objects import part_objects
from processing.results import Cause, Count, Trust
from simulator.settings import Packing
from tests.odd_specimens.sparse import APART_NM, REACH_NM
from tests.support.packings import OF_EQUAL_SPHERES
from tests.support.spheres import packed, tilt_series
from tests.wrong_inputs.bodies import scattered, sites

Floats = NDArray[np.float64]
FCC, DISORDERED, GRAINS, ICOSAHEDRAL = (
    Packing.FCC,
    Packing.DISORDERED,
    Packing.MULTI_GRAIN,
    Packing.ICOSAHEDRAL,
)
D, SPACING_NM = 6.3, 7.45
UP, ASIDE = np.array([0.3, -0.4, 0.9]), np.array([1.0, 0.2, -0.1])
ONE = np.zeros((1, 3))


def joined(body: Floats, other: Floats, gap: float, direction: Floats = ASIDE) -> Floats:
    """Both bodies; their nearest particles are `gap` usual spacings apart."""
    along = direction / np.linalg.norm(direction)
    moved = other
    for far in np.arange(120.0, 0.0, -0.1):
        moved = other + far * along
        if np.linalg.norm(body[:, None] - moved[None], axis=2).min() <= gap * SPACING_NM:
            break
    return np.vstack([body, moved])


def beside(body: Floats, gaps: list[float]) -> Floats:
    """Single particles in different directions."""
    for number, gap in enumerate(gaps):
        turn = 2.4 * number
        body = joined(body, ONE, gap, np.array([np.cos(turn), np.sin(turn), 0.5]))
    return body


def on_an_edge(body: Floats) -> Floats:
    """One particle more, in contact with two neighbours at the surface only."""
    outer = np.argsort(-np.linalg.norm(body, axis=1))
    for one in outer:
        away = np.linalg.norm(body - body[one], axis=1)
        for other in np.flatnonzero((away > 0) & (away < 1.1 * SPACING_NM)):
            middle = (body[one] + body[other]) / 2
            out = middle / np.linalg.norm(middle) * np.sqrt(SPACING_NM**2 - (away[other] / 2) ** 2)
            distance = np.sort(np.linalg.norm(body - middle - out, axis=1)) / SPACING_NM
            if distance[1] < 1.1 and distance[2] > 1.25:
                return np.vstack([body, middle + out])
    raise AssertionError("no such place")


def cracked(body: Floats, gap_nm: float, at_nm: float = 0.0) -> Floats:
    return body + np.where(body[:, :1] > at_nm, [gap_nm, 0, 0], [0, 0, 0])


LARGE, MIDDLE, SMALL = sites(FCC, 90.0), sites(FCC, 40.0), sites(FCC, 30.0)
X, Y, Z = LARGE.T
L_SHAPE = LARGE[(np.abs(LARGE) < 28).all(axis=1) & ~((X > -8) & (Y > -8))]
ROD = LARGE[(np.hypot(Y, Z) < 9)]
RING = LARGE[(np.abs(Z) < 10) & (np.abs(np.hypot(X, Y) - 32) < 10)]
NECKED = LARGE[
    (np.hypot(np.hypot(np.abs(X) - 20, Y), Z) < 18) | ((np.abs(X) < 20) & (np.hypot(Y, Z) < 12))
]
TWO_SIZES = sites(DISORDERED, 44.0, 1.22 * 7.4 / D)


@dataclass(frozen=True)
class Case:
    """Particles, and what is found among them; nothing by default."""

    name: str
    centres: Floats
    loose: int = 0
    near: int = 0
    apart: int = 0
    parts: tuple[int, ...] = ()
    diameters: tuple[float, ...] = (D,)
    """They take turns from particle to particle."""


PACKINGS = [
    Case(f"{packing}, {nm} nm, seed {seed}", sites(packing, nm, seed=seed))
    for packing in OF_EQUAL_SPHERES
    for nm in (24.0, 40.0, 46.0)
    for seed in (5, 6, 7)
]
SCATTERED = [
    Case(f"{number} scattered, seed {seed}", scattered(number, reach, APART_NM, seed))
    for number, reach in REACH_NM.items()
    for seed in (11, 12, 13)
]
CASES = [
    *PACKINGS,
    *SCATTERED,
    Case("a lattice with a spacing of two diameters", sites(FCC, 90.0, 2.0)),
    Case("an L", L_SHAPE),
    Case("a rod", ROD),
    Case("a ring", RING),
    Case("a body with a wide neck", NECKED),
    Case("two sizes, every third large", TWO_SIZES, diameters=(7.4, 4.2, 4.2)),
    Case("a narrow crack", cracked(MIDDLE, 3.0)),
    Case("a particle that is attached", beside(MIDDLE, [1.0])),
    Case("one loose", beside(MIDDLE, [2.5]), loose=1),
    Case("six loose around 70", beside(sites(DISORDERED, 40.0), [1.9, 2, 2.5, 3, 4, 2]), loose=6),
    Case("three loose, two sizes", beside(TWO_SIZES, [3.0, 3.5, 4]), 3, diameters=(7.4, 4.2, 4.2)),
    Case("two loose that touch each other", joined(MIDDLE, SMALL[:2], 3.0), loose=2),
    Case("close, without contact", beside(MIDDLE, [1.55]), near=1),
    Case("too many that are close", beside(SMALL, [1.5, 1.6, 1.5, 1.6, 1.55, 1.5]), apart=6),
    Case("too many to be loose", beside(SMALL, [2.0, 2.5, 3, 4, 5, 3]), apart=6),
    Case("a small assembly beside a large one", joined(MIDDLE, sites(FCC, 24.0), 3.0), apart=22),
    Case("two assemblies", joined(MIDDLE, SMALL, 2.0), apart=42),
    Case("a fragment behind a crack", cracked(MIDDLE, 8.0, at_nm=10.0), apart=12),
    Case("two in contact", joined(MIDDLE, SMALL, 1.0, UP), parts=(102, 42)),
    Case("two small ones in contact", joined(SMALL, sites(DISORDERED, 24.0), 1.1), parts=(42, 15)),
    Case("a small one on a large one", joined(sites(FCC, 64.0), SMALL, 1.0, UP), parts=(417, 42)),
    Case(
        "contact, and one loose",
        np.vstack([joined(MIDDLE, SMALL, 1.0, UP), [[-40.0, 0, 0]]]),
        loose=1,
        parts=(102, 42),
    ),
]


def found(case: Case) -> Bodies:
    errors = np.random.default_rng(1).normal(0, 0.08, case.centres.shape)
    turn = np.arange(len(case.centres)) % len(case.diameters)
    return find_bodies(case.centres + errors, np.array(case.diameters)[turn])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_contacts_tell_the_assembly_from_what_lies_beside_it(case: Case) -> None:
    bodies = found(case)
    assert (int(bodies.loose.sum()), bodies.near, bodies.apart, bodies.parts) == (
        case.loose,
        case.near,
        case.apart,
        case.parts,
    )
    if case.loose:
        assert bodies.loose[-1]


@pytest.mark.parametrize(
    ("name", "centres", "count", "lines"),
    [
        ("an assembly", MIDDLE, (102, 101, 103), ()),
        (
            "loose particles are certain",
            beside(MIDDLE, [2.5, 3.0]),
            (102, 101, 103),
            ("2 particles",),
        ),
        ("close ones are not", beside(MIDDLE, [1.55]), (103, 101, 104), ("1 particle lies",)),
        ("one on a single contact", beside(MIDDLE, [1.0]), (103, 101, 104), ()),
        ("one on two contacts", on_an_edge(MIDDLE), (103, 101, 104), ()),
        ("two in contact", joined(MIDDLE, SMALL, 1.0, UP), (144, 102, 145), ("102 and 42",)),
        ("two apart", joined(MIDDLE, SMALL, 2.0), (144, 101, 145), ("42 particles lie apart",)),
    ],
)
def test_the_interval_holds_all_readings(
    name: str, centres: Floats, count: tuple[int, int, int], lines: tuple[str, ...]
) -> None:
    number = len(centres)
    table = ParticleTable(centres, np.full(number, D), np.ones(number))
    whole = Count(n=number, n_low=number - 1, n_high=number + 1)
    parted = part_objects(table, whole, table.diameter_nm)
    assert (parted.count.n, parted.count.n_low, parted.count.n_high) == count
    assert len(parted.table) == count[0]
    assert len(parted.table) + len(parted.beside) == number
    assert parted.beside.beside.all()
    said = [*parted.notes, *parted.several]
    assert len(said) == len(lines)
    assert all(part in line for part, line in zip(lines, said, strict=True))


DIAMETER_NM, FIELD_PX = 5.0, 66
SETTINGS = ProcessSettings(diameter_nm=DIAMETER_NM)
LOOSE = np.array([[20.0, 4.0, 6.0], [-6.0, 3.0, -21.0]])
FLIPPED = np.diag([1.0, -1.0, -1.0])


def ball(radius: float, seed: int = 3) -> Floats:
    return packed(radius, 1.15 * DIAMETER_NM, order="fcc", seed=seed)


def recorded(*objects: Floats, name: str = "A") -> TiltSeries:
    """Series with read noise; the brightest pixel of an assembly has about 1000 counts."""
    angles = np.arange(-65.0, 66.0, 10.0)
    series = tilt_series(np.concatenate(objects), angles, DIAMETER_NM, FIELD_PX)
    noise = np.random.default_rng(1).normal(100, 5, series.images.shape)
    images = (50 * series.images + noise).astype(np.float32)
    return replace(series, images=images, name=name)


def handed(body: Floats) -> Floats:
    """Remove particles, so that the body is not its own mirror image."""
    return body[(body @ [0.9, 0.4, 0.2] > -6) & (body @ [0.2, -0.3, 0.9] < 5.5)]


def state(count: Count) -> tuple[Trust, tuple[Cause, ...]]:
    assert count.verdict is not None
    return count.verdict.state, count.verdict.causes


def test_loose_particles_are_listed_but_not_counted() -> None:
    body = handed(ball(11.0))
    a = process_series(recorded(body, LOOSE), SETTINGS)
    b = process_series(recorded(body @ FLIPPED, LOOSE @ FLIPPED, name="B"), SETTINGS)
    both = combine_series(a, b, SETTINGS)
    for count, beside_it, warnings in (
        (a.detection.count, a.beside, a.warnings),
        (both.detection.count, both.beside, both.warnings),
    ):
        assert (count.n, len(beside_it)) == (len(body), len(LOOSE))
        assert count.n_high < len(body) + len(LOOSE)
        assert state(count) == (Trust.TRUSTED, ())
        assert sum("2 particles lie apart from the assembly" in line for line in warnings) == 1


def test_two_assemblies_in_contact_are_doubtful() -> None:
    other = ball(8.0, seed=5) + np.array([0, 17.5, 0])
    count = process_series(recorded(ball(9.0), other), SETTINGS).detection.count
    assert state(count) == (Trust.DOUBTFUL, (Cause.SEVERAL_OBJECTS,))
    assert (count.n, count.n_low <= 19) == (32, True)
