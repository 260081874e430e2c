"""Eucentric height, focus and drift on the simulator: errors at the start are corrected."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from controller.app.cli.plan import describe
from controller.common.exit_codes import ExitCode
from controller.hardware.interface import Microscope
from controller.model.commands import StopWhen
from controller.model.events import (
    Alerted,
    Checked,
    FlipChecked,
    FrameRecorded,
    Level,
    PromptOpened,
)
from controller.model.plan import make_plan
from controller.model.protocol import Protocol
from controller.session.entries import Answered, Focused
from controller.session.ledger import replay
from simulator.microscope import SimulatedMicroscope, create
from simulator.settings import SimulatorSettings
from simulator.world import load_world
from tests.support.small_session import Run, open_session, stop_on

SERIES_A = "[series_a]\nstart_deg = -20.0\nstop_deg = 20.0\nstep_deg = 10.0\n"
PROTOCOL = (
    """
name = "focused"
[scan]
width_px = 96
height_px = 96
pixel_nm = 1.0
dwell_us = 20.0
[shower]
enabled = false
[series_b]
start_deg = -10.0
stop_deg = 10.0
step_deg = 10.0
"""
    + SERIES_A
)
BEFORE = "[focus]\nbefore_series = true\n"
DURING = BEFORE + "every_deg = 20.0\n"
HEIGHT = "[eucentric]\nenabled = true\n"


STILL = {"eucentric_error_nm": 0.0, "jitter_nm": 0.0, "backlash_nm": 0.0, "tilt_error_deg": 0.0}
"""Settings of a stage without errors."""


def simulated(
    world: Path | None = None, particle_nm: float = 11.5, **sections: dict[str, Any]
) -> SimulatedMicroscope:
    """Create a simulated microscope; its images of large particles take less time to compute."""
    settings = {
        "seed": 4,
        "specimen": {
            "packing": "disordered",
            "assembly_diameter_nm": 50.0,
            "particle_diameter_nm": particle_nm,
            "other_assemblies_nm": [],
            "stray_particles_per_um2": 500.0,
        },
        **sections,
    }
    return create(SimulatorSettings.model_validate(settings), world)


def series_a(folder: Path, protocol: str, microscope: Microscope) -> Run:
    """Run a session until the end of series A."""
    text = PROTOCOL if "[series_a]" not in protocol else PROTOCOL.replace(SERIES_A, "")
    run = Run(open_session(folder, text + protocol), microscope, answers=[])  # type: ignore[arg-type]
    run.on_event = stop_on(PromptOpened, StopWhen.NOW)
    assert run.go() is ExitCode.INTERRUPTED
    assert len([e for e in run.of(FrameRecorded) if e.frame.series == "A"]) == 5
    return run


def alerts(run: Run, text: str) -> list[Alerted]:
    return [alert for alert in run.of(Alerted) if text in alert.text]


@pytest.mark.parametrize("height_nm", [150.0, -60.0, 400.0])
def test_a_specimen_off_the_tilt_axis_is_brought_onto_it(tmp_path: Path, height_nm: float) -> None:
    microscope = simulated(particle_nm=6.3, stage={"eucentric_error_nm": height_nm})
    run = series_a(tmp_path / "s", HEIGHT, microscope)
    frames = [f for taken in run.session.ledger.frames.values() for f in taken]
    z_nm = frames[0].info.stage.z_nm
    assert z_nm == pytest.approx(-height_nm, abs=20.0)
    assert len(alerts(run, "eucentric height: stage moved")) == 1
    assert len(alerts(run, "measuring the eucentric height, at ±5°")) == 1
    across_nm = [frame.info.stage.x_nm for frame in frames]
    assert np.ptp(across_nm) < 40.0  # the object no longer moves with the tilt


@pytest.mark.parametrize("error_nm", [300.0, -700.0])
def test_a_focus_error_before_the_series_is_corrected(tmp_path: Path, error_nm: float) -> None:
    microscope = simulated(optics={"focus_error_nm": error_nm}, stage={"eucentric_error_nm": 0.0})
    run = series_a(tmp_path / "s", BEFORE, microscope)
    assert microscope.status().defocus_nm == pytest.approx(-error_nm, abs=40.0)
    assert [alert.level for alert in alerts(run, "focus at")] == [Level.INFO]


def test_a_drifting_focus_is_corrected_beside_the_specimen(tmp_path: Path) -> None:
    """The focus drifts by 330 nm a minute, which blurs the probe by two pixels."""
    drift = {"focus_drift_nm_per_h": 20_000.0}
    microscope = simulated(optics=drift, stage={"eucentric_error_nm": 0.0})
    run = series_a(tmp_path / "s", DURING, microscope)
    entries = [*run.session.ledger.exposures.values()]
    beside = [e for e in entries if "focus-beside" in e.intent.purpose]
    assert {e.intent.step_id for e in beside} == {"A-focus", "A-003", "A-005"}
    focus_nm = 20_000.0 / 3600.0 * microscope.status().time_s + microscope.status().defocus_nm
    assert focus_nm == pytest.approx(0.0, abs=150.0)
    last = run.session.ledger.focus
    assert isinstance(last, Focused)
    assert (last.step_id, last.defocus_nm) == ("A-005", microscope.status().defocus_nm)
    assert last.beside_nm == pytest.approx(20.0, abs=40.0)  # the film lies above the middle


def test_the_height_of_the_film_over_the_specimen_grows_with_the_tilt(tmp_path: Path) -> None:
    """27 nm over the specimen's middle at 0 degrees, 54 at 60; the beam is on the film there."""
    specimen = {"flattening": 0.0, "assembly_diameter_nm": 60.0, "packing": "disordered"}
    strays = {"stray_particles_per_um2": 1500.0, "other_assemblies_nm": []}
    microscope = simulated(specimen={**specimen, **strays}, stage=STILL)
    steep = DURING.replace("20.0", "60.0") + "[series_a]\nstart_deg = -60.0\nstop_deg = 60.0\n"
    run = series_a(tmp_path / "s", steep + "step_deg = 30.0\n", microscope)
    last = run.session.ledger.focus
    assert last is not None and last.step_id == "A-005"
    assert last.beside_nm == pytest.approx(27.0, abs=10.0)
    assert last.defocus_nm == pytest.approx(0.0, abs=25.0)


