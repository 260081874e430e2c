"""Processing jobs on a small simulated session: real processes, real files."""

from __future__ import annotations

import shutil
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from controller.model.events import (
    Advised,
    Counted,
    Event,
    PreviewReady,
    ProcessingFailed,
    ProcessingProgressed,
)
from controller.model.processing_jobs import Job
from controller.model.protocol import Protocol
from controller.report.write import write_report
from controller.worker.supervisor import Supervisor
from processing.files.mrc import write_images
from processing.files.rawtlt import read_rawtlt, write_rawtlt
from processing.pipeline.results_folder import read_series_result, write_series_result
from processing.results import Summary
from simulator.series import simulate_dual
from simulator.settings import SimulatorSettings
from tests.support.frames import recorded_frame
from tests.worker.usual_priority import at_usual_priority

PROTOCOL = """
name = "small"
[scan]
width_px = 64
height_px = 64
pixel_nm = 0.9
dwell_us = 8.0
[series_a]
start_deg = -70
stop_deg = 70
step_deg = 5
[series_b]
start_deg = -70
stop_deg = 70
step_deg = 5
[processing]
diameter_nm = 6.3
sirt_iterations = 15
controls = ["mean"]
"""
SPECIMEN = {
    "assembly_diameter_nm": 38.0,
    "packing": "disordered",
    "other_assemblies_nm": ((700.0, 250.0),),
}
WAIT_S = 600.0
LONG_STAGES = {
    "sphere fit",
    "comparison with the images",
    "judging the count",
    "diameters of the particles",
    "positions of the particles",
    "writing the results",
    "structure of the assembly",
}
"""Stages that take minutes on a busy computer: the job says when each begins."""


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both raw series of a small assembly, flipped in between."""
    folder = tmp_path_factory.mktemp("session")
    protocol = Protocol.model_validate(tomllib.loads(PROTOCOL))
    settings = SimulatorSettings.model_validate(
        {"seed": 3, "specimen": SPECIMEN, "remount": {"in_plane_deg": 40.0}}
    )
    dual = simulate_dual(
        settings, protocol.scan, protocol.series_a.tilts_deg, protocol.series_b.tilts_deg, 70.0
    )
    (folder / "protocol.toml").write_text(PROTOCOL)
    for name, series in (("A", dual.a), ("B", dual.b)):
        write_images(folder / f"{name}.mrc", series.counts, protocol.scan.pixel_nm)
        write_rawtlt(folder / f"{name}.rawtlt", series.reported_deg)
    np.savetxt(folder / "n.txt", [len(dual.truth.diameters_nm)])
    return folder


@contextmanager
def worker(
    folder: Path, roles: Sequence[str] = ("jobs",)
) -> Iterator[tuple[Supervisor, list[Event]]]:
    """Start only the children that have something to do: each needs a second."""
    events: list[Event] = []
    command = at_usual_priority(folder)
    supervisor = Supervisor(folder, events.append, roles=roles, command=command)
    try:
        yield supervisor, events
    finally:
        supervisor.close()


def process(folder: Path, job: Job) -> list[Event]:
    """Process one job in children of its own; return their events."""
    with worker(folder) as (supervisor, events):
        supervisor.submit(job)
        outcome = supervisor.wait(job, WAIT_S)
        assert outcome is not None and outcome.ok, outcome
    stages = [event for event in events if isinstance(event, ProcessingProgressed)]
    assert stages and all(event.job == job.value for event in stages)
    assert all(0 <= event.fraction <= 1 for event in stages)
    assert {event.stage for event in stages} >= LONG_STAGES
    return events


@pytest.fixture(scope="module")
def session_with_a(session: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy of the session with series A processed."""
    folder = tmp_path_factory.mktemp("with-a") / "session"
    shutil.copytree(session, folder)
    process(folder, Job.A)
    return folder


