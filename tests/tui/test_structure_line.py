"""Structure of the particles counted so far, and running jobs, on the screen and in the log."""

from __future__ import annotations

import pytest

from controller.model.base import Which
from controller.model.events import Counted, ProcessingProgressed
from controller.model.processing_jobs import JobName
from controller.service.series_changes import counted
from controller.service.session_status import SessionStatus
from controller.ui.tui.layout import SIDE_CELLS
from controller.ui.tui.panel_parts import count_table, job_lines, structure_lines

FCC = "fcc 61 %, hcp 14 %, 5 grains"
LONG = "icosahedral 51 %, disordered 38 %, fcc 11 %, 12 grains (doubtful)"


def after(*counts: tuple[Which, str, bool]) -> SessionStatus:
    """Return the status after counts of volumes, each with its structure, live or final."""
    status = SessionStatus()
    for which, structure, live in counts:
        event = Counted(
            which=which, n=100, n_low=98, n_high=102, tilts_used=9, live=live, structure=structure
        )
        status = status.model_copy(update=counted(status, event))
    return status


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        pytest.param(after(), [], id="no count"),
        pytest.param(after(("A", "", True)), [], id="too early"),
        pytest.param(after(("A", FCC, True)), [FCC], id="live"),
        pytest.param(after(("A", FCC, True), ("A", "", True)), [], id="not any more"),
        pytest.param(after(("A", "of A", False), ("fused", FCC, True)), [FCC], id="fused first"),
        pytest.param(after(("A", FCC, False), ("A", "late", True)), [FCC], id="final stays"),
    ],
)
def test_the_newest_structure_is_shown(status: SessionStatus, shown: list[str]) -> None:
    assert [line.plain for line in structure_lines(status, "fused", "A")] == shown
    assert [line.plain for line in count_table(status)][-len(shown) :] == shown or not shown


def test_a_long_one_is_wrapped() -> None:
    lines = [line.plain for line in structure_lines(after(("A", LONG, True)), "A")]
    assert " ".join(lines) == LONG
    assert all(len(line) < SIDE_CELLS for line in lines)


@pytest.mark.parametrize(
    "stage", ["SIRT", "comparison with the images", "positions of the particles"]
)
def test_the_line_of_a_job_fits_and_ends_with_its_percent(stage: str) -> None:
    progress = ProcessingProgressed(job=JobName.FUSE, stage=stage, fraction=0.53)
    (shown,) = job_lines(SessionStatus(processing={JobName.FUSE: progress}))
    assert shown.plain.startswith(f"fuse: {stage} ") and shown.plain.endswith(" 53%")
    assert shown.cell_len <= SIDE_CELLS - 2
