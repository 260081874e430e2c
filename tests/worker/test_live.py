"""The live child on a series that grows on disk: the real child, its pipes and its files."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from controller.events import (
    Alerted,
    Counted,
    Event,
    PreviewReady,
    ProcessingProgressed,
    TiltJudged,
)
from controller.tilt_order import TiltOrder, in_order
from controller.worker.supervisor import Supervisor
from processing.files.mrc_writer import MrcStackWriter
from processing.files.rawtlt import write_rawtlt
from processing.live import LiveReconstruction
from tests.support.spheres import Recording, packed, tilt_series

ANGLES_DEG = np.arange(-60.0, 61.0, 4.0)
SIZE = 96
PROTOCOL = f"""
name = "grows"
[scan]
width_px = {SIZE}
height_px = {SIZE}
pixel_nm = 0.9
dwell_us = 5.0
[series_a]
start_deg = -60.0
stop_deg = 60.0
step_deg = 4.0
"""
CENTRES = packed(33.0, 8.6, order="disordered", seed=3)


def shifts() -> np.ndarray:
    return np.random.default_rng(5).uniform(-3, 3, (len(ANGLES_DEG), 2))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    taken = Recording(shifts(), np.zeros(len(ANGLES_DEG)), counts=500.0)
    return tilt_series(CENTRES, ANGLES_DEG, 7.0, SIZE, taken).images


@contextmanager
def worker(folder: Path) -> Iterator[tuple[Supervisor, list[Event]]]:
    (folder / "protocol.toml").write_text(PROTOCOL)
    events: list[Event] = []
    supervisor = Supervisor(folder, events.append)
    try:
        yield supervisor, events
    finally:
        supervisor.close()


def caught_up(supervisor: Supervisor) -> None:
    deadline = time.monotonic() + 60
    while supervisor.behind:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def record(folder: Path, images: np.ndarray, supervisor: Supervisor) -> None:
    counts = np.round(images).astype(np.uint16)
    with MrcStackWriter.create(folder / "A.mrc", (SIZE, SIZE), np.uint16, 0.9) as writer:
        for index, image in enumerate(counts):
            writer.append(image)
            write_rawtlt(folder / "A.rawtlt", ANGLES_DEG[: index + 1])
            supervisor.frame_recorded("A", index)


def test_every_frame_is_judged_shown_and_counted(tmp_path: Path, images: np.ndarray) -> None:
    with worker(tmp_path) as (supervisor, events):
        record(tmp_path, images, supervisor)
        caught_up(supervisor)
    judged = [event for event in events if isinstance(event, TiltJudged)]
    assert [event.index for event in judged] == list(range(len(ANGLES_DEG)))
    assert np.median([event.residual_px for event in judged]) < 1.0
    counts = [event for event in events if isinstance(event, Counted)]
    assert counts and all(event.live and event.which == "A" for event in counts)
    last = counts[-1]
    assert last.tilts_used == len(ANGLES_DEG)
    assert last.n_low <= last.n <= last.n_high
    progress = [event for event in events if isinstance(event, ProcessingProgressed)]
    assert {event.job for event in progress} == {"live-A"}
    previews = {event.view: event.path for event in events if isinstance(event, PreviewReady)}
    assert set(previews) == {"frame", "slice-A"}
    for path in previews.values():
        picture = np.load(tmp_path / path)
        assert picture.dtype == np.uint8 and picture.shape == (SIZE, SIZE)
        assert picture.max() > picture.min()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_killed_child_builds_its_volume_again(tmp_path: Path, images: np.ndarray) -> None:
    with worker(tmp_path) as (supervisor, events):
        record(tmp_path, images[:12], supervisor)
        caught_up(supervisor)
        pid = supervisor.pids["live"]
        assert pid is not None
        os.kill(pid, 9)
        supervisor.frame_recorded("A", 11)
        deadline = time.monotonic() + 60
        while sum(isinstance(event, TiltJudged) for event in events) < 24:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    indices = [event.index for event in events if isinstance(event, TiltJudged)]
    assert indices == [*range(12), *range(12)]


def test_a_frame_that_is_not_there_is_named_and_the_rest_goes_on(
    tmp_path: Path, images: np.ndarray
) -> None:
    with worker(tmp_path) as (supervisor, events):
        record(tmp_path, images[:3], supervisor)
        supervisor.frame_recorded("A", 3)
        caught_up(supervisor)
        shutil.rmtree(tmp_path / "previews")
        supervisor.frame_recorded("A", 4)
        caught_up(supervisor)
    alerts = [event.text for event in events if isinstance(event, Alerted)]
    assert len(alerts) == 2 and "image 3 is not wholly on the disk" in alerts[0]
    assert sum(isinstance(event, TiltJudged) for event in events) == 3


def test_shifts_are_found_against_what_stands(images: np.ndarray) -> None:
    live = LiveReconstruction((SIZE, SIZE), 0.9)
    found = [live.add(image, float(angle)) for image, angle in zip(images, ANGLES_DEG, strict=True)]
    assert all(tilt.used for tilt in found)
    error = np.array([tilt.shift_px for tilt in found]) - shifts()
    # along the axis to a fraction of a pixel; across it a slow course of x and z stays open
    assert np.std(error[:, 0]) < 0.3
    assert np.abs(error[:, 1]).max() < 2.0


def test_the_count_comes_near_and_its_range_closes() -> None:
    angles_deg = np.arange(-70.0, 71.0, 2.0)
    centres = packed(34.0, 8.6, order="fcc", seed=3)
    images = tilt_series(centres, angles_deg, 7.0, SIZE).images
    live = LiveReconstruction((SIZE, SIZE), 1.0)
    counts = []
    for index, (image, angle) in enumerate(zip(images, angles_deg, strict=True)):
        live.add(image, float(angle))
        if index % 10 == 9 and (count := live.count()) is not None:
            counts.append(count)
    last = counts[-1]
    assert abs(last.n - len(centres)) < 0.1 * len(centres)
    assert last.n_high - last.n_low < counts[0].n_high - counts[0].n_low
    assert last.spacing_nm == pytest.approx(8.6, rel=0.1)


@pytest.mark.parametrize(
    ("shape", "binning"), [((96, 96), 1), ((192, 192), 1), ((193, 100), 2), ((512, 512), 3)]
)
def test_large_images_are_binned(shape: tuple[int, int], binning: int) -> None:
    live = LiveReconstruction(shape, 0.5)
    live.add(np.ones(shape, np.float32), 0.0)
    assert live.binning == binning
    assert live.pixel_nm == pytest.approx(0.5 * binning)
    assert live.slice_xz().shape == (shape[1] // binning,) * 2
    assert live.slice_xy().shape == (shape[0] // binning, shape[1] // binning)
    assert live.count() is None


def test_an_image_of_something_else_is_not_used(images: np.ndarray) -> None:
    live = LiveReconstruction((SIZE, SIZE), 0.9)
    for image, angle in zip(images[:8], ANGLES_DEG[:8], strict=True):
        live.add(image, float(angle))
    noise = np.random.default_rng(1).normal(size=(SIZE, SIZE)).astype(np.float32)
    assert not live.add(noise, float(ANGLES_DEG[8])).used
    assert live.tilts == 8
    with pytest.raises(ValueError, match="not finite"):
        live.add(np.full((SIZE, SIZE), np.nan, np.float32), 0.0)


@pytest.mark.parametrize("order", ["bidirectional", "dose-symmetric"])
def test_the_order_of_recording_makes_no_difference(images: np.ndarray, order: TiltOrder) -> None:
    by_angle = dict(zip(ANGLES_DEG.tolist(), images, strict=True))
    residuals, counts = {}, {}
    for name, tilts in (
        ("one-way", ANGLES_DEG.tolist()),
        (order, in_order(ANGLES_DEG.tolist(), order, 0.0, 2)),
    ):
        live = LiveReconstruction((SIZE, SIZE), 0.9)
        judged = [live.add(by_angle[tilt], tilt) for tilt in tilts]
        residuals[name] = float(np.median([tilt.residual_px for tilt in judged]))
        assert all(tilt.used for tilt in judged)
        found = live.count()
        assert found is not None
        counts[name] = found.n
    assert residuals[order] < max(1.0, 2 * residuals["one-way"])
    assert counts[order] == pytest.approx(counts["one-way"], rel=0.1)
