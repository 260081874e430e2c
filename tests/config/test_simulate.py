"""`dualtilt simulate`: its files can be read, and wrong input is refused."""

from __future__ import annotations

import argparse
import re
import tomllib
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from controller.app.cli import simulate
from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from controller.model.protocol import Protocol
from processing.files.particles import read_csv
from processing.files.tilt_series import load_tilt_series

PROTOCOL = """
name = "tiny"
[column]
simulator_settings = "tiny-simulator.toml"
[scan]
width_px = 48
height_px = 40
pixel_nm = 1.2
dwell_us = 5.0
[series_a]
start_deg = -40
stop_deg = 40
step_deg = 20
[series_b]
start_deg = -60
stop_deg = 60
step_deg = 30
"""
SIMULATOR = """
seed = 4
[specimen]
assembly_diameter_nm = 34.0
"""


def run(protocol: Path, out: Path, *more: str) -> int:
    parser = argparse.ArgumentParser()
    simulate.add_arguments(parser)
    return simulate.run(parser.parse_args([str(protocol), "--out", str(out), *more]))


@pytest.fixture
def protocol(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(PROTOCOL)
    (tmp_path / "tiny-simulator.toml").write_text(SIMULATOR)
    return path


def test_both_series_and_the_truth_are_written(protocol: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(protocol, out) == ExitCode.OK
    for name, angles in (("A", range(-40, 41, 20)), ("B", range(-60, 61, 30))):
        series = load_tilt_series(out / f"{name}.mrc", name=name)
        assert series.images.shape == (5, 40, 48)
        assert series.pixel_nm == pytest.approx(1.2)
        np.testing.assert_allclose(series.angles_deg, list(angles))
        assert mrcfile.validate(out / f"{name}.mrc")
        assert (out / f"{name}.rawtlt").is_file()
    assert len(read_csv(out / "truth.csv")) > 20


def test_the_same_seed_gives_the_same_series(protocol: Path, tmp_path: Path) -> None:
    seeds = {"one": "7", "same": "7", "other": "8"}
    for name, seed in seeds.items():
        assert run(protocol, tmp_path / name, "--seed", seed) == ExitCode.OK
    stacks = {name: (tmp_path / name / "B.mrc").read_bytes()[1024:] for name in seeds}
    assert stacks["one"] == stacks["same"] != stacks["other"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        pytest.param("", [], id="a simulator's protocol"),
        pytest.param('[column]\nkind = "bridge"\n', ["no column is used"], id="a real column"),
        pytest.param(
            '[[targets]]\nname = "a"\nx_nm = 0.0\ny_nm = 0.0\n',
            ["left out.*`dualtilt run`"],
            id="targets",
        ),
    ],
)
def test_what_is_left_out_is_said(more: str, says: list[str]) -> None:
    content = PROTOCOL.replace("[column]\n", "[column]\n" if "[column]" not in more else "[x]\n")
    settings = tomllib.loads(content + more)
    settings.pop("x", None)
    lines = list(simulate.not_simulated(Protocol.model_validate(settings)))
    assert len(lines) == len(says)
    for line, pattern in zip(lines, says, strict=True):
        assert re.search(pattern, line)


@pytest.mark.parametrize(
    ("said", "spoil"),
    [
        ("is not empty", lambda folder: (folder / "out" / "mine.txt").write_text("precious")),
        ("no such simulator", lambda folder: (folder / "tiny-simulator.toml").unlink()),
        (
            "specimen.colour: no such setting",
            lambda folder: (folder / "tiny-simulator.toml").write_text("[specimen]\ncolour=1\n"),
        ),
    ],
    ids=[
        "a folder that is not empty",
        "a missing simulator profile",
        "an unknown setting in the simulator profile",
    ],
)
def test_wrong_input_is_refused_in_one_line(
    said: str, spoil: object, protocol: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    spoil(tmp_path)  # type: ignore[operator]
    with pytest.raises(UsageError, match=said) as caught:
        run(protocol, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "A.mrc").exists()


def test_the_truth_of_rods_has_their_orientations(protocol: Path, tmp_path: Path) -> None:
    settings = tmp_path / "tiny-simulator.toml"
    settings.write_text(SIMULATOR + 'shape = "rod"\n')
    out = tmp_path / "out"
    assert run(protocol, out) == ExitCode.OK
    truth = read_csv(out / "truth.csv")
    assert truth.turned and len(truth) > 5
    assert np.linalg.norm(truth.quaternion, axis=1) == pytest.approx(np.ones(len(truth)), abs=1e-4)
