"""`dualtilt survey`: assemblies found on the simulated grid, judged, chosen and written."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from controller.app.cli import survey
from controller.app.cli.main import main
from controller.app.survey_files import parse_choice, write_targets
from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from controller.hardware.interface import Microscope
from controller.model.protocol import Protocol, read_protocol
from controller.model.surveyed import Outline, judge_outlines, suggested
from simulator.microscope import create
from simulator.settings import SimulatorSettings
from tests.support.small_grid import PLACES_NM, write_grid_protocol


@contextmanager
def simulated(path: Path, protocol: Protocol, bridge: Path | None) -> Iterator[Microscope]:
    content = tomllib.loads((path.parent / protocol.column.simulator_settings).read_text())
    yield create(SimulatorSettings.model_validate(content), None)


@pytest.fixture
def protocol_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Protocol of a grid with four assemblies; its own targets are elsewhere."""
    monkeypatch.setattr(survey, "_microscope", simulated)
    return write_grid_protocol(tmp_path, PLACES_NM, seed=7)


def places(protocol_path: Path) -> dict[str, tuple[float, float]]:
    targets = read_protocol(protocol_path).targets or ()
    return {each.name: (each.x_nm, each.y_nm) for each in targets}


def test_all_assemblies_are_found_and_a_protocol_takes_them(
    protocol_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "s"
    words = ["survey", str(protocol_path), "--out", str(out), "--radius-nm", "800"]
    assert main(words) == ExitCode.OK
    found = places(out / "protocol.toml")
    assert len(found) == len(PLACES_NM)
    for true_nm in PLACES_NM.values():
        assert min(math.dist(true_nm, each) for each in found.values()) < 15
    said = capsys.readouterr().out
    assert said.count("* t") == 4 and "nearest" in said
    assert {path.name for path in out.glob("*.png")} == {f"{name}.png" for name in found}
    assert (out / "survey.html").read_text().count("data:image/png") == 4
    assert main(["config", "validate", str(out / "protocol.toml")]) == ExitCode.OK


def test_a_choice_on_the_page_is_taken_without_another_exposure(
    protocol_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "s"
    assert main(["survey", str(protocol_path), "--out", str(out), "--radius-nm", "800"]) == 0
    page = (out / "survey.html").read_text()
    assert page.count(" checked>") == 4 and f'data-begin="dualtilt survey {out}"' in page
    monkeypatch.setattr(survey, "_microscope", None)  # it is not asked
    assert main(["survey", str(out), "--choose", "t3,t1"]) == ExitCode.OK
    assert set(places(out / "protocol.toml")) == {"t1", "t3"}
    assert (out / "survey.html").read_text().count(" checked>") == 2
    assert main(["survey", str(out), "--choose", "t9"]) == ExitCode.USAGE
    (out / "assemblies.json").write_text("[{}]")
    assert main(["survey", str(out), "--choose", "all"]) == ExitCode.USAGE
    said = capsys.readouterr().err.splitlines()
    assert ["no such assembly" in said[0], "survey the grid again" in said[1]] == [True, True]
    assert set(places(out / "protocol.toml")) == {"t1", "t3"}


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        pytest.param("", {"t1", "t3"}, id="as suggested"),
        pytest.param("t3, t2", {"t2", "t3"}, id="two names"),
        pytest.param("none", set(), id="none: to be edited in the file"),
    ],
)
def test_targets_are_chosen_by_name(
    answer: str, names: set[str], protocol_path: Path, tmp_path: Path
) -> None:
    protocol = read_protocol(protocol_path)
    outlines = [outline(0, 0), outline(3000, 0, roundness=0.5), outline(-3000, 0)]
    assemblies = judge_outlines(outlines, protocol)
    best = [each.name for each in suggested(assemblies, protocol)]
    chosen = parse_choice(answer, assemblies, best)
    (tmp_path / "s").mkdir()
    written = write_targets(tmp_path / "s", protocol_path, protocol, assemblies, chosen)
    assert set(places(written)) == names
    listed = tomllib.loads((tmp_path / "s" / "targets.toml").read_text().replace("# [[", "[["))
    assert len(listed["targets"]) == 3


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UsageError, match="t9: no such assembly"):
        parse_choice("t9,t1", (), ())