def test_a_failed_autofocus_restores_the_defocus_with_a_warning(tmp_path: Path) -> None:
    """The error is larger than the search range: every defocus is blurred."""
    microscope = simulated(optics={"focus_error_nm": 4900.0, "defocus_max_nm": 5000.0})
    microscope.set_defocus("as found", 10.0)
    run = series_a(tmp_path / "s", BEFORE, microscope)
    assert microscope.status().defocus_nm == 10.0
    assert [alert.level for alert in alerts(run, "no focus found")] == [Level.WARNING]


def test_a_resumed_series_has_the_focus_that_was_found(tmp_path: Path) -> None:
    """A crash in a defocus series leaves the column at any of its values."""
    microscope = simulated(optics={"focus_error_nm": 300.0}, stage={"eucentric_error_nm": 0.0})
    first = Run(open_session(tmp_path / "s", PROTOCOL + BEFORE), microscope)  # type: ignore[arg-type]
    first.on_event = stop_on(FrameRecorded, StopWhen.AFTER_TILT)
    assert first.go() is ExitCode.INTERRUPTED
    found_nm = microscope.status().defocus_nm
    microscope.set_defocus("during a defocus series", 900.0)
    again = Run(open_session(tmp_path / "s"), microscope, answers=[])  # type: ignore[arg-type]
    again.on_event = stop_on(PromptOpened, StopWhen.NOW)
    assert again.go() is ExitCode.INTERRUPTED
    assert microscope.status().defocus_nm == found_nm != 900.0
    assert not alerts(again, "focus at")


def test_the_focus_is_unknown_after_the_grid_was_taken_out() -> None:
    focused = Focused(step_id="A-focus", defocus_nm=120.0, beside_nm=30.0)
    out = Answered(step_id="flip", prompt_id="flip", value="done", reason="", by="operator")
    assert replay([focused]).focus == focused
    assert replay([focused, out]).focus is None


