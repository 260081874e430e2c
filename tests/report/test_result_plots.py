"""Plots of counts, structure and resolution: what is drawn, and that missing data are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from controller.model.base import Which
from controller.model.events import Counted
from controller.report.plots import counts_figure
from controller.report.report_data import ReportData, read_report_data
from controller.report.resolution_section import resolution_figure
from controller.report.structure_plots import correlations_figure, layers_figure
from tests.report.result_folders import FSC, G_R, LAYERS, PARTS, S_Q, folder_with, resolution_json
from tests.report.session_events import STARTED, write_events
from tests.report.session_folders import page_of


def with_structure(folder: Path, layers: list[dict[str, Any]]) -> ReportData:
    summary = json.dumps({"counts": {}, "structure": {"layers": layers}})
    return read_report_data(folder_with(folder, summary__json=summary))


def curves(axis: Axes) -> dict[str, list[tuple[float, float]]]:
    """Return the points of each labelled curve."""
    return {
        str(line.get_label()): [(float(x), float(y)) for x, y in line.get_xydata()]
        for line in axis.lines
        if not str(line.get_label()).startswith("_")
    }


def bands(axis: Axes) -> list[dict[float, tuple[float, float]]]:
    """Return the lower and upper edge of each band by x."""
    found = []
    for band in axis.collections:
        points = np.concatenate([path.vertices for path in band.get_paths()])
        edges = {x: points[points[:, 0] == x, 1] for x in np.unique(points[:, 0])}
        found.append({float(x): (float(y.min()), float(y.max())) for x, y in edges.items()})
    return found


def counted(which: Which, *points: tuple[int, int, int, int]) -> list[Counted]:
    return [
        Counted(which=which, tilts_used=tilts, n=n, n_low=low, n_high=high, live=True)
        for tilts, n, low, high in points
    ]


def test_counts_of_each_kind_stand_in_their_intervals(tmp_path: Path) -> None:
    a = counted("A", (4, 500, 100, 900), *((n, 90 * n, 80 * n, 95 * n) for n in (8, 12, 16)))
    b = counted("B", *((n, 70 * n, 65 * n, 80 * n) for n in (8, 12, 16)))
    both = counted("fused", *((n, 40 * n, 39 * n, 41 * n) for n in (24, 28, 32)))
    write_events(tmp_path, [*STARTED, *a, *b, *both])
    page = counts_figure(read_report_data(tmp_path))
    assert page is not None
    [axis] = page.axes
    assert curves(axis) == {  # without the count whose interval is useless
        "A": [(8, 720), (12, 1080), (16, 1440)],
        "B": [(8, 560), (12, 840), (16, 1120)],
        "fused": [(24, 960), (28, 1120), (32, 1280)],
    }
    assert bands(axis) == [
        {8: (640, 760), 12: (960, 1140), 16: (1280, 1520)},
        {8: (520, 640), 12: (780, 960), 16: (1040, 1280)},
        {24: (936, 984), 28: (1092, 1148), 32: (1248, 1312)},
    ]
    assert {words.get_text() for words in axis.get_legend().get_texts()} == {"A", "B", "fused"}


def test_two_counts_are_no_curve(tmp_path: Path) -> None:
    two = counted("B", (8, 560, 520, 640), (12, 840, 780, 960))
    three = counted("A", *((n, 90 * n, 80 * n, 95 * n) for n in (8, 12, 16)))
    write_events(tmp_path, [*STARTED, *two])
    assert counts_figure(read_report_data(tmp_path)) is None
    write_events(tmp_path, [*STARTED, *two, *three])
    page = counts_figure(read_report_data(tmp_path))
    assert page is not None and set(curves(page.axes[0])) == {"A"}


def test_pair_correlation_and_structure_factor_have_their_errors(tmp_path: Path) -> None:
    folder_with(tmp_path, structure_g_r__csv=G_R, structure_s_q__csv=S_Q)
    page = correlations_figure(read_report_data(tmp_path))
    assert page is not None
    g, s = page.axes
    np.testing.assert_allclose(g.lines[0].get_xydata(), [(1, 0), (2, 3), (3, 1)])
    np.testing.assert_allclose(s.lines[0].get_xydata(), [(0.5, 0.2), (1, 4)])
    assert bands(g)[0][2] == pytest.approx((2.6, 3.4))
    assert bands(s)[0][1] == pytest.approx((3.5, 4.5))


@pytest.mark.parametrize(
    ("g_r", "s_q", "titles"),
    [
        pytest.param(G_R, "q_per_nm,s\n1,2\n2,1\n", ["g(r)", "S(q)"], id="S(q) without errors"),
        pytest.param(G_R, "", ["g(r)"], id="no S(q)"),
        pytest.param("r_nm,g,error\n1,many,0\n2,3,0\n", S_Q, ["S(q)"], id="a damaged table"),
        pytest.param("r_nm,g,error\n1,2,0\n", "q,s\n1,2\n2,3\n", [], id="one point, other columns"),
    ],
)
def test_a_correlation_is_drawn_where_it_was_measured(
    tmp_path: Path, g_r: str, s_q: str, titles: list[str]
) -> None:
    folder_with(tmp_path, structure_g_r__csv=g_r, structure_s_q__csv=s_q)
    assert axes_titles(correlations_figure(read_report_data(tmp_path))) == titles


def axes_titles(page: Figure | None) -> list[str]:
    return [] if page is None else [axis.get_title("left") for axis in page.axes]


def test_distances_of_neighbours_by_depth_have_errors_and_spread(tmp_path: Path) -> None:
    page = layers_figure(with_structure(tmp_path, LAYERS))
    assert page is not None
    [axis] = page.axes
    spread, errors = bands(axis)
    assert spread[12] == pytest.approx((7.4, 8.0))
    assert errors == {
        6.0: pytest.approx((7.58, 7.62)),
        12.0: pytest.approx((7.66, 7.74)),
        18.0: pytest.approx((7.74, 7.86)),
    }


def test_one_layer_is_no_plot(tmp_path: Path) -> None:
    assert layers_figure(with_structure(tmp_path, LAYERS[:1])) is None


def test_resolution_has_the_correlation_and_the_depths(tmp_path: Path) -> None:
    folder_with(tmp_path, resolution__json=resolution_json(PARTS), resolution__csv=FSC)
    page = resolution_figure(read_report_data(tmp_path))
    assert page is not None
    correlation, depth = page.axes
    assert curves(correlation) == {
        "A": [(0.1, 0.6), (0.2, 0.6)],
        "fused": [(0.1, 0.9), (0.2, 0.9)],
    }
    assert curves(depth) == {
        "A": [(-20, 6.0), (20, 4.0)],
        "fused": [(-20, 3.5), (20, 2.8)],  # where the voxels limit it, two voxels
    }
    assert "Fourier shell correlation" in page_of(tmp_path)


@pytest.mark.parametrize(
    ("parts", "table", "titles"),
    [
        pytest.param(PARTS, "volume\nA\n", ["resolution / nm, smaller is better"], id="no curves"),
        pytest.param(PARTS[:2], FSC, ["Fourier shell correlation"], id="one layer"),
        pytest.param(PARTS[:1], "", [], id="neither"),
    ],
)
def test_resolution_is_drawn_as_far_as_it_was_measured(
    tmp_path: Path, parts: list[dict[str, Any]], table: str, titles: list[str]
) -> None:
    folder_with(tmp_path, resolution__json=resolution_json(parts), resolution__csv=table)
    assert axes_titles(resolution_figure(read_report_data(tmp_path))) == titles


@pytest.mark.parametrize(
    "figure", [counts_figure, correlations_figure, layers_figure, resolution_figure]
)
def test_nothing_is_drawn_without_data(
    tmp_path: Path, figure: Callable[[ReportData], Figure | None]
) -> None:
    assert figure(read_report_data(folder_with(tmp_path))) is None
