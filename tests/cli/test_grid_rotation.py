"""Status and report of a grid name the rotation by the flip, and targets that deviate from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy.spatial.transform import Rotation

from controller.app.grid_status import read_status
from controller.report.grid_page import as_page
from controller.service.queue_status import QueueStatus
from controller.service.session_status import CountPoint, CountStatus, SessionStatus
from controller.session.folder import SessionFolder
from controller.session.grid_folder import GridFolder
from controller.session.queue_journal import QueueOpened, TargetDone, replay_queue
from processing.combine.pose import FLIP
from processing.results import Registration
from tests.support.finished_session import TRUSTED, summary

NAMES = ("p", "q", "r", "s")
COUNTED = SessionStatus(
    counts={
        "fused": CountStatus(
            points=(CountPoint(tilts_used=9, n=57, n_low=56, n_high=58),), live=False
        )
    }
)


def finish(folder: SessionFolder, in_plane_deg: float, seat_deg: float) -> None:
    """Write status and summary of a target whose series B has this rotation."""
    turn = Rotation.from_euler("zx", [in_plane_deg, seat_deg], degrees=True).as_matrix()
    registration = Registration(
        matrix=(turn @ FLIP).T.tolist(),
        shift_nm=(0.0, 0.0, 0.0),
        score=0.9,
        runner_up=0.2,
        in_plane_deg=in_plane_deg,
        seat_tilt_deg=seat_deg,
        rms_nm=0.1,
    )
    (folder.path / "processed").mkdir(parents=True)
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
