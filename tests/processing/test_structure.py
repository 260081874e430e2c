"""Structure of an assembly: order, grains, faults and layers of specimens whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from processing.errors import NoStructureError
from processing.structure.analyse import StructureAnalysis, analyse_structure
from processing.structure.classify import CODES, FCC, LEFT_OUT
from processing.structure.errors import PositionError
from processing.structure.orientations import misorientation
from processing.structure.quick_headline import structure_headline
from processing.structure_results import PlaneKind, Structure, StructureType
from simulator.settings import Packing, SpecimenSettings
from simulator.specimen import make_assembly
from tests.support.packings import OF_EQUAL_SPHERES
from tests.support.position_errors import found_positions

SPACING_NM = 6.3 * 1.22
FCC_EDGE_NM = SPACING_NM * np.sqrt(2)
Array = np.ndarray


@cache
def true_positions(packing: Packing) -> Array:
    size_nm = 110.0 if packing in (Packing.ICOSAHEDRAL, Packing.MULTI_GRAIN) else 80.0
    settings = SpecimenSettings(packing=packing, assembly_diameter_nm=size_nm)
    return make_assembly(settings, seed=1).centres_nm


def analyse_values(centres_nm: Array, *given: Any, **more: Any) -> StructureAnalysis:
    """Analyse with one repeat instead of four: enough where a test reads values, but no errors."""
    with patch("processing.structure.repeats.REPEATS", 1):
        return analyse_structure(centres_nm, *given, **more)


@cache
def true_structure(packing: Packing) -> StructureAnalysis:
    return analyse_values(true_positions(packing), position_error=PositionError(0.0, "truth"))


ERRORS_ARE_READ = (Packing.FCC, Packing.TWINNED, Packing.MULTI_GRAIN)


@cache
def found_structure(packing: Packing) -> StructureAnalysis:
    found = found_places(packing)
    analyse = analyse_structure if packing in ERRORS_ARE_READ else analyse_values
    return analyse(found, np.full(len(found), 6.3))


def found_places(packing: Packing) -> Array:
    return found_positions(true_positions(packing))


def shares(analysis: StructureAnalysis) -> dict[str, float]:
    return {name: share.value for name, share in analysis.summary.shares.items()}


def stacked(order: str, across: int = 8) -> Array:
    """Return a block of close-packed layers in an order such as ABCABC."""
    index = np.arange(-across, across + 1)
    i, j = (axis.ravel() for axis in np.meshgrid(index, index, indexing="ij"))
    layers = []
    for number, letter in enumerate(order):
        shift = "ABC".index(letter)
        x, y = i + j / 2 + shift / 2, (j + shift / 3) * np.sqrt(3) / 2
        layers.append(np.column_stack([x, y, np.full(len(x), number * np.sqrt(2 / 3))]))
    points = np.concatenate(layers)
    points = points[np.hypot(points[:, 0], points[:, 1]) < 4.7]
    return SPACING_NM * (points - points.mean(axis=0))


def bcc() -> Array:
    index = np.arange(-5, 6)
    cube = np.stack(np.meshgrid(index, index, index), -1).reshape(-1, 3).astype(float)
    points = np.concatenate([cube, cube + 0.5])
    return 9.0 * points[np.linalg.norm(points, axis=1) < 4.6]


def jittered(points: Array, sigma_nm: float = 0.15) -> Array:
    return points + np.random.default_rng(4).normal(0, sigma_nm, points.shape)


@pytest.mark.parametrize("packing", OF_EQUAL_SPHERES)
def test_shares_are_those_of_the_true_positions(packing: Packing) -> None:
    assert shares(found_structure(packing)) == pytest.approx(
        shares(true_structure(packing)), abs=0.03
    )


@pytest.mark.parametrize(
    ("packing", "least"),
    [
        (Packing.FCC, {"fcc": 0.99}),
        (Packing.TWINNED, {"fcc": 0.85, "hcp": 0.09}),
        (Packing.ICOSAHEDRAL, {"fcc": 0.5, "hcp": 0.35, "icosahedral": 0.04}),
        (Packing.MULTI_GRAIN, {"fcc": 0.8}),
        (Packing.DISORDERED, {"disordered": 0.98}),
    ],
)
def test_true_positions_have_the_structure_they_were_made_with(
    packing: Packing, least: dict[str, float]
) -> None:
    found = shares(true_structure(packing))
    assert {name: found[name] >= share for name, share in least.items()} == dict.fromkeys(
        least, True
    )
    assert sum(found.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("points", "structure"),
    [
        pytest.param(stacked("ABABABABABAB"), "hcp", id="hcp"),
        pytest.param(bcc(), "bcc", id="bcc"),
    ],
)
def test_one_crystal_of_another_lattice(points: Array, structure: str) -> None:
    summary = analyse_values(jittered(points)).summary
    assert summary.shares[StructureType(structure)].value > 0.95
    assert [grain.structure for grain in summary.grains] == [structure]


@pytest.mark.parametrize("packing", [Packing.FCC, Packing.TWINNED, Packing.MULTI_GRAIN])
def test_grains_are_those_of_the_true_positions(packing: Packing) -> None:
    """Orientations are within 0.5 degrees, those of under 100 particles within three errors."""
    true, found = (one(packing).summary.grains for one in (true_structure, found_structure))
    assert len(found) == len(true) > 0
    for grain in true:
        angle, other = min(
            ((misoriented_deg(grain.orientation, one.orientation), one) for one in found),
            key=lambda pair: pair[0],
        )
        assert angle < max(0.5 if other.particles > 100 else 0.0, 3 * other.orientation_error_deg)
        assert other.particles == pytest.approx(grain.particles, rel=0.1)


def misoriented_deg(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    one, other = (Rotation.from_quat(q, scalar_first=True).as_matrix() for q in (first, second))
    return float(misorientation(one[None], other[None], FCC)[0][0])


@pytest.mark.parametrize("packing", [Packing.FCC, Packing.TWINNED, Packing.MULTI_GRAIN])
def test_the_lattice_constant_is_right(packing: Packing) -> None:
    found = found_structure(packing).summary.lattice_constant_nm
    assert found is not None
    assert found.value == pytest.approx(FCC_EDGE_NM, rel=0.002)
    assert abs(found.value - FCC_EDGE_NM) < 4 * found.error


def test_a_given_orientation_is_found() -> None:
    turn = Rotation.from_rotvec([20, -35, 10], degrees=True)
    # (111) layers, the stacking axis along z, one close-packed row along x
    to_cube = np.array([[-1, 1, 0], [-1, -1, 2], [1, 1, 1]]) / np.sqrt([[2], [6], [3]])
    points = turn.apply(stacked("ABC" * 4))
    grain = analyse_values(jittered(points)).summary.grains[0]
    expected = tuple(Rotation.from_matrix(turn.as_matrix() @ to_cube).as_quat(scalar_first=True))
    assert misoriented_deg(grain.orientation, expected) < 0.2


@pytest.mark.parametrize(
    ("order", "kinds", "grains"),
    [
        pytest.param("ABCABCABCABC", [], 1, id="none"),
        pytest.param("ABCABCBACBA", [PlaneKind.TWIN], 2, id="twin"),
        pytest.param("ABCABCBCABCABC", [PlaneKind.INTRINSIC], 1, id="a missing layer"),
        pytest.param("ABCABCBABCABCABC", [PlaneKind.EXTRINSIC], 1, id="an added layer"),
        pytest.param("ABCABABABABCABC", [PlaneKind.HCP], 2, id="a slab of hcp"),
    ],
)
def test_faults_of_the_stacking(order: str, kinds: list[PlaneKind], grains: int) -> None:
    summary = analyse_values(jittered(stacked(order))).summary
    assert [plane.kind for plane in summary.planes] == kinds
    fcc = [grain for grain in summary.grains if grain.structure is StructureType.FCC]
    assert len(fcc) == grains
    assert [edge.twin for edge in summary.boundaries if edge.twin] == [True] * (
        kinds == [PlaneKind.TWIN]
    )
    assert all(abs(plane.normal[2]) > 0.999 for plane in summary.planes)


def test_an_icosahedron_has_twenty_twinned_grains() -> None:
    summary = found_structure(Packing.ICOSAHEDRAL).summary
    twins = [edge for edge in summary.boundaries if edge.twin]
    assert len(summary.grains) == pytest.approx(20, abs=2)
    assert len(twins) == pytest.approx(30, abs=5)
    assert {plane.kind for plane in summary.planes} == {PlaneKind.TWIN}


def test_pair_correlation_and_structure_factor() -> None:
    fcc, disordered = found_structure(Packing.FCC), true_structure(Packing.DISORDERED)
    g, s = fcc.pair_correlation, fcc.structure_factor
    r = np.array(g.r_nm)
    assert r[np.argmax(g.g)] == pytest.approx(SPACING_NM, rel=0.02)
    # reciprocal lattice vector 111 of fcc
    assert s.q_per_nm[int(np.argmax(s.s))] == pytest.approx(
        2 * np.pi * np.sqrt(3) / FCC_EDGE_NM, rel=0.02
    )
    other, far = disordered.pair_correlation, np.array(disordered.pair_correlation.r_nm)
    values = np.array(other.g)[(far > 3 * SPACING_NM) & (far < 5 * SPACING_NM)]
    assert values.mean() == pytest.approx(1, abs=0.03)
    assert values.std() < 0.2
    low, high = np.array(disordered.structure_factor.s)[[0, -1]]
    assert low < 0.3 and high == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("size", np.linspace(1.0, 1.5, 26)[:20:2])
def test_far_pairs_are_counted_at_no_distance_of_g(size: float) -> None:
    """A pair beyond the range may be rounded into the last bin, which the mean of g then holds."""
    found = true_positions(Packing.DISORDERED)
    ball = found[np.linalg.norm(found, axis=1) < 14.0] * size
    g = analyse_values(ball, position_error=PositionError(0.0, "truth")).pair_correlation.g
    assert g[-1] < 5
    assert g[0] == 0


def test_layers_and_depth() -> None:
    analysis = true_structure(Packing.FCC)
    table, layers = analysis.particles, analysis.summary.layers
    assert [layer.number for layer in layers] == list(range(1, len(layers) + 1))
    assert layers[0].particles == analysis.summary.surface
    assert np.all(np.diff([layer.depth_nm for layer in layers]) > 0)
    assert table.values["depth_nm"].max() == pytest.approx(80 * 0.9 / 2, abs=SPACING_NM)
    assert analysis.summary.coordination.value == pytest.approx(12, abs=0.5)
    assert all(
        layer.neighbour_distance_nm.value == pytest.approx(SPACING_NM, rel=0.01) for layer in layers
    )


POSITION_ERRORS_NM = (0.10, 0.10, 0.16)
POSITION_ERROR = PositionError(float(np.sqrt(np.mean(np.square(POSITION_ERRORS_NM)))), "given")


@cache
def disturbed_structure(packing: Packing) -> StructureAnalysis:
    true = true_positions(packing)
    found = true + np.random.default_rng(8).normal(0, POSITION_ERRORS_NM, true.shape)
    return analyse_structure(found, position_error=POSITION_ERROR)


def rms_ratio(difference: Array, error: Array) -> float:
    known = np.isfinite(difference) & np.isfinite(error)
    return float(np.sqrt((difference[known] ** 2).mean() / (error[known] ** 2).mean()))


IN_BULK = (Packing.FCC, Packing.MULTI_GRAIN, Packing.ICOSAHEDRAL, Packing.DISORDERED)


@pytest.mark.parametrize("packing", IN_BULK)
def test_errors_of_the_structure_factor_are_those_of_the_positions(packing: Packing) -> None:
    """The differences from the true one are those that the errors of the positions cause.

    The chance of the number of pairs is in the errors, too, and is most of them without order.
    """
    true, found = (one(packing).structure_factor for one in (true_structure, disturbed_structure))
    same_q = np.interp(found.q_per_nm, true.q_per_nm, true.s)
    assert 0.4 < rms_ratio(np.array(found.s) - same_q, np.array(found.error)) < 1.5


@pytest.mark.parametrize("packing", IN_BULK)
@pytest.mark.parametrize(
    "column", ["neighbour_distance_nm", "depth_nm", "q6", "mean_q6", "mean_w4"]
)
def test_errors_of_single_particles_are_those_of_their_positions(
    packing: Packing, column: str
) -> None:
    """With the chance of a missed neighbour in them, they are somewhat too large."""
    true, found = (one(packing).particles for one in (true_structure, disturbed_structure))
    difference = found.values[column] - true.values[column]
    assert 0.5 < rms_ratio(difference, found.errors[column]) < 1.5


@pytest.mark.parametrize("packing", IN_BULK)
def test_coordination_and_its_error_hold_in_each_layer(packing: Packing) -> None:
    true, found = (one(packing).summary.layers for one in (true_structure, disturbed_structure))
    for own, layer in zip(true, found, strict=False):
        error = layer.coordination_error
        assert error is not None
        assert abs(layer.coordination - own.coordination) < 3.5 * error


@pytest.mark.parametrize("packing", IN_BULK)
def test_numbers_of_particles_have_errors(packing: Packing) -> None:
    true, found = (one(packing).summary for one in (true_structure, disturbed_structure))
    numbers = [(true.surface, found.surface, found.surface_error)]
    numbers += [
        (own.particles, layer.particles, layer.particles_error)
        for own, layer in zip(true.layers, found.layers, strict=False)
    ]
    for number, shown, error in numbers:
        assert error is not None and abs(shown - number) < 5 * max(1.0, error)


@pytest.mark.parametrize("packing", IN_BULK)
def test_positions_with_errors_have_the_same_coordination_and_depths(packing: Packing) -> None:
    """The end of the first shell is not one of many equal bins; holes are no surface."""
    true, found = true_structure(packing), disturbed_structure(packing)
    assert found.summary.coordination.value == pytest.approx(
        true.summary.coordination.value, abs=0.3
    )
    depths_nm = found.particles.values["depth_nm"] - true.particles.values["depth_nm"]
    assert float(np.sqrt((depths_nm**2).mean())) < 1.0


def test_a_missed_particle_inside_is_no_surface() -> None:
    true = true_positions(Packing.FCC)
    middle = int(np.linalg.norm(true, axis=1).argmin())
    without = analyse_values(np.delete(true, middle, axis=0))
    depths_nm = np.delete(true_structure(Packing.FCC).particles.values["depth_nm"], middle)
    assert without.particles.values["depth_nm"] == pytest.approx(depths_nm, abs=1.5)


@cache
def grains_that_nearly_merge() -> tuple[Structure, Structure]:
    """Return true and found structure of three grains, two of which are 16 degrees apart."""
    settings = SpecimenSettings(packing=Packing.MULTI_GRAIN, assembly_diameter_nm=165.0)
    true = make_assembly(settings, seed=11).centres_nm
    found = found_positions(true, seed=11, errors_nm=POSITION_ERRORS_NM, missed=0.01, false=0.01)
    return (
        analyse_values(true, position_error=PositionError(0.0, "truth")).summary,
        analyse_structure(found, position_error=POSITION_ERROR).summary,
    )


def test_the_number_of_grains_is_uncertain_where_two_nearly_merge() -> None:
    """With these errors two of the three count as one grain in some repeats of the analysis."""
    true, found = grains_that_nearly_merge()
    error = found.grains_error
    assert error is not None
    assert abs(len(found.grains) - len(true.grains)) <= 3 * error
    assert min(grain.found_again or 0.0 for grain in found.grains) < 1


def test_certain_grains_and_planes_are_found_again_in_each_repeat() -> None:
    found = found_structure(Packing.TWINNED).summary
    assert found.grains_error == 0
    assert [one.found_again for one in (*found.grains, *found.planes)] == [1.0] * 3
    edge = found.boundaries[0]
    assert edge.misorientation_error_deg is not None
    assert abs(edge.misorientation_deg - 60) < 4 * edge.misorientation_error_deg < 2


def test_a_boundary_of_two_grains_at_any_angle_is_no_twin_plane() -> None:
    """A row of particles there may have hcp shells, with nothing close-packed on one side."""
    true, found = grains_that_nearly_merge()
    assert not [edge for edge in true.boundaries if edge.twin]
    assert true.planes == found.planes == []


def test_packing_fraction_is_that_of_the_lattice() -> None:
    found = found_structure(Packing.FCC).summary.packing_fraction
    assert found is not None
    lattice = 4 * np.pi / 6 * 6.3**3 / FCC_EDGE_NM**3
    assert found.value == pytest.approx(lattice * 0.985, rel=0.01)  # 1.5 % were missed


def test_diameters_in_a_wrong_unit_give_no_packing_fraction() -> None:
    points = stacked("ABC" * 4)
    summary = analyse_values(points, np.full(len(points), 63.0)).summary
    assert summary.packing_fraction is None
    assert any("check the unit of the diameters" in note for note in summary.notes)


@pytest.mark.parametrize(
    ("unit", "is_noted"),
    [
        pytest.param(1.0, False, id="nm"),
        pytest.param(1000.0, True, id="nm taken for micrometres"),
        pytest.param(0.01, True, id="far too close"),
    ],
)
def test_distances_in_a_wrong_unit_are_noted(unit: float, is_noted: bool) -> None:
    notes = analyse_values(unit * stacked("ABC" * 4)).summary.notes
    assert any("check the unit of the coordinates" in note for note in notes) is is_noted


def test_a_particle_in_a_hole_of_the_packing_is_left_out() -> None:
    points = stacked("ABC" * 4)
    middle = points[np.argmin(np.linalg.norm(points, axis=1))]
    hole = middle + np.array([0, SPACING_NM / np.sqrt(3), SPACING_NM / np.sqrt(6)])
    analysis = analyse_values(np.vstack([points, hole]))
    assert analysis.summary.left_out == 1
    assert analysis.particles.structure[-1] == LEFT_OUT
    assert analysis.summary.shares[StructureType.FCC].value == 1


def test_particles_of_other_objects_are_left_out() -> None:
    points = stacked("ABC" * 4)
    others = points[:40] + np.array([500.0, 0, 0])
    excluded = np.arange(len(points) + 40) >= len(points)
    analysis = analyse_values(np.vstack([points, others]), excluded=excluded)
    assert analysis.summary.particles == len(points)
    assert (analysis.particles.structure[excluded] == LEFT_OUT).all()


@cache
def known_stack() -> Structure:
    return analyse_values(jittered(stacked("ABCABCBACBA"))).summary


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(lambda p: p[::-1] + 1e4, id="moved and reordered"),
        pytest.param(lambda p: 1e-2 * p, id="in other units"),
        pytest.param(lambda p: p * [1, 1, -1], id="mirrored"),
    ],
)
def test_the_structure_does_not_depend_on_the_frame(changed: object) -> None:
    points = jittered(stacked("ABCABCBACBA"))
    assert callable(changed)
    before, after = known_stack(), analyse_values(changed(points)).summary
    assert after.headline() == before.headline()
    assert {k: v.value for k, v in after.shares.items()} == pytest.approx(
        {k: v.value for k, v in before.shares.items()}, abs=0.005
    )


@pytest.mark.parametrize("packing", OF_EQUAL_SPHERES)
def test_the_quick_headline_of_a_packing_is_that_of_the_whole_analysis(packing: Packing) -> None:
    quick = structure_headline(found_places(packing))
    assert quick == found_structure(packing).summary.headline()


HEADLINES = {
    "twinned stack": lambda: jittered(stacked("ABCABCBACBA")),
    "bcc": lambda: jittered(bcc()),
    "all at the surface": lambda: jittered(stacked("AB", across=2)),
}


@pytest.mark.parametrize("points", HEADLINES.values(), ids=HEADLINES)
def test_the_quick_headline_is_that_of_the_whole_analysis(points: Callable[[], Array]) -> None:
    assert structure_headline(points()) == analyse_values(points()).summary.headline()


def test_errors_larger_than_the_assembly_leave_nothing_certain() -> None:
    given = PositionError(1000.0, "given")
    analysis = analyse_structure(stacked("ABC" * 2), position_error=given)
    assert analysis.summary.shares[StructureType.FCC].error > 0.9
    assert np.isfinite(analysis.structure_factor.error).all()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("number", [20, 60])
def test_any_few_particles_are_analysed(number: int, seed: int) -> None:
    points = np.random.default_rng(seed).normal(0, 10, (number, 3))
    analysis = analyse_structure(points)
    assert analysis.summary.particles + analysis.summary.left_out == number
    assert set(analysis.particles.structure) <= set(range(len(CODES)))


def test_an_icosahedron_of_thirteen() -> None:
    golden = (1 + np.sqrt(5)) / 2
    corners = [np.roll([0, a, b * golden], t) for t in range(3) for a in (1, -1) for b in (1, -1)]
    analysis = analyse_structure(np.vstack([np.zeros(3), corners]))
    assert CODES[analysis.particles.structure[0]] is StructureType.ICOSAHEDRAL
    assert analysis.summary.surface == 12


@pytest.mark.parametrize(
    ("points", "message"),
    [
        pytest.param(np.eye(3), "3 particles; the structure needs 13", id="too few"),
        pytest.param(
            np.vstack([stacked("ABC"), stacked("ABC")[4:5]]), "particles 5 and", id="duplicates"
        ),
        pytest.param(stacked("A"), "one plane", id="one layer"),
    ],
)
def test_what_has_no_structure_is_refused(points: Array, message: str) -> None:
    with pytest.raises(NoStructureError, match=message):
        analyse_structure(points)
