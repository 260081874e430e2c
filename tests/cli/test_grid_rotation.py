"""Status and report of a grid name the rotation by the flip, and targets that deviate from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from controller.app.grid_status import read_status
from controller.model.stage import StagePosition
from controller.procedures.flip.check_flip import not_compared
from controller.report.grid_page import as_page
from controller.service.queue_status import QueueStatus
from controller.service.session_status import CountPoint, CountStatus, SessionStatus
from controller.session.entries import FlipJudged, HeightMeasured
from controller.session.folder import SessionFolder
from controller.session.grid_folder import GridFolder
from controller.session.queue_journal import QueueOpened, TargetDone, replay_queue
from controller.session.session import Session
from processing.combine.pose import FLIP
from processing.results import Registration
from tests.support.finished_session import TRUSTED, summary
from tests.support.small_session import PROTOCOL

NAMES = ("p", "q", "r", "s")
COUNTED = SessionStatus(
    counts={
        "fused": CountStatus(
            points=(CountPoint(tilts_used=9, n=57, n_low=56, n_high=58),), live=False
        )
    }
)


def turned(in_plane_deg: float, seat_deg: float) -> np.ndarray:
    """Return the rotation [3, 3] of the grid after it was turned over."""
    return np.asarray(Rotation.from_euler("zx", [in_plane_deg, seat_deg], degrees=True).as_matrix())


def finish(folder: SessionFolder, in_plane_deg: float, seat_deg: float) -> None:
    """Write status and summary of a target whose series B has this rotation."""
    turn = turned(in_plane_deg, seat_deg)
    registration = Registration(
        matrix=(turn @ FLIP).T.tolist(),
        shift_nm=(0.0, 0.0, 0.0),
        score=0.9,
        runner_up=0.2,
        in_plane_deg=in_plane_deg,
        seat_tilt_deg=seat_deg,
        rms_nm=0.1,
    )
    (folder.path / "processed").mkdir(parents=True, exist_ok=True)
    folder.status.write_text(COUNTED.model_dump_json())
    results = summary(TRUSTED).model_copy(update={"registration": registration})
    (folder.path / "processed" / "summary.json").write_text(results.model_dump_json())


def status_of(grid: GridFolder) -> QueueStatus:
    done = [TargetDone(target=name) for name in NAMES]
    state = replay_queue([QueueOpened(order=NAMES), *done])
    return read_status(grid, "grid", state)


def test_a_target_that_is_rotated_otherwise_is_named_with_its_doubt(tmp_path: Path) -> None:
    grid = GridFolder(tmp_path)
    for name, in_plane_deg in zip(NAMES, (144.0, 144.1, 143.9, 150.0), strict=True):
        finish(grid.target(name), in_plane_deg, 1.5)
    status = status_of(grid)
    assert "3 of 4 targets show the same rotation" in status.rotation
    assert "144.0 degrees in the plane, tilted by 1.5 degrees" in status.rotation
    reasons = {row.name: row.reason for row in status.targets}
    assert "rotated against A 6.0 degrees otherwise" in reasons.pop("s")
    assert set(reasons.values()) == {""}
    page = as_page(status)
    assert "rotated against A 6.0 degrees otherwise" in page and "144.0 degrees" in page


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.unlink(), id="being made again"),
        pytest.param(lambda path: path.write_text("{"), id="damaged"),
    ],
)
def test_results_that_cannot_be_read_are_passed_over(spoil: object, tmp_path: Path) -> None:
    grid = GridFolder(tmp_path)
    for name in NAMES:
        finish(grid.target(name), 20.0, 1.0)
    spoil(grid.target("q").path / "processed" / "summary.json")  # type: ignore[operator]
    assert "3 of 3 targets" in status_of(grid).rotation


def measure_heights(folder: SessionFolder, height_nm: float, place_nm: np.ndarray) -> None:
    """Journal the heights of a target: on its film before the flip, and at its place after it."""
    SessionFolder.create(folder.path, PROTOCOL)
    session = Session.open(folder)
    x_nm, y_nm, z_nm = -place_nm  # a stage position brings what lies at its opposite to the axis
    stages = {
        "A": StagePosition(z_nm=-height_nm),
        "B": StagePosition(x_nm=x_nm, y_nm=y_nm, z_nm=z_nm),
    }
    for series, stage in stages.items():
        session.enter(HeightMeasured(step_id=series, series=series, stage=stage, error_nm=5.0))  # type: ignore[arg-type]
    session.enter(FlipJudged(check=not_compared("flipped")))
    session.close()


FILM_NM = {
    "p": (0.0, 0.0, 50.0),
    "q": (20000.0, 3000.0, -200.0),
    "r": (-15000.0, 12000.0, 300.0),
    "s": (5000.0, -18000.0, -100.0),
}
"""Places of the targets on the grid before the flip, and their heights."""


@pytest.mark.parametrize(
    ("seat_deg", "says"),
    [
        pytest.param(
            1.5, ", rising towards 90 degrees from x to y, as the particles do", id="the same"
        ),
        pytest.param(3.5, "but the particles show one that is 2.0", id="another one"),
    ],
)
def test_the_seat_tilt_from_heights_is_compared_with_that_of_the_particles(
    seat_deg: float, says: str, tmp_path: Path
) -> None:
    grid, turn = GridFolder(tmp_path), turned(144.0, 1.5) @ FLIP
    for name, place_nm in FILM_NM.items():
        measure_heights(grid.target(name), place_nm[2], turn @ np.array(place_nm))
    before = status_of(grid)
    assert before.seat_tilt.startswith("the heights of 4 targets show a seat tilt of 1.50 degrees")
    assert before.rotation == "" and "particles" not in before.seat_tilt
    for name in NAMES:
        finish(grid.target(name), 144.0, seat_deg)
    status = status_of(grid)
    assert says in status.seat_tilt
    assert ("as the particles do" in status.seat_tilt) is (seat_deg == 1.5)
    assert f"Heights: {status.seat_tilt}." in as_page(status)


def test_a_target_off_the_plane_of_the_others_is_named_with_its_doubt(tmp_path: Path) -> None:
    grid, turn = GridFolder(tmp_path), turned(20.0, 1.0) @ FLIP
    for name, (x_nm, y_nm) in zip(
        "pqrstu", np.random.default_rng(3).uniform(-9e3, 9e3, (6, 2)), strict=True
    ):
        place_nm = turn @ np.array([x_nm, y_nm, 0.0])
        place_nm[2] += 400.0 * (name == "t")
        measure_heights(grid.target(name), 0.0, place_nm)
    state = replay_queue([QueueOpened(order=tuple("pqrstu"))])
    rows = {row.name: row.reason for row in read_status(grid, "grid", state).targets}
    assert "nm above the plane of the other targets" in rows.pop("t")
    assert set(rows.values()) == {""}