def test_series_a_series_b_and_fusion_in_children_of_their_own(
    session_with_a: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "session"
    shutil.copytree(session_with_a, folder)
    for job in (Job.B, Job.FUSE):  # they share only the folder
        events = process(folder, job)
    summary = Summary.model_validate_json((folder / "processed" / "summary.json").read_text())
    assert summary.counts.fused is not None
    truth = float(np.loadtxt(folder / "n.txt"))
    assert abs(summary.counts.fused.n - truth) < 0.1 * truth
    counts = [event for event in events if isinstance(event, Counted)]
    final_px = {event.which: event.final_residual_px for event in counts}
    assert final_px["A"] == summary.series["A"].align_rms_px and final_px["fused"] is None
    counted = {event.which: event.n for event in counts}
    assert counted["fused"] == summary.counts.fused.n and "mean" in counted
    views = {event.view for event in events if isinstance(event, PreviewReady)}
    assert views == {"slice-B", "slice-fused", "slice-difference"}
    assert "exit surface" in write_report(folder).read_text(encoding="utf-8")


@dataclass(frozen=True)
class Case:
    name: str
    start: str
    """Fixture of the folder to begin with."""
    jobs: tuple[Job, ...]
    refused: bool
    reason: str


def other_side_up(folder: Path) -> None:
    for suffix in ("mrc", "rawtlt"):
        shutil.copy(folder / f"A.{suffix}", folder / f"B.{suffix}")


def with_result_of_a_as_b(folder: Path) -> None:
    """Write what processing B would write, without processing the same images again."""
    other_side_up(folder)
    write_series_result(folder, "B", read_series_result(folder, "A"))


def cut_short(folder: Path) -> None:
    whole = (folder / "A.mrc").read_bytes()
    (folder / "A.mrc").write_bytes(whole[: len(whole) // 2])


CASES = [
    (Case("series cut short", "session", (Job.A,), False, "A.mrc"), cut_short),
    (
        Case("fused before its series", "session", (Job.FUSE,), False, "process this series first"),
        None,
    ),
    (Case("B is A again", "session_with_a", (Job.FUSE,), True, ""), with_result_of_a_as_b),
]


@pytest.mark.parametrize(("case", "spoil"), CASES, ids=[case.name for case, _ in CASES])
def test_a_failure_is_reported_in_one_line(
    case: Case, spoil: object, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = tmp_path / "session"
    shutil.copytree(request.getfixturevalue(case.start), folder)
    if spoil is not None:
        spoil(folder)  # type: ignore[operator]
    with worker(folder) as (supervisor, events):
        for job in case.jobs:
            supervisor.submit(job)
            outcome = supervisor.wait(job, WAIT_S)
            assert outcome is not None
    assert not outcome.ok and outcome.refused is case.refused
    assert case.reason in outcome.reason and "\n" not in outcome.reason
    failure = [event for event in events if isinstance(event, ProcessingFailed)][-1]
    assert failure.reason == outcome.reason and failure.refused is case.refused


@pytest.mark.parametrize("fits", [True, False], ids=["flipped", "not flipped"])
def test_a_growing_b_is_compared_with_a(session_with_a: Path, tmp_path: Path, fits: bool) -> None:
    folder = tmp_path / "session"
    shutil.copytree(session_with_a, folder)
    if not fits:
        other_side_up(folder)
    with worker(folder, ["live", "count"]) as (supervisor, events):
        angles_deg = read_rawtlt(folder / "B.rawtlt")
        for section, angle_deg in enumerate(angles_deg):
            frame = recorded_frame("B", section + 1, nominal_deg=float(angle_deg))
            supervisor.frame_recorded(frame, len(angles_deg) - 1 - section)
        deadline_s = time.monotonic() + WAIT_S
        while not (told := [e for e in events if isinstance(e, Advised) and e.topic == "fit"]):
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
    assert [advised.ok for advised in told] == [fits]
    assert ("does not fit A" in told[0].text) is not fits
