"""Results of the same object side by side, and a session's series with tilts left out."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from controller.app.cli import compare, process
from controller.app.compare_results import folders_to_compare, shortest_names
from controller.app.recorded_series import dropped_tilts, without_dropped
from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from processing import ParticleTable, ProcessSettings, TiltSeries, write_csv
from processing.combine import compare as compare_objects
from processing.combine.compare import Difference, compare_particles
from processing.combine.pose import FLIP, about_z
from processing.files.tilt_series import load_tilt_series
from processing.pipeline.made_with import MadeWith
from processing.pipeline.results_folder import SeriesRecord
from tests.support.finished_session import VOXELS, make_finished
from tests.support.inspected_session import SERIES, keep_series, keep_summary
from tests.support.small_session import TILTS_A, Run, open_session
from tests.support.spheres import packed

DIAMETER_NM = 6.5
POINTS = packed(24, 8.0, order="fcc", seed=4) + np.array([1.1, -0.7, 0.4])
OBJECT = POINTS[POINTS[:, 2] < 17] + np.random.default_rng(4).normal(
    0, 0.2, POINTS[POINTS[:, 2] < 17].shape
)

AWAY_NM = np.array([100.0, 0.0, 0.0])


@dataclass(frozen=True)
class Case:
    name: str
    second: Callable[[], np.ndarray]
    only_first: int = 0
    only_second: int = 0


CASES = [
    Case("the same", lambda: OBJECT),
    Case("in another order", lambda: OBJECT[::-1]),
    Case("seven missing", lambda: OBJECT[7:], only_first=7),
    Case(
        "two more beside it",
        lambda: np.vstack([OBJECT, [[40.0, 0, 0], [0, 40.0, 0]]]),
        only_second=2,
    ),
    Case("cropped elsewhere", lambda: OBJECT + np.array([21.0, -9.0, 4.0])),
    Case("A and B swapped", lambda: OBJECT @ FLIP),
    Case("swapped and turned", lambda: OBJECT @ (about_z(105.0) @ FLIP).T),
    Case("turned by half a degree", lambda: OBJECT @ about_z(0.5).T + [1.0, 0.5, 0.0]),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_particles_of_the_same_object(case: Case) -> None:
    second = case.second()
    found = compare_particles(OBJECT, second, DIAMETER_NM)
    assert found is not None
    assert len(found.only_first) == case.only_first
    assert len(found.only_second) == case.only_second
    assert found.both == len(OBJECT) - case.only_first
    assert found.rms_nm < 0.05


@pytest.mark.parametrize(
    "second",
    [
        packed(24, 9.5, order="disordered", seed=8),
        np.vstack([OBJECT[:20] - AWAY_NM, OBJECT[:20] + AWAY_NM]),
        np.zeros((0, 3)),
    ],
    ids=["another object", "two groups far apart, none near their middle", "none"],
)
def test_different_objects_are_not_compared(second: np.ndarray) -> None:
    assert compare_particles(OBJECT, second, DIAMETER_NM) is None


def random_object(seed: int) -> np.ndarray:
    """Forty particles in no order, none nearer to another than a diameter."""
    rng = np.random.default_rng(seed)
    places = [rng.uniform(-18, 18, 3)]
    while len(places) < 40:
        place = rng.uniform(-18, 18, 3)
        if min(np.linalg.norm(place - other) for other in places) > DIAMETER_NM:
            places.append(place)
    return np.array(places)


def test_pairs_by_chance_are_told_from_a_part_that_both_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compare_objects, "FEWEST_PAIRED", 0.1)  # chance seldom pairs more
    objects = [random_object(seed) for seed in range(4)]
    for one, other in pairwise(objects):
        found = compare_particles(one, other, DIAMETER_NM)
        assert found is None or found.by_chance
        part = compare_particles(one, one[20:] @ about_z(30.0).T, DIAMETER_NM)
        assert part is not None and part.both == 20 and not part.by_chance


def test_a_comparison_says_that_few_pairs_show_different_objects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = np.zeros(0, np.int64)
    by_chance = Difference(55, nothing, nothing, 1.0, np.zeros((0, 3)), False, True)
    monkeypatch.setattr(compare_objects, "compare_particles", lambda *_: by_chance)
    run_compare(make_finished(tmp_path / "one"), make_finished(tmp_path / "two"))
    assert "these show different objects" in capsys.readouterr().out


CELLS = np.stack(np.mgrid[-4:5, -4:5, -4:5], axis=-1).reshape(-1, 3)
FCC_NM = 8.0 / np.sqrt(2) * CELLS[CELLS.sum(axis=1) % 2 == 0]
SYMMETRICAL = FCC_NM[np.linalg.norm(FCC_NM, axis=1) < 24]
"""Sphere of a perfect fcc crystal around one of its particles, an axis of symmetry upright."""
SCATTERED = SYMMETRICAL + np.random.default_rng(7).normal(0, 0.15, SYMMETRICAL.shape)


@dataclass(frozen=True)
class Pair:
    name: str
    first: np.ndarray
    turn: np.ndarray
    ambiguous: bool


PAIRS = [
    Pair("near-symmetric pose at its own place", SCATTERED, FLIP, False),
    Pair("near-symmetric pose, turned by 40 degrees", SCATTERED, FLIP @ about_z(40.0), False),
    Pair("a perfect crystal has no pose of its own", SYMMETRICAL, FLIP, True),
]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_the_right_one_of_near_symmetric_poses_is_taken(pair: Pair) -> None:
    found = compare_particles(pair.first, pair.first @ pair.turn.T, DIAMETER_NM)
    assert found is not None
    assert found.both == len(pair.first)
    assert found.rms_nm < 0.01
    assert found.ambiguous == pair.ambiguous


def run_compare(*words: object) -> int:
    parser = argparse.ArgumentParser()
    compare.add_arguments(parser)
    return compare.run(parser.parse_args([str(word) for word in words]))


def test_results_made_again_are_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = make_finished(tmp_path / "session")
    again = make_finished(session / "processed-2")
    x_nm = 6.0 * np.arange(len(VOXELS) + 1)
    centres_nm = np.stack([x_nm, 0 * x_nm, 0 * x_nm], axis=1)
    for folder, kept in ((session, slice(None, -1)), (again, slice(None))):
        table = ParticleTable(centres_nm, np.full(len(x_nm), 6.3), np.full(len(x_nm), 0.9))
        few = ParticleTable(table.centres_nm[kept], table.diameter_nm[kept], table.confidence[kept])
        write_csv(folder / "processed" / "particles_fused.csv", few)
    assert run_compare(session, "--out", tmp_path / "out") == ExitCode.OK
    out = capsys.readouterr().out
    assert f"processed-2: {again}" in out
    assert "only in session" in out and "also in session" in out
    with (tmp_path / "out" / "differences.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["only_in"], float(row["x_nm"])) for row in rows] == [(str(again), 12.0)]
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert "Results side by side" in page
    assert '<th scope="col">session</th><th scope="col">processed-2</th>' in page


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        pytest.param(("/a/s1", "/a/s2"), ["s1", "s2"], id="sessions"),
        pytest.param(("/a/s1", "/a/s1/processed-2"), ["s1", "processed-2"], id="made again"),
        pytest.param(("/a/out", "/b/out", "/b/c"), ["a/out", "b/out", "c"], id="the same name"),
        pytest.param(("/out", "/a/out"), ["/out", "a/out"], id="at the root"),
    ],
)
def test_results_are_named_by_what_tells_their_folders_apart(
    folders: tuple[str, ...], names: list[str]
) -> None:
    assert shortest_names([Path(folder) for folder in folders]) == names


def keep_settings(folder: Path, settings: ProcessSettings) -> None:
    """Write the record and the summary of series A as processing keeps them."""
    keep_summary(folder, SERIES)
    keep_series(folder)
    path = folder / "processed" / "A.json"
    record = SeriesRecord.model_validate_json(path.read_text())
    kept = record.model_copy(update={"made_with": MadeWith(settings=settings, files={})})
    path.write_text(kept.model_dump_json())


def test_other_settings_and_the_images_in_use_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = make_finished(tmp_path / "first")
    second = make_finished(tmp_path / "second")
    third = make_finished(tmp_path / "third")
    keep_settings(first, ProcessSettings())
    keep_settings(second, ProcessSettings(diameter_nm=6.3, second_size=False))
    assert run_compare(first, second, third, "--out", tmp_path / "out") == ExitCode.OK
    expected = [
        "other setting: diameter_nm 6.3 (first: not given)",
        "other setting: second_size false (first: true)",
    ]
    said = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert [
        line for line in said if line.startswith("other")
    ] == expected  # those of the third are lost
    assert any("images, A + B" in line and line.count("5") == 2 for line in said)
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert all(line in page for line in expected)


@pytest.mark.parametrize(
    ("folders", "says"),
    [
        (("session",), "holds one result"),
        (("session", "none"), "none: no such folder"),
        (("none",), "none: no such folder"),
        (("session", "session/processed/summary.json"), "is a file, not the folder of results"),
        (("session", "empty"), "no such file; process the series first"),
        (("empty",), "empty: holds no results; process the series first"),
        (("session", "session"), "session: is given twice"),
        (("session", "empty/../session"), "session: is given twice"),
    ],
)
def test_nothing_to_compare_is_said(tmp_path: Path, folders: tuple[str, ...], says: str) -> None:
    make_finished(tmp_path / "session")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=says):
        run_compare(*(tmp_path / folder for folder in folders))


def test_results_that_are_not_complete_are_left_out(tmp_path: Path) -> None:
    session = make_finished(tmp_path / "session")
    make_finished(session / "processed-2")
    (session / "processed-3" / "processed").mkdir(parents=True)
    assert run_compare(session) == ExitCode.OK


def test_the_newest_results_of_each_folder_are_compared(tmp_path: Path) -> None:
    only_again, session = tmp_path / "prac", make_finished(tmp_path / "s1")
    for name in ("processed-2", "processed-10"):
        make_finished(only_again / name)
    newest = only_again / "processed-10"
    assert folders_to_compare([only_again, session]) == [newest, session]
    assert folders_to_compare([only_again]) == [only_again / "processed-2", newest]
    assert folders_to_compare([only_again, newest]) == [only_again / "processed-2", newest]


@pytest.mark.parametrize("name", ["comparison.html", "differences.csv"])
def test_no_other_file_is_replaced(tmp_path: Path, name: str) -> None:
    session, again = make_finished(tmp_path / "a"), make_finished(tmp_path / "b")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(UsageError, match=f"{name}: not of a comparison"):
        run_compare(session, again, "--out", tmp_path / "out")
    assert [path.read_text() for path in (tmp_path / "out").iterdir()] == ["mine"]
    for _ in range(2):
        assert run_compare(session, again, "--out", tmp_path / "own") == ExitCode.OK


def series(tilts: int) -> TiltSeries:
    return TiltSeries(np.ones((tilts, 8, 8), np.float32), np.arange(float(tilts)), 1.0)


def test_dropped_images_of_a_stack_are_counted_from_one() -> None:
    (found,) = without_dropped([series(5)], [dropped_tilts("A:1,4")])
    assert found.excluded.tolist() == [True, False, False, True, False]


def test_dropped_tilts_of_a_session_are_those_of_its_plan(tmp_path: Path) -> None:
    session = open_session(tmp_path / "s")
    Run(session).go()
    frames = session.ledger.frames["A"]
    recorded = load_tilt_series(tmp_path / "s" / "A.mrc")
    (found,) = without_dropped([recorded], [dropped_tilts("A#2")])
    assert [f.tilt_number for f in frames if found.excluded[f.section]] == [2]
    assert len(frames) == len(TILTS_A)


@pytest.mark.parametrize(
    ("drop", "says"), [("A:9", "tilts 1 to 5"), ("A:0", "tilts 1 to 5"), ("B:1", "no series B")]
)
def test_unknown_tilts_are_refused(drop: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        without_dropped([series(5)], [dropped_tilts(drop)])


def test_words_that_name_no_tilts_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    process.add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["A.mrc", "--drop", "12"])
    assert "write for example A:12,13" in capsys.readouterr().err
