"""Particles of a given shape: its name, its symmetry, and bodies found in simulated series."""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from controller.app.cli.processing_arguments import add_processing_arguments, chosen_settings
from controller.model.scan import ScanSettings
from processing.errors import ProcessingError
from processing.files.particles import ParticleTable, write_xyz
from processing.fit.beam import fit_beam
from processing.fit.render import Frame, thickness_images
from processing.fit.view import Spheres, views_of
from processing.fit.view_model import model_views
from processing.pipeline import both_series, detect_bodies
from processing.pipeline.both_series import BothSeries
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.single import process_series
from processing.results import Cause, Trust, Verdict
from processing.series import TiltSeries
from processing.shapes.bodies import Bodies, without_overlaps
from processing.shapes.body import Body, parse_shape
from processing.shapes.orientations import (
    STEP_DEG,
    prevailing_orientations,
    spread_orientations,
    turns_of_axes,
)
from processing.shapes.reorient import reoriented
from processing.shapes.search import evened
from simulator.rigid import match_particles
from simulator.series import DualSeries, simulate_dual
from simulator.settings import Shape, SimulatorSettings, SpecimenSettings
from tests.accuracy.shapes import fitted_pose
from tests.support.recorded import as_read

NAMES = ("rod:6x20", "cube:8", "octahedron:9", "tetrahedron:10")
VOLUMES_NM3 = {
    "rod:6x20": np.pi * 9 * 14 + np.pi / 6 * 216,
    "cube:8": 512,
    "octahedron:9": np.sqrt(2) / 3 * 729,
    "tetrahedron:10": 1000 / np.sqrt(72),
}


def body_of(name: str) -> Body:
    body = parse_shape(name)
    assert body is not None
    return body


@pytest.mark.parametrize("name", NAMES)
def test_a_shape_has_its_size_and_symmetry(name: str) -> None:
    body = body_of(name)
    assert body.name == name and len(body.offsets_nm) > 3
    assert np.abs(body.offsets_nm.mean(axis=0)).max() < 1e-9
    turned = [one.apply(body.offsets_nm) for one in body.symmetry]
    for offsets in turned:
        distance = np.linalg.norm(offsets[:, None] - body.offsets_nm[None], axis=2)
        assert distance.min(axis=1).max() < 1e-9
    start = Rotation.random(random_state=1)
    equal = Rotation.concatenate([start * one for one in body.symmetry])
    same = Rotation.concatenate([start] * len(equal))
    assert body.misorientation_deg(equal, same).max() < 1e-3
    off = start * Rotation.from_rotvec([np.deg2rad(7.0), 0.0, 0.0])
    assert body.misorientation_deg(off, start) == pytest.approx(7.0, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_every_orientation_has_a_near_one_in_the_search(name: str) -> None:
    body = body_of(name)
    searched = spread_orientations(body)
    for turn in Rotation.random(6, random_state=2):
        same = Rotation.concatenate([turn] * len(searched))
        assert body.misorientation_deg(searched, same).min() < 1.2 * STEP_DEG


def test_both_series_begin_with_sure_bodies_at_each_entrance() -> None:
    heights_nm = np.array([-30.0, -10.0, 10.0, 30.0])
    tables = [
        ParticleTable(
            np.column_stack([np.full(4, x), np.zeros(4), heights_nm]),
            np.full(4, 8.0),
            np.array([0.99, 0.99, 0.99, 0.5]),
            quaternion=np.tile([0.0, 0.0, 0.0, 1.0], (4, 1)),
        )
        for x in (0.0, 20.0)
    ]
    a = SimpleNamespace(detection=SimpleNamespace(table=tables[0]))
    seen = cast(BothSeries, SimpleNamespace(a=a, table_b=tables[1]))
    known = both_series._on_entrance_sides(seen, body_of("cube:8"))
    # the beam of A enters at large z, where one body is not sure; that of B at small z
    np.testing.assert_array_equal(known.centres_nm[:, [0, 2]], [[0, 10], [20, -30], [20, -10]])


def test_orientations_that_many_bodies_share_prevail() -> None:
    body = body_of("rod:6x20")
    rng = np.random.default_rng(1)
    along_x, along_z = [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]
    axes = np.repeat([along_x, along_z, [0.0, 1.0, 0.0]], [50, 40, 10], axis=0)
    axes += rng.normal(0, 0.1, axes.shape)
    found = turns_of_axes(axes / np.linalg.norm(axes, axis=1, keepdims=True))
    prevailing = prevailing_orientations(body, spread_orientations(body), found)
    for turns, axis in zip(prevailing, (along_x, along_z), strict=True):
        assert (np.abs(turns.apply(along_z) @ axis) > 0.6).all()
    scattered = Rotation.random(300, random_state=4)
    assert prevailing_orientations(body, spread_orientations(body), scattered) == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("rod:6", "its size cannot be read; write for example rod:6x20"),
        ("cube:8,5", "its size cannot be read; write for example cube:8.5"),
        ("rod:20x6", "longer than its diameter"),
        ("cube:-3", "larger than 0"),
        ("cube", "its size is missing"),
        ("plate:3", "no shape"),
        ("missing.xyz", "no such file"),
    ],
)
def test_wrong_shapes_are_refused(text: str, named: str) -> None:
    with pytest.raises(ProcessingError, match=named):
        parse_shape(text)