def test_b_is_eucentric_and_in_focus_before_it_is_compared(tmp_path: Path) -> None:
    """Height and focus are set before the flip check, not after it."""
    stage = {"eucentric_error_nm": 150.0}
    world = tmp_path / "world.json"
    microscope = simulated(world, optics={"focus_error_nm": 300.0}, stage=stage)
    session = open_session(tmp_path / "s", PROTOCOL + HEIGHT + BEFORE)
    run = Run(session, microscope)  # type: ignore[arg-type]
    run.on_event = stop_on(FlipChecked, StopWhen.NOW)
    run.go()
    at_flip = [
        one.intent.purpose
        for one in run.session.ledger.exposures.values()
        if one.intent.step_id == "flip"
    ]
    compared = [at_flip.index(f"check-{tilt}") for tilt in ("+0", "+30", "-30")]
    aligned = [i for i, what in enumerate(at_flip) if "height" in what or "focus" in what]
    assert len(aligned) > 10 and max(aligned) < min(compared)
    assert microscope.status().defocus_nm == pytest.approx(-300.0, abs=60.0)
    mounted_nm = float(load_world(world).mount.to_holder(np.zeros((1, 3)))[0, 2])
    assert abs(mounted_nm) > 40.0  # else there was nothing to correct
    assert microscope.status().stage.z_nm == pytest.approx(-mounted_nm, abs=20.0)


DRIFTS = {
    "soon small": ("drift_limit_nm_per_s = 0.2", {True}),
    "never small enough": ("drift_limit_nm_per_s = 1e-6\ndrift_within_s = 10", {False}),
    "not measured": ("drift_limit_nm_per_s = 0", set()),
}


@pytest.mark.parametrize("name", DRIFTS)
def test_the_flip_check_waits_for_the_drift_of_the_reinserted_grid(
    tmp_path: Path, name: str
) -> None:
    flip, at_rest = DRIFTS[name]
    session = open_session(tmp_path / "s", f"{PROTOCOL}[flip]\n{flip}\n")
    run = Run(session, simulated(stage=STILL))  # type: ignore[arg-type]
    run.on_event = stop_on(FlipChecked, StopWhen.NOW)
    run.go()
    # every assembly that is compared has its own check
    found = [check.ok for check in run.of(Checked) if check.name == "drift"]
    assert set(found) == at_rest
    warned = [alert.level for alert in alerts(run, "still drifts by")]
    assert warned == [Level.WARNING] * found.count(False)


PLANNED = {
    "eucentric height": (HEIGHT, {"A-height"}, set()),
    "before a series": (BEFORE, {"A-focus"}, set()),
    "during a series": (DURING, {"A-focus"}, {"A-003", "A-005", "B-003"}),
    "all": (
        HEIGHT + DURING,
        {"A-height", "A-focus"},
        {"A-003", "A-005", "B-003"},
    ),
}


@pytest.mark.parametrize("name", PLANNED)
def test_the_plan_shows_height_and_focus(name: str) -> None:
    protocol, steps, focused_tilts = PLANNED[name]
    plan = make_plan(Protocol.model_validate(tomllib.loads(PROTOCOL + protocol)))
    said = {step.id: describe(step) for step in plan.steps}
    added = {step.id for step in plan.steps if step.kind in ("eucentric", "focus")}
    assert added == steps
    assert {id_ for id_, words in said.items() if "focus beside" in words} == focused_tilts
    order = list(said)
    assert all(order.index(id_) < order.index("A-start") for id_ in added)


@pytest.mark.parametrize("protocol", [BEFORE, DURING, HEIGHT, HEIGHT + DURING])
def test_height_and_focus_cost_the_planned_dose(tmp_path: Path, protocol: str) -> None:
    run = series_a(tmp_path / "s", protocol, simulated(stage={"eucentric_error_nm": 10.0}))
    plan = make_plan(run.session.protocol)
    planned = sum(step.dose_e_per_A2 for step in plan.steps if step.phase.value == "A")
    assert run.session.ledger.dose_e_per_A2 == pytest.approx(planned, rel=0.1)
