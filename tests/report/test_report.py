"""report.html for folders in every state that a session can leave."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from controller.app.cli import report as verb
from controller.app.profiles import config_folder
from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from controller.model.events import Event, State, StateChanged, TiltJudged
from controller.report import plots
from controller.report.report_data import read_report_data
from controller.report.volumes import Plane, Pose, Volume, exit_surface
from controller.report.write import write_report
from processing.files.mrc import write_volume
from processing.files.particles import ParticleTable, write_csv
from tests.report.session_events import (
    FAILED,
    FINISHED,
    FLIPPED,
    OVERRIDDEN,
    STARTED,
    WARNED,
    recorded,
    recorded_again,
    write_events,
)
from tests.support.status_events import frame

SIDE, PIXEL_NM = 40, 2.0
COUNT = {"n": 2878, "n_low": 2850, "n_high": 2920}
SUMMARY: dict[str, Any] = {
    "counts": {"A": COUNT | {"n": 2700}, "B": COUNT | {"n": 2611}, "fused": COUNT},
    "diameter_nm": {"value": 6.27, "source": "estimated", "from_pair_distance": 7.5},
    "series": {
        "A": {"tilts": 25, "excluded": [3], "align_rms_px": 0.11, "tilt_axis_deg": 0.4},
        "B": {"tilts": 25, "excluded": [], "align_rms_px": 0.12, "tilt_axis_deg": -0.2},
    },
    "registration": {
        "matrix": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
        "shift_nm": [1.0, -2.0, 0.5],
        "score": 0.93,
        "runner_up": 0.4,
        "in_plane_deg": 71.3,
        "seat_tilt_deg": 1.5,
        "scale": 1.002,
        "rms_nm": 0.31,
    },
    "fusion": {"rule": "masked", "wavelet": "haar", "level": 3},
    "warnings": ["series A: image 3 left out"],
}
SPREAD = SUMMARY["diameter_nm"] | {"mean": 6.3, "spread": 0.51, "spread_se": 0.02, "se_rms": 0.05}
KINDS = [
    {"diameter_nm": 6.3, "particles": 1727, "n_low": 1700, "n_high": 1750}
    | {"share_low": 0.59, "share_high": 0.61, "spread": 0.2, "spread_se": 0.01},
    {"diameter_nm": 4.6, "particles": 1151, "n_low": 1130, "n_high": 1170}
    | {"share_low": 0.39, "share_high": 0.41, "spread": 0.01, "spread_se": 0.02},
]
A_ONLY = SUMMARY | {"counts": {"A": COUNT}, "registration": None, "fusion": None}


def ball(radius_nm: float = 28.0) -> np.ndarray:
    along = (np.arange(SIDE) - (SIDE - 1) / 2) * PIXEL_NM
    z, y, x = np.meshgrid(along, along, along, indexing="ij")
    volume = (np.sqrt(x**2 + y**2 + z**2) < radius_nm).astype(np.float32)
    return volume * (1 + 0.2 * np.random.default_rng(1).random(volume.shape, np.float32))


def volumes(folder: Path, *names: str) -> None:
    processed = folder / "processed"
    processed.mkdir(exist_ok=True)
    for name in names:
        write_volume(processed / f"{name}.mrc", ball(), PIXEL_NM)
    centres = np.random.default_rng(2).uniform(-26, 26, (50, 3))
    write_csv(processed / "particles_A.csv", ParticleTable(centres, np.full(50, 6.3), np.ones(50)))


ALL = ("A_sirt", "A_ssr", "B_ssr", "B_registered", "fused", "fused_ssr")
WHOLE: list[Event] = [*STARTED, *recorded("A"), *WARNED, *FLIPPED, *recorded("B"), *FINISHED]


@dataclass(frozen=True)
class Case:
    name: str
    events: list[Event] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    protocol: bool = True
    spoil: Callable[[Path], object] = lambda folder: None
    says: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()


def truncate(folder: Path) -> None:
    path = folder / "processed" / "fused.mrc"
    path.write_bytes(path.read_bytes()[:5000])


CASES = [
    Case(
        "a whole session",
        WHOLE,
        SUMMARY,
        ALL,
        says=(
            "au-assembly",
            "GOOD",
            "2 878",
            "2 700",
            "exit surface",
            "exit side",
            "runner-up",
            "shift 4.1 px &gt; 4.0: retaken (A#7)",
            "moving to an assembly 727 nm away on the map (flip-map)",
            "au-assembly started on simulated column",
            "images left out",
            "<td>A#4</td>",
            "SIRT: simultaneous iterative",
            "SSR: sparse sphere reconstruction",
            "Fused volume: fused by the rule masked",
            "+71.3",
            "masked",
            "processed/fused.mrc",
            "simulated",
        ),
        silent=("Accuracy",),
    ),
    Case(
        "stopped after A",
        [*STARTED, *recorded("A")],
        A_ONLY,
        ("A_sirt", "A_ssr"),
        says=("INCOMPLETE", "25 of 25 tilts of A", "0 of 25 tilts of B"),
        silent=("B, in A’s frame", "Flip and registration"),
    ),
    Case(
        "stopped in the middle of A, before any processing",
        [*STARTED, *recorded("A")[:30]],
        says=("INCOMPLETE", "live count, not final", "tilts of A"),
        silent=("Reconstructions", "Alignment and fusion"),
    ),
    Case(
        "two tilts recorded again by the operator",
        [*STARTED, *recorded("A"), *recorded_again("A", 8, 9)],
        says=("<td>25 of 25</td><td>3</td>",),
    ),
    Case(
        "stopped and resumed",
        [
            *STARTED,
            *recorded("A")[:30],
            StateChanged(state=State.STOPPED, reason="by the operator"),
            STARTED[0].model_copy(update={"resumed": True}),
            *recorded("A")[30:],
        ],
        says=("stopped: by the operator", "au-assembly resumed on simulated column"),
    ),
    Case(
        "processing failed",
        [*STARTED, *recorded("A"), *FLIPPED, *recorded("B"), *FAILED],
        A_ONLY,
        says=("STOP NOW", "processing B: too few usable images"),
    ),
    Case(
        "an override and its reason",
        [*STARTED, *recorded("A"), *OVERRIDDEN, *recorded("B"), *FINISHED],
        SUMMARY,
        says=(
            "not accepted",
            "flip NOT CONFIRMED: cannot be told",
            "seen through the &lt;window&gt; by two of us",
            "cannot be told",
        ),
        silent=("<window>",),
    ),
    Case(
        "the images with the largest residuals are named",
        summary=A_ONLY
        | {
            "series": {
                "A": SUMMARY["series"]["A"]
                | {
                    "excluded": [1],
                    "images": [
                        {"shift_px": [0, 0], "residual_px": px, "left_out": None}
                        for px in (0.02, 9.0, 0.4, 0.1, 0.3, 0.2, 0.05, 0.01)
                    ],
                }
            }
        },
        says=("<td>A#3 0.400, A#5 0.300, A#6 0.200, A#4 0.100, A#7 0.050</td>",),
    ),
    Case(
        "a volume cut short",
        WHOLE,
        SUMMARY,
        ALL,
        spoil=truncate,
        says=("B, in A’s frame",),
        silent=('of-fused">fused',),
    ),
    Case(
        "offline, two series, no session",
        summary=SUMMARY,
        volumes=ALL,
        protocol=False,
        says=("PROCESSED", "2 878 particles in the fused volume", "exit surface"),
        silent=("Settings", "Per-tilt plots", "Recording"),
    ),
    Case(
        "offline, a single series",
        summary=A_ONLY,
        volumes=("A_sirt",),
        protocol=False,
        says=("2 878 particles in one series",),
        silent=("B, in A’s frame",),
    ),
    Case(
        "a spread of sizes",
        summary=SUMMARY | {"diameter_nm": SPREAD},
        volumes=("A_sirt",),
        protocol=False,
        says=(
            "Sizes",
            "0.510 ± 0.020 nm",
            "8.10 ± 0.32 %",
            "of chance",
            "distance from the middle",
        ),
        silent=("not measurable",),
    ),
    Case(
        "one size",
        summary=SUMMARY | {"diameter_nm": SPREAD | {"spread": 0.01}},
        volumes=("A_sirt",),
        protocol=False,
        says=("not measurable, under 0.7 % (95 %)",),
        silent=("0.01 ± 0.02",),
    ),
    Case(
        "two sizes",
        summary=SUMMARY | {"diameter_nm": SPREAD | {"kinds": KINDS}},
        protocol=False,
        says=(
            "spread inside a kind",
            "1 727 (1 700 to 1 750)",
            "40.0 % (39.0 to 41.0)",
            "not measurable, under 0.9 % (95 %)",
        ),
    ),
    Case("only a protocol", says=("no particles have been counted",)),
    Case(
        "a summary that is not JSON",
        WHOLE,
        spoil=lambda folder: (
            (folder / "processed").mkdir()
            or (folder / "processed" / "summary.json").write_text("{")
        ),
        says=("INCOMPLETE",),
    ),
]


def make(case: Case, folder: Path) -> Path:
    if case.protocol:
        (folder / "protocol.toml").write_text((config_folder() / "paper.toml").read_text())
    if case.events:
        write_events(folder, case.events)
    if case.volumes:
        volumes(folder, *case.volumes)
    if case.summary:
        (folder / "processed").mkdir(exist_ok=True)
        (folder / "processed" / "summary.json").write_text(json.dumps(case.summary))
    case.spoil(folder)
    return folder


def page_of(folder: Path) -> str:
    """Return the report without its scripts, with no-break spaces as plain spaces."""
    page = write_report(folder).read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    return re.sub("<script.*?</script>", "", page, flags=re.DOTALL)


class Balanced(HTMLParser):
    """Parser that asserts that tags are closed in order."""

    VOID = frozenset({"meta", "br", "img", "image", "rect", "circle", "polyline", "path", "use"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_report_shows_the_data_that_exist(case: Case, tmp_path: Path) -> None:
    page = page_of(make(case, tmp_path))
    for phrase in case.says:
        assert phrase in page
    for phrase in case.silent:
        assert phrase not in page
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []


def test_the_page_needs_no_other_file(tmp_path: Path) -> None:
    page = page_of(make(CASES[0], tmp_path))
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert "@import" not in page and "url(" not in re.sub(r"url\(#", "", page)
    # the scripts cannot load anything either
    assert '"Content-Security-Policy" content="default-src \'none\'; ' in page


def test_accuracy_is_shown_if_there_is_a_truth(tmp_path: Path) -> None:
    make(CASES[0], tmp_path)
    score = {
        "found": 2870,
        "recall": 0.9993,
        "precision": 0.9979,
        "f1": 0.9986,
        "rms_nm": [0.11, 0.12, 0.21],
        "recall_by_depth": [0.998, 1.0, 0.999],
    }
    lost = score | {"rms_nm": None, "failure": "fits 7.5 nm off table fused: a lattice jump"}
    accuracy = {
        "n_truth": 2876,
        "tolerance_nm": 1.5,
        "tables": {"fused": score, "mean": score, "B": lost},
    }
    (tmp_path / "accuracy.json").write_text(json.dumps(accuracy))
    page = page_of(tmp_path)
    for phrase in (
        "Accuracy",
        "0.9993",
        "0.11 / 0.12 / 0.21",
        "rule mean",
        "2 876",
        "lattice jump",
    ):
        assert phrase in page


@pytest.mark.parametrize("folder", ["", "nowhere"], ids=["empty", "missing"])
def test_a_folder_without_data_is_refused_in_one_line(folder: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        write_report(tmp_path / folder)
    assert "\n" not in str(caught.value)


def test_the_verb_prints_the_path_of_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(CASES[1], tmp_path)
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    assert verb.run(parser.parse_args([str(tmp_path)])) == ExitCode.OK
    assert capsys.readouterr().out.strip() == str((tmp_path / "report.html").resolve())


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


def test_images_are_named_by_their_tilts(tmp_path: Path) -> None:
    again = [frame(section, tilt_number=number) for section, number in enumerate((1, 2, 2, 3))]
    write_events(tmp_path, [*STARTED, *again])
    images = [
        {"shift_px": [0, 0], "residual_px": px, "left_out": None} for px in (0.02, 9.0, 0.4, 0.1)
    ]
    series = {"A": SUMMARY["series"]["A"] | {"excluded": [1], "images": images}}
    (tmp_path / "processed").mkdir()
    (tmp_path / "processed" / "summary.json").write_text(json.dumps(A_ONLY | {"series": series}))
    page = page_of(tmp_path)
    assert "<td>A#2 (section 1)</td>" in page
    assert "<td>A#2 (section 2) 0.400, A#3 0.100, A#1 0.020</td>" in page


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