def test_a_file_of_balls_is_a_body(tmp_path: Path) -> None:
    places = np.array([[0.0, 0.0, 0.0], [3.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    write_xyz(tmp_path / "bent.xyz", ParticleTable(places, np.full(3, 4.0), np.ones(3)))
    body = body_of(str(tmp_path / "bent.xyz"))
    assert body.ball_nm == pytest.approx(4.0, abs=1e-3) and len(body.symmetry) == 1
    np.testing.assert_allclose(body.offsets_nm, places - places.mean(axis=0), atol=1e-3)


def test_of_overlapping_bodies_the_brighter_one_stays() -> None:
    body = body_of("rod:6x20")
    turns = Rotation.from_euler("x", [[0], [90], [0]], degrees=True)
    places = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 3.0], [7.0, 0.0, 0.0]])
    kept = without_overlaps(body, Bodies(places, turns, np.array([0.9, 1.0, 0.5])))
    np.testing.assert_array_equal(kept.amplitudes, [1.0, 0.5])


def test_the_search_sees_faded_bodies_as_clearly_as_others_but_does_not_raise_noise() -> None:
    rng = np.random.default_rng(1)
    fading = np.linspace(1.0, 0.2, 60, dtype=np.float32)[:, None, None]
    details = rng.normal(size=(60, 50, 50)).astype(np.float32) * fading
    details[:, :, 30:] *= 1e-3
    even = evened(details, width_px=4.0)
    near, far = even[5:15, :, :20].std(), even[-15:-5, :, :20].std()
    assert far > 0.9 * near
    assert even[:, :, 40:].std() < 0.05 * near


def drawn(body: Body) -> tuple[TiltSeries, Bodies]:
    """Return images of three bodies made of balls, and the bodies."""
    centres_nm = np.array([[-13.0, 0.0, 4.0], [13.0, 2.0, -4.0], [0.0, 14.0, 0.0]])
    bodies = Bodies(centres_nm, Rotation.random(3, random_state=3), np.ones(3))
    angles_deg = np.arange(-70.0, 71.0, 5.0)
    frame = Frame((72, 72), 1.0, np.eye(2), np.zeros((len(angles_deg), 2)))
    places_nm = body.balls_nm(centres_nm, bodies.turns).reshape(-1, 3)
    images = thickness_images(places_nm, body.ball_nm, np.deg2rad(angles_deg), frame)
    return TiltSeries(images, angles_deg, frame.pixel_nm), bodies


@pytest.mark.parametrize("name", ["rod:6x20", "cube:8", "octahedron:9"])
def test_a_lost_orientation_is_found_in_the_images(name: str) -> None:
    body = body_of(name)
    series, true = drawn(body)
    lost = replace(true, turns=Rotation.from_rotvec([0.5, 0.4, -0.3]) * true.turns)
    assert body.misorientation_deg(lost.turns, true.turns).min() > 15
    balls_nm = body.balls_nm(lost.centres_nm, lost.turns).reshape(-1, 3)
    balls = Spheres(balls_nm, np.ones(len(balls_nm)))
    with ThreadPoolExecutor(1) as pool:
        views = views_of(series, body.ball_nm)
        beam = fit_beam(views, balls, pool)
        models = [model_views(some, beam, balls) for some in views]
        found = reoriented(models, lost, body, pool)
    assert body.misorientation_deg(found.turns, true.turns).max() < 10
    assert np.abs(found.centres_nm - true.centres_nm).max() < 0.1 * body.width_nm


