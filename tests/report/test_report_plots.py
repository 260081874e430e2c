"""Plots, slices and exit surfaces of the report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from controller.model.events import TiltJudged
from controller.report import plots
from controller.report.report_data import read_report_data
from controller.report.volumes import Plane, Pose, Volume, exit_surface
from processing.files.mrc import write_volume
from tests.report.session_events import STARTED, recorded, write_events
from tests.report.session_folders import A_ONLY, PIXEL_NM, SIDE, SUMMARY, WHOLE, ball, page_of


def test_slices_of_b_are_in_the_coordinates_of_a(tmp_path: Path) -> None:
    """A bright voxel of B appears at its registered position."""
    matrix = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, -1]])
    shift = np.array([4.0, -6.0, 2.0])
    in_b = np.array([10.0, -14.0, 8.0])
    data = np.zeros((21, 21, 21), np.float32)
    x, y, z = (in_b / PIXEL_NM + 10).astype(int)
    data[z, y, x] = 1
    write_volume(tmp_path / "v.mrc", data, PIXEL_NM)
    in_a = matrix @ in_b + shift
    volume = Volume(tmp_path / "v.mrc", Pose(matrix, shift))
    image = volume.values_on(Plane.xy(21, PIXEL_NM, in_a[2]))
    row, column = np.unravel_index(image.argmax(), image.shape)
    assert image.max() == pytest.approx(1)
    assert (column - 10) * PIXEL_NM == pytest.approx(in_a[0])
    assert (row - 10) * PIXEL_NM == pytest.approx(in_a[1])
    spheres = volume.spheres_on(Plane.xy(21, PIXEL_NM, in_a[2] + 4.0), 12.0)
    area_nm2 = spheres.sum() * PIXEL_NM**2
    assert area_nm2 == pytest.approx(np.pi * (6.0**2 - 4.0**2), rel=0.15)


@pytest.mark.parametrize(("side", "sign"), [(-1, -1), (1, 1)], ids=["A, below", "B, above"])
def test_the_exit_surface_is_on_the_exit_side(side: int, sign: int) -> None:
    line = exit_surface(ball()[:, SIDE // 2], PIXEL_NM, 6.3, side)
    x, z = np.array(line).T
    assert sign * np.median(z) > 10
    np.testing.assert_allclose(np.hypot(x, z), 28, atol=7)


def test_an_assembly_cut_off_by_the_image_has_no_exit_surface() -> None:
    assert exit_surface(ball(60.0)[:, SIDE // 2], PIXEL_NM, 6.3, -1) == []


@pytest.mark.parametrize(
    ("residual_px", "rms_px", "says"),
    [
        pytest.param(0.9, 0.1, None, id="below the line"),
        pytest.param(1.4, 0.1, "not the frame", id="over the line, fits in the end"),
        pytest.param(1.4, 0.6, "look at these frames", id="over the line, and perhaps in the end"),
        pytest.param(1.4, None, "look at these frames", id="over the line, no final alignment"),
    ],
)
def test_residuals_over_the_line_are_explained(
    tmp_path: Path, residual_px: float, rms_px: float | None, says: str | None
) -> None:
    peak = TiltJudged(
        series="A", tilt_number=3, section=2, residual_px=residual_px, shift_px=(1.0, 2.0)
    )
    write_events(tmp_path, [*STARTED, *recorded("A"), peak])
    if rms_px is not None:
        (tmp_path / "processed").mkdir()
        series = {"A": SUMMARY["series"]["A"] | {"align_rms_px": rms_px}}
        (tmp_path / "processed" / "summary.json").write_text(
            json.dumps(A_ONLY | {"series": series})
        )
    page = page_of(tmp_path)
    assert ("Over the line: A at " in page) == (says is not None)
    assert says is None or says in page


def test_a_single_tilt_has_no_plots(tmp_path: Path) -> None:
    write_events(tmp_path, [*STARTED, *recorded("A")[:3]])
    assert "Per-tilt plots" not in page_of(tmp_path)


@pytest.mark.parametrize(
    ("title", "values", "lowest", "highest"),
    [
        pytest.param("mean counts", (3950.0, 3970.0), 0.2, 0.8, id="nearly constant counts"),
        pytest.param("mean counts", (100.0, 900.0), 0.05, 0.95, id="counts that vary strongly"),
        pytest.param(
            "live residual / px", (0.2, 0.4), 0.0, 0.5, id="residuals far below the limit"
        ),
        pytest.param("live residual / px", (0.2, 3.0), 0.0, 0.98, id="residuals above the limit"),
    ],
)
def test_a_curve_fits_in_its_axes(
    tmp_path: Path, title: str, values: tuple[float, float], lowest: float, highest: float
) -> None:
    low, high = values
    [curve] = [known for known in plots.CURVES if known.title == title]
    moving = replace(curve, value=lambda tilt: low if tilt.frame.section % 2 else high)
    write_events(tmp_path, WHOLE)
    axis = Figure().subplots()
    plots._draw(axis, read_report_data(tmp_path), moving)
    bottom, top = axis.get_ylim()
    at = [(value - bottom) / (top - bottom) for value in values]
    assert lowest <= at[0] < at[1] <= highest
    assert curve.limit is None or bottom < curve.limit < top