def test_a_grid_without_assemblies_in_reach_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(survey, "_microscope", simulated)
    path = write_grid_protocol(tmp_path, {"one": (0.0, 0.0)}, seed=7)
    monkeypatch.setattr("controller.procedures.survey_targets.places_in_disc_nm", lambda *_: ())
    assert main(["survey", str(path), "--out", str(tmp_path / "s")]) == ExitCode.SAFETY
    assert "no assembly was found" in capsys.readouterr().out
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(("rotation_deg", "set_deg"), [(12.0, 12), (-100.0, -100)])
def test_a_scan_that_is_rotated_otherwise_than_the_protocol_says_is_named(
    rotation_deg: float,
    set_deg: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(survey, "_microscope", simulated)
    rotated = f"[scan]\nrotation_deg = {rotation_deg}\n"
    path = write_grid_protocol(tmp_path, PLACES_NM, seed=7, specimen=rotated)
    words = ["survey", str(path), "--out", str(tmp_path / "s"), "--radius-nm", "800"]
    assert main(words) == ExitCode.SAFETY
    (line,) = capsys.readouterr().err.splitlines()
    said, degrees = line.rsplit("column.tilt_axis_deg = ", 1)
    assert "the scan is rotated by about" in said
    assert abs(int(degrees.removesuffix(", and survey the grid again")) - set_deg) <= 1
    assert not (tmp_path / "s").exists()


def outline(
    x_nm: float, y_nm: float, diameter_nm: float = 40.0, roundness: float = 0.95
) -> Outline:
    return Outline(x_nm=x_nm, y_nm=y_nm, diameter_nm=diameter_nm, roundness=roundness)


@pytest.mark.parametrize(
    ("other", "shaded", "fault"),
    [
        pytest.param(outline(57, 0), (46, 46), "in A from 46", id="across the tilt axis"),
        pytest.param(outline(0, 57), (None, 46), "in B from 46", id="along the tilt axis"),
        pytest.param(outline(80, 60), (None, 67), "", id="beside, beyond the range of B"),
        pytest.param(outline(35, 0), (0, 0), "in A from 0", id="in contact"),
        pytest.param(outline(150, 0, 100), (52, 52), "in A from 52", id="a higher neighbour"),
        pytest.param(outline(5000, 0), (None, None), "", id="far away"),
    ],
)
def test_a_neighbour_that_will_overlap_at_high_tilt_is_named(
    other: Outline, shaded: tuple[float | None, float | None], fault: str, tmp_path: Path
) -> None:
    protocol = read_protocol(write_grid_protocol(tmp_path, {"one": (0.0, 0.0)}, seed=7))
    one, _ = judge_outlines([outline(0, 0), other], protocol)
    assert (one.shaded_a_deg, one.shaded_b_deg) == shaded
    assert (fault in "; ".join(one.faults)) if fault else not one.faults
    assert one.nearest_nm == pytest.approx(math.hypot(other.x_nm, other.y_nm))


def test_what_does_not_suit_is_not_suggested(tmp_path: Path) -> None:
    protocol = read_protocol(write_grid_protocol(tmp_path, {"one": (0.0, 0.0)}, seed=7))
    assemblies = judge_outlines(
        [
            outline(0, 0),
            outline(3000, 0, roundness=0.6),
            outline(6000, 0, diameter_nm=58),
            outline(0, 200),
            outline(-3000, 0),
        ],
        protocol,
    )
    assert [each.name for each in suggested(assemblies, protocol)] == ["t1", "t5"]
    assert "not round" in assemblies[1].faults[0]
    assert "too large" in assemblies[2].faults[0]
    assert not assemblies[3].faults  # only too close to the first
