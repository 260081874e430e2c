"""Overhead of a tilt beyond stage, settling and exposure: a whole series over loopback.

The microscope behind the bridge moves and exposes in no time, so the rest is our overhead: journal,
writing the frame to disk, locating the object, judging the frame, mdoc, status events. The peer is
a plain loop of the same calls on the same bridge: move, wait, tracking shot, frame.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from controller.bridge.remote_microscope import RemoteMicroscope
from controller.bridge.start_bridge import start_bridge
from controller.engine import Engine
from controller.model.commands import StopWhen
from controller.model.events import Event, FrameRecorded, PromptOpened
from controller.model.processing_jobs import ProcessingJobs
from controller.model.scan import ScanSettings
from controller.model.stage import StagePosition
from controller.worker.supervisor import Supervisor
from tests.benchmarks.row import Row
from tests.support.fake_microscope import FakeMicroscope
from tests.support.small_session import FakeJobs, open_session, write_report

LIMIT_S = 0.1
SIDE_PX = 512
PROTOCOL = f"""
name = "tilts"
[scan]
width_px = {SIDE_PX}
height_px = {SIDE_PX}
pixel_nm = 0.45
dwell_us = 3.0
[shower]
enabled = false
[series_a]
start_deg = -70.0
stop_deg = 74.0
[tracking]
settle_s = 0.0
"""


class InstantMicroscope(FakeMicroscope):
    """Microscope that immediately returns a noisy disc."""

    def image(self, scan: ScanSettings) -> NDArray[np.uint16]:
        y, x = np.ogrid[: scan.height_px, : scan.width_px]
        middle = (scan.height_px - 1) / 2
        radius_px = scan.height_px / 3
        disc = ((y - middle) ** 2 + (x - middle) ** 2) < radius_px**2
        noise = np.random.default_rng(self.exposures).integers(0, 60, disc.shape)
        return np.asarray(100 + 500 * disc + noise, np.uint16)


def create(settings: dict[str, object], state_path: Path | None) -> InstantMicroscope:
    """Create the microscope in the bridge."""
    return InstantMicroscope()


def run() -> list[Row]:
    """Measure one series as a session records it, and its calls alone."""
    with (
        tempfile.TemporaryDirectory() as name,
        start_bridge(
            Path(name) / "bridge", microscope=f"{__name__}:create", extra=["--host", "127.0.0.1"]
        ) as bridge,
    ):
        folder = Path(name)
        alone_s = _session_s(
            folder / "alone", lambda: bridge.connect("a session"), lambda _: FakeJobs()
        )
        calls_s = _calls_s(bridge.connect("the calls"))
        beside_s = _session_s(
            folder / "beside",
            lambda: bridge.connect("a session that is processed"),
            lambda folder: Supervisor(folder, lambda event: None),
        )
    problem = f"a tilt beyond its calls, {SIDE_PX} x {SIDE_PX}, TCP, median of a series"
    peer = "the calls alone"
    return [
        Row(problem, alone_s - calls_s, peer, calls_s, None, LIMIT_S),
        Row(f"{problem}, worker busy", beside_s - calls_s, peer, calls_s, None, LIMIT_S),
    ]


def _session_s(
    folder: Path,
    connect: Callable[[], RemoteMicroscope],
    jobs_for: Callable[[Path], ProcessingJobs],
) -> float:
    """Return the median time from frame to frame."""
    recorded_s: list[float] = []

    def publish(event: Event) -> None:
        if isinstance(event, FrameRecorded):
            recorded_s.append(time.perf_counter())
        if isinstance(event, PromptOpened):
            engine.stop(StopWhen.NOW)

    session = open_session(folder, PROTOCOL)
    jobs = jobs_for(folder)
    engine = Engine(session, connect, jobs, publish, write_report)
    try:
        engine.run()
    finally:
        session.close()
        if isinstance(jobs, Supervisor):
            jobs.close()
    return statistics.median(after - before for before, after in pairwise(recorded_s))


def _calls_s(microscope: RemoteMicroscope) -> float:
    """Return the median time of one tilt's calls."""
    frame = ScanSettings(width_px=SIDE_PX, height_px=SIDE_PX, pixel_nm=0.45, dwell_us=3.0)
    shot = frame.model_copy(update={"dwell_us": 0.6})
    took_s = []
    for index, alpha_deg in enumerate(range(-70, 75, 2)):
        before = time.perf_counter()
        microscope.move_stage(f"move-{index}", StagePosition(alpha_deg=float(alpha_deg)))
        microscope.wait(0.0)
        microscope.acquire(f"shot-{index}", shot)
        microscope.acquire(f"frame-{index}", frame)
        took_s.append(time.perf_counter() - before)
    microscope.close()
    return statistics.median(took_s)
