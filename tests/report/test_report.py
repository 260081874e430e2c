"""report.html for folders in every state that a session can leave."""

from __future__ import annotations

import argparse
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from controller.app.cli import report as verb
from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from controller.model.events import State, StateChanged
from controller.report.write import write_report
from processing.results import SeriesInputs
from processing.structure.analyse import analyse_structure
from processing.structure_results import Measured, Structure, StructureType
from tests.report.session_events import (
    DOUBTED,
    FAILED,
    FINISHED,
    FLIPPED,
    OVERRIDDEN,
    STARTED,
    recorded,
    recorded_again,
    write_events,
)
from tests.report.session_folders import A_ONLY, ALL, COUNT, SUMMARY, WHOLE, Case, make, page_of
from tests.support.spheres import packed
from tests.support.status_events import frame

SPREAD = SUMMARY["diameter_nm"] | {"mean": 6.3, "spread": 0.51, "spread_se": 0.02, "se_rms": 0.05}
KINDS = [
    {"diameter_nm": 6.3, "particles": 1727, "n_low": 1700, "n_high": 1750}
    | {"share_low": 0.59, "share_high": 0.61, "spread": 0.2, "spread_se": 0.01},
    {"diameter_nm": 4.6, "particles": 1151, "n_low": 1130, "n_high": 1170}
    | {"share_low": 0.39, "share_high": 0.41, "spread": 0.01, "spread_se": 0.02},
]


DOUBT = {"state": "doubtful", "reasons": ["too few tilts"], "causes": ["undersampled"]}
DOUBTFUL = SUMMARY | {
    "verdict": DOUBT,
    "counts": {"A": COUNT, "B": COUNT, "fused": COUNT | {"verdict": DOUBT}},
}
ASSUMED_PIXEL = SeriesInputs(
    file="A.mrc",
    format="MRC mode 1",
    images=25,
    columns=64,
    rows=64,
    sample_type="int16",
    pixel_nm=0.1,
    pixel_source="1.000 angstrom in the header",
    pixel_assumed=True,
    angles_deg=[-5.0, 5.0],
    angles_source="A.rawtlt",
    angle_order="ascending",
    tilt_axis_deg=None,
    tilt_axis_source="none",
    tilt_sense=1,
).model_dump()
NEW_ERRORS = (
    "neighbour_spread_error_nm",
    "grains_error",
    "planes_error",
    "found_again",
    "particles_error",
    "misorientation_error_deg",
    "normal_error_deg",
    "depth_error_nm",
    "coordination_error",
    "surface_error",
)
SHARES = {
    StructureType.FCC: Measured(value=0.96, error=0.107),
    StructureType.HCP: Measured(value=0.04, error=0.03),
}


def add_structure(folder: Path) -> None:
    """Add the structure of an assembly to the summary, with these shares."""
    path = folder / "processed" / "summary.json"
    found = analyse_structure(packed(25, 7.7, order="fcc", seed=3)).summary
    structure = found.model_copy(update={"shares": SHARES}).model_dump(mode="json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"structure": structure}))


def add_structure_of_an_earlier_version(folder: Path) -> None:
    """Add a structure without the errors that earlier versions did not know."""
    add_structure(folder)
    path = folder / "processed" / "summary.json"
    summary = json.loads(path.read_text())
    parts = ("grains", "boundaries", "planes", "layers")
    for part in (
        summary["structure"],
        *(one for name in parts for one in summary["structure"][name]),
    ):
        for name in [*part]:
            if name in NEW_ERRORS:
                del part[name]
    assert Structure.model_validate(summary["structure"]).grains_error is None
    path.write_text(json.dumps(summary))


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
            "next best",
            "frame is off the centre by 4.1 px, limit 4.0: retaking it (A#7)",
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
        silent=("process was lost",),
    ),
    Case(
        "killed and resumed",
        [
            *STARTED,
            *recorded("A")[:30],
            StateChanged(state=State.RUNNING),
            STARTED[0].model_copy(update={"resumed": True}),
            *recorded("A")[30:],
        ],
        says=("process was lost after this: killed, a crash or a power cut",),
    ),
    Case(
        "paused, and counted with a doubt",
        [
            STARTED[0].model_copy(update={"version": "0.1.0"}),
            *STARTED[1:],
            *recorded("A")[:30],
            StateChanged(state=State.PAUSED, reason="A#8: valves closed"),
            StateChanged(state=State.RUNNING, reason="resumed automatically"),
            *recorded("A")[30:],
            DOUBTED,
            DOUBTED.model_copy(update={"structure": "fcc 50 %, again"}),
        ],
        says=(
            "paused: A#8: valves closed",
            "running: resumed automatically",
            "particles A: 2700 doubtful; final residual 0.1 px; the exit side is blurred",
            "; dualtilt 0.1.0",
        ),
        silent=("fcc 50 %, again",),
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
        "offline, a doubtful count",
        summary=DOUBTFUL,
        volumes=ALL,
        protocol=False,
        says=(
            'class="verdict warn"><strong>PROCESSED',
            "(doubtful: the true number may lie outside 2 850 to 2 920)",
        ),
        silent=('class="verdict good"',),
    ),
    Case(
        "a whole session, a doubtful count",
        WHOLE,
        DOUBTFUL,
        ALL,
        says=('class="verdict warn"><strong>COMPLETE', "COUNT DOUBTFUL"),
        silent=('class="verdict good"', "GOOD"),
    ),
    Case(
        "an unknown pixel size",
        summary=SUMMARY | {"series": {"A": SUMMARY["series"]["A"] | {"inputs": ASSUMED_PIXEL}}},
        protocol=False,
        says=("unknown, taken as 0.1 nm, 1.000 angstrom",),
    ),
    Case(
        "shares at the ends of their range",
        summary=SUMMARY,
        protocol=False,
        spoil=add_structure,
        says=(
            '<th scope="row">fcc</th><td>96.0 %</td><td>74.6 to 100.0</td>',
            '<th scope="row">hcp</th><td>4.0 %</td><td>0.0 to 10.0</td>',
        ),
    ),
    Case(
        "grains, and layers with errors",
        summary=SUMMARY,
        protocol=False,
        spoil=add_structure,
        says=("found again", "<td>100 %</td>", "Number of grains: 1", "Layers from the surface"),
    ),
    Case(
        "a structure of an earlier version",
        summary=SUMMARY,
        protocol=False,
        spoil=add_structure_of_an_earlier_version,
        says=("found again", "Layers from the surface"),
        silent=("<td>100 %</td>",),
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
            "and do not average out",
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