def test_candidates_that_overlap_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    body = body_of("cube:8")
    series, true = drawn(body)
    beside = replace(true, centres_nm=true.centres_nm + 2.0, amplitudes=np.full(3, 0.8))
    volume = np.zeros((72, 72, 72), np.float32)
    found = true.followed_by(beside), volume
    monkeypatch.setattr(detect_bodies, "search_volume", lambda *_, **__: found)
    assert detect_bodies.detect_bodies(volume, [(series, None)], body).count.n == 3


@pytest.fixture(scope="module")
def rods() -> DualSeries:
    settings = SimulatorSettings(
        seed=7,
        specimen=SpecimenSettings(
            shape=Shape.ROD, assembly_diameter_nm=34.0, other_assemblies_nm=()
        ),
    )
    scan = ScanSettings(width_px=52, height_px=52, pixel_nm=1.0, dwell_us=5.0)
    angles = np.arange(-72.0, 73.0, 5.0)
    return simulate_dual(settings, scan, angles, angles[:2], 70.0, tracking_error_nm=2.0)


def test_rods_are_found_with_their_orientations(rods: DualSeries) -> None:
    result = process_series(as_read(rods.a, 1.0, "A"), ProcessSettings(shape="rod:6x20"))
    table, truth = result.detection.table, rods.truth
    assert truth.quaternions is not None
    pose = fitted_pose(truth.centres_nm, table.centres_nm, 2.0)
    true, found = match_particles(truth.centres_nm, pose.apply(table.centres_nm), 2.0)
    assert 2 * len(true) / (len(truth) + len(table)) >= 0.95
    turned = Rotation.from_matrix(pose.matrix) * Rotation.from_quat(table.quaternion[found])
    body = body_of("rod:6x20")
    angles = body.misorientation_deg(Rotation.from_quat(truth.quaternions[true]), turned)
    assert np.median(angles) < 3.0
    assert result.diameter.value == 6.0 and result.diameter.shape is not None
    count = result.detection.count
    assert count.n_low <= len(truth) <= count.n_high
    assert count.verdict is not None and count.verdict.state is not Trust.REFUSED


@pytest.mark.parametrize(
    ("words", "second_size"), [([], True), (["--kinds", "2"], True), (["--kinds", "1"], False)]
)
def test_the_verbs_take_the_number_of_sizes(words: list[str], *, second_size: bool) -> None:
    parser = argparse.ArgumentParser()
    add_processing_arguments(parser)
    chosen = chosen_settings(parser.parse_args(words))
    assert ProcessSettings(**chosen).second_size is second_size


def test_the_verbs_take_a_shape_that_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_processing_arguments(parser)
    chosen = chosen_settings(parser.parse_args(["--shape", "rod:6x20"]))
    assert ProcessSettings(**chosen).known_diameter_nm == 6.0
    assert chosen_settings(parser.parse_args(["--shape", "sphere"])) == {}
    with pytest.raises(SystemExit):
        parser.parse_args(["--shape", "rod:6"])
    assert "its size cannot be read" in capsys.readouterr().err


def test_a_shape_that_leaves_much_unexplained_is_doubted() -> None:
    assert not detect_bodies._shape_doubt(0.006, body_of("cube:8"))
    assert detect_bodies._shape_doubt(0.023, body_of("cube:8"))
    (line,) = detect_bodies._shape_doubt(0.038, body_of("octahedron:9"))
    assert "octahedron:9 leaves 3.8%" in line and "orientations mean nothing" in line


def test_doubts_of_bodies_are_none_of_the_input() -> None:
    refused = Verdict(state=Trust.REFUSED, reasons=("spheres leave 67%",), causes=(Cause.NOISE,))
    for given, state in ((Verdict(state=Trust.TRUSTED), Trust.DOUBTFUL), (refused, Trust.REFUSED)):
        found = detect_bodies._about_bodies(given, ("1 of 25",))
        assert found.state is state and not found.lines(Cause.INPUT)
        assert found.lines(Cause.NOT_SPHERES) == ["1 of 25"]
    assert "spheres" not in found.reasons[0]
    assert detect_bodies._about_bodies(Verdict(state=Trust.TRUSTED), ()).state is Trust.TRUSTED
