"""Profiles and the verb that shows, validates and describes them."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.app.cli import config
from controller.app.profiles import config_folder, find_profile, profile_names
from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from controller.model.plan import make_plan
from controller.model.protocol import Protocol, read_protocol
from controller.model.steps import Tilt

MINIMAL = """
name = "x"
[scan]
width_px = 64
height_px = 64
pixel_nm = 1.0
dwell_us = 1.0
"""


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    config.add_arguments(parser)
    return config.run(parser.parse_args(arguments))


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_is_valid(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("validate", name) == ExitCode.OK
    assert "valid" in capsys.readouterr().out


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_stays_within_its_dose_budget(name: str) -> None:
    protocol = read_protocol(find_profile(name))
    frames = sum(
        len(series.tilts_deg) * protocol.scan.dose_e_per_A2(series.current_pA)
        for series in (protocol.series_a, protocol.series_b)
    )
    retaken = frames * (1 + protocol.tracking.low_dose_dwell_fraction)
    assert 1_000 < frames < 20_000
    assert retaken < protocol.limits.dose_budget_e_per_A2


def test_the_profiles_demo_paper_and_fast_exist() -> None:
    assert {"demo", "paper", "fast"} <= set(profile_names())


def test_paper_and_demo_have_the_same_series_shower_and_column() -> None:
    paper, demo = (read_protocol(find_profile(name)) for name in ("paper", "demo"))
    assert paper.series_a == demo.series_a
    assert paper.series_b == demo.series_b
    assert paper.shower == demo.shower
    same = {"simulator_settings": ""}
    assert paper.column.model_copy(update=same) == demo.column.model_copy(update=same)


@pytest.mark.parametrize("series", ["A", "B"])
def test_each_series_of_fast_is_planned_in_six_minutes(series: str) -> None:
    protocol = read_protocol(find_profile("fast"))
    tilts = [step for step in make_plan(protocol).steps if isinstance(step, Tilt)]
    planned_s = [step.duration_s for step in tilts if step.series == series]
    assert len(planned_s) >= 73
    assert sum(planned_s) < 360
    exposed_s = protocol.scan.frame_time_s * (1 + protocol.tracking.low_dose_dwell_fraction)
    assert exposed_s + protocol.tracking.settle_s < 2.5


def test_the_committed_schema_is_current() -> None:
    committed = (config_folder() / "protocol.schema.json").read_text(encoding="utf-8")
    assert json.loads(committed) == Protocol.model_json_schema(), "run: make schema"


def test_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("schema") == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["title"] == "Protocol"


@dataclass(frozen=True)
class Wrong:
    name: str
    text: str
    said: tuple[str, ...]


TARGET = '[[targets]]\nname = "{}"\nx_nm = 0.0\ny_nm = 0.0\n'
WRONG = [
    Wrong(
        "a misspelt key, which is then not called missing, and a value out of range",
        MINIMAL.replace("dwell_us = 1.0", "dwel_us = 1.0") + "[flip]\nmargin = 3\n",
        (
            "scan.dwel_us: no such setting; did you mean dwell_us?",
            "flip.margin: must be at most",
        ),
    ),
    Wrong(
        "text, boolean and date instead of numbers",
        'name = "s"\n[scan]\nwidth_px = "64"\nheight_px = 64\npixel_nm = true\n'
        "dwell_us = 2026-05-04\n",
        (
            "scan.width_px: must be a valid integer (is '64')",
            "scan.pixel_nm: must be a valid number (is True)",
            "scan.dwell_us: must be a valid number (is '2026-05-04')",
        ),
    ),
    Wrong(
        "a number where several are needed",
        MINIMAL + "[processing]\ncrop_px = 1024\n",
        ("processing.crop_px: must be a list in square brackets, as [1, 2] (is 1024)",),
    ),
    Wrong(
        "a name with a space",
        MINIMAL.replace('name = "', 'name = "my '),
        ("name: must be letters a to z, digits, dot, dash and underscore",),
    ),
    Wrong(
        "a tilt beyond the stage limits",
        MINIMAL + "[series_a]\nstart_deg = -85\nstop_deg = 70\n",
        ("series_a asks for -85", "limits.stage"),
    ),
    Wrong(
        "one bracket", MINIMAL + '[targets]\nname = "a"\n', (": targets: write [[targets]], with",)
    ),
    Wrong("singular", MINIMAL + '[[target]]\nname = "a"\n', ("did you mean [[targets]]?",)),
    Wrong(
        "targets count from 1, and a misplaced setting has no hint",
        MINIMAL + '[[targets]]\nname = "a"\nx_nm = 0.0\ny_nm = 0.0\ndiameter_nm = 5.0\n',
        ("targets.1.diameter_nm: no such setting\n",),
    ),
    Wrong(
        "names that Windows refuses",
        MINIMAL + TARGET.format("CON") + TARGET.format("nul.x") + TARGET.format("a."),
        ("p.toml: targets.1.name: Windows allows", "targets.2.name: W", "targets.3.name: Windows"),
    ),
    Wrong(
        "a long name is not shown whole",
        MINIMAL + TARGET.format("n" * 65),
        (f"(is '{'n' * 39}...)",),
    ),
    Wrong(
        "a check across sections",
        MINIMAL + TARGET.format("a") + TARGET.format("A"),
        ("p.toml: targets: two have",),
    ),
    Wrong(
        "a wrong field hides neither sections that disagree, nor targets, nor the plan",
        MINIMAL
        + "[flip]\nmargin = 3\n[series_a]\nstart_deg = -85\nstop_deg = 70\ncurrent_pA = 20\n"
        + '[grid]\nsearch_nm = "far"\n[limits]\ndose_budget_e_per_A2 = 10\n'
        + TARGET.format("a")
        + TARGET.format("b").replace("x_nm = 0.0", "x_nm = 150.0")
        + TARGET.format("c").replace("x_nm = 0.0", "x_nm = 9e9")
        + TARGET.format("d").replace("x_nm = 0.0\n", ""),
        (
            "p.toml: flip.margin: must be",
            "p.toml: grid.search_nm: must be",
            "p.toml: targets.4.x_nm: is missing",
            "p.toml: series_b.current_pA = 70 is not series A's 20",
            "p.toml: series_a asks for -85",
            "p.toml: targets: c lies beyond limits.stage.xy_max_nm",
        ),
    ),
    Wrong(
        "the search for the targets says nothing about their neighbours",
        MINIMAL
        + '[grid]\nsearch_nm = "far"\n'
        + TARGET.format("a")
        + TARGET.format("b").replace("x_nm = 0.0", "x_nm = 150.0"),
        (
            "p.toml: grid.search_nm: must be",
            "p.toml: targets: exposures of a reach b, 150 nm away",
        ),
    ),
    Wrong(
        "every target is checked with the settings that are its own",
        MINIMAL
        + '[notify]\nwebhook = "x"\n[[targets]]\nname = "a"\nx_nm = 0.0\ny_nm = 0.0\n'
        + "[targets.series_a]\nstart_deg = -85\nstop_deg = 70\n"
        + TARGET.format("b").replace("x_nm = 0.0", "x_nm = 2000.0")
        + "[targets.limits]\ndose_budget_e_per_A2 = 10.0\n",
        (
            "p.toml: notify.webhook: must be",
            "p.toml: targets: a: series_a asks for -85",
            "p.toml: limits.dose_budget_e_per_A2: 10 is less than the 6563 e/Å² that "
            "beam shower and series of b need",
        ),
    ),
    Wrong(
        "a misspelt section is not judged by its defaults",
        MINIMAL + "[serie_a]\nstart_deg = -40\n[limits.stage]\nalpha_min_deg = -77\n"
        "alpha_max_deg = 73.0\n",
        ("p.toml: serie_a: no such setting; did you mean series_a?",),
    ),
    Wrong(
        "values in a misspelt section, beside a missing one",
        MINIMAL.replace("[scan]", "[scann]").replace("dwell_us = 1.0", 'dwell_us = "1"')
        + "[limts]\ndose_budget_e_per_A2 = -5\n[flip]\nmargin = 3\n",
        (
            "p.toml: scann: no such setting; did you mean scan?",
            "p.toml: scann.dwell_us: must be a valid number (is '1')",
            "p.toml: limts.dose_budget_e_per_A2: must be",
            "p.toml: flip.margin: must be at most",
        ),
    ),
    Wrong(
        "errors in the simulator's profile",
        MINIMAL,
        ("wrong.toml: specimen.packing: ", "wrong.toml: specimen.colour: no such setting"),
    ),
    Wrong(
        "a missing simulator profile",
        MINIMAL + '[column]\nsimulator_settings = "nowhere.toml"\n',
        ("nowhere.toml: no such simulator profile", "copy the folder"),
    ),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.name)
def test_every_wrong_field_is_named_with_its_path(
    case: Wrong, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.toml"
    text = (
        case.text
        if "[column]" in case.text
        else case.text + '[column]\nsimulator_settings = "wrong.toml"\n'
    )
    path.write_text(text)
    (tmp_path / "wrong.toml").write_text('[specimen]\npacking = "bcc"\ncolour = "gold"\n')
    assert run("validate", str(path)) == ExitCode.USAGE
    out = capsys.readouterr().out
    for phrase in case.said:
        assert phrase in out
    assert out.count("\n") == len(set(out.splitlines()))


def test_a_plan_beyond_its_dose_budget_is_not_valid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "over-budget.toml"
    path.write_text(f'{MINIMAL}[column]\nkind = "bridge"\n[limits]\ndose_budget_e_per_A2 = 10.0\n')
    assert run("validate", str(path)) == ExitCode.USAGE
    out = capsys.readouterr().out
    assert "limits.dose_budget_e_per_A2: 10 is less than" in out and "0 wrong" not in out


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("particle_diameter_nm = 63000", "particle_diameter_nm: must be 0.05 to 2000 nm"),
        ("assembly_diameter_nm = 165000", "assembly_diameter_nm: must be 0.5 to 5000 nm"),
        ("assembly_diameter_nm = 4.0", "assembly_diameter_nm = 4 is smaller than one particle"),
        ("film_thickness_nm = 1e4", "film_thickness_nm: must be 0 to 1000 nm"),
    ],
)
def test_a_simulated_specimen_that_cannot_be_meant_is_refused(
    setting: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.toml"
    path.write_text(f'{MINIMAL}[column]\nsimulator_settings = "s.toml"\n')
    (tmp_path / "s.toml").write_text(f"[specimen]\n{setting}\n")
    assert run("validate", str(path)) == ExitCode.USAGE
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("dwell_us = 1.0", "dwell_us = 5e-6", "scan: dwell_us must be 0.01 to 10000 µs"),
        ("pixel_nm = 1.0", "pixel_nm = 120", "scan: pixel_nm must be 0.001 to 50 nm"),
        ("", "[processing]\ndiameter_nm = 63000", "processing.diameter_nm: must be 0.05 to 2000"),
        ("", "[column]\nvoltage_kV = 300000", "column.voltage_kV: must be 20 to 3000 kV"),
        ("", "[shower]\ncurrent_pA = 4e-11", "shower.current_pA: must be 0.1 to 100000 pA"),
        ("", "[processing]\ndiameter_nm = 40.0", "give 2 to 32 nm"),
        ("", "[processing]\ncrop_px = [0, 0, 65, 20]", "crop 65 x 20 px from column 0, row 0"),
        ("", "[processing]\nmemory_limit_GB = 0.001", "must be 0.01 to 100000 GB"),
        (
            "[scan]\nwidth_px = 64\nheight_px = 64",
            "[processing]\nbin = 1\nmemory_limit_GB = 0.01\n"
            "[scan]\nwidth_px = 256\nheight_px = 256",
            "voxels need about 0.13 GB",
        ),
        ("", "[processing]\nbin = 8", "bin 8 leaves 8 x 8 px"),
    ],
)
def test_values_that_cannot_be_meant_are_refused_with_their_range(
    old: str, new: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.toml"
    text = MINIMAL.replace(old, new) if old else f"{MINIMAL}{new}\n"
    real = text if "[column]" in text else f'{text}[column]\nkind = "bridge"\n'
    path.write_text(real.replace("[column]\nvolt", '[column]\nkind = "bridge"\nvolt'))
    assert run("validate", str(path)) == ExitCode.USAGE
    assert said in capsys.readouterr().out


def test_show_prints_the_simulator_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "demo") == ExitCode.OK
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert '"multi-grain"' in rows["simulator.specimen.packing"]
    assert rows["simulator.remount.seat_tilt_deg"].endswith("default")


def test_show_names_the_source_of_each_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL)
    assert run("show", str(path)) == ExitCode.OK
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert rows["scan.pixel_nm"].endswith(str(path)) and " 1.0 " in rows["scan.pixel_nm"]
    assert rows["series_b.step_deg"].endswith("default")
    assert rows["processing.diameter_nm"].endswith("default")


@pytest.mark.parametrize(
    ("name", "said"),
    [("nowhere.toml", "no such protocol"), ("README", "no such protocol")],
)
def test_an_unknown_profile_is_refused(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        find_profile(name)
