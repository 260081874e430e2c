"""Live processing of a series that grows on disk: real children, pipes and files."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from controller.model.events import (
    Advised,
    Alerted,
    Counted,
    Event,
    PreviewReady,
    ProcessingFailed,
    ProcessingProgressed,
    TiltJudged,
)
from controller.model.processing_jobs import Job
from controller.worker.count_schedule import MIN_NEW_TILTS_AT_END
from controller.worker.supervisor import Supervisor
from processing.files.mrc_writer import MrcStackWriter, StackLayout
from processing.files.particles import read_csv
from processing.files.rawtlt import write_rawtlt
from tests.support.frames import recorded_frame
from tests.support.spheres import Recording, packed, tilt_series
from tests.worker.usual_priority import at_usual_priority

ANGLES_DEG = np.arange(-60.0, 61.0, 4.0)
SIZE = 56
LAYOUT = StackLayout((SIZE, SIZE), "uint16", 0.9)
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
WAIT_S = 600.0
CENTRES = packed(18.0, 8.6, order="disordered", seed=3)


def shifts() -> np.ndarray:
    return np.random.default_rng(5).uniform(-3, 3, (len(ANGLES_DEG), 2))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    taken = Recording(shifts(), np.zeros(len(ANGLES_DEG)), counts=500.0)
    return tilt_series(CENTRES, ANGLES_DEG, 7.0, SIZE, taken).images


@contextmanager
def worker(
    folder: Path, roles: Sequence[str] = ("live", "count")
) -> Iterator[tuple[Supervisor, list[Event]]]:
    """Start only the children that have something to do: each needs a second."""
    (folder / "protocol.toml").write_text(PROTOCOL)
    events: list[Event] = []
    command = at_usual_priority(folder)
    supervisor = Supervisor(folder, events.append, roles=roles, command=command)
    try:
        yield supervisor, events
    finally:
        supervisor.close()


def caught_up(supervisor: Supervisor) -> None:
    deadline = time.monotonic() + WAIT_S
    while supervisor.behind:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def stack(folder: Path, images: np.ndarray) -> None:
    """Write all frames at once."""
    counts = np.round(images).astype(np.uint16)
    with MrcStackWriter.create(folder / "A.mrc", LAYOUT) as writer:
        for image in counts:
            writer.append(image)


def on_disk(folder: Path, images: np.ndarray) -> None:
    """Write all frames and their angles at once."""
    stack(folder, images)
    write_rawtlt(folder / "A.rawtlt", ANGLES_DEG)


def record(folder: Path, images: np.ndarray, supervisor: Supervisor) -> None:
    counts = np.round(images).astype(np.uint16)
    with MrcStackWriter.create(folder / "A.mrc", LAYOUT) as writer:
        for index, image in enumerate(counts):
            writer.append(image)
            announce(supervisor, index)


def announce(supervisor: Supervisor, section: int) -> None:
    """Announce a frame of the planned series, in which no tilt was recorded again."""
    frame = recorded_frame("A", section + 1, nominal_deg=ANGLES_DEG[section])
    supervisor.frame_recorded(frame, len(ANGLES_DEG) - 1 - section)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def counted(events: list[Event], tilts: int) -> list[Counted]:
    """Wait for a count of `tilts` tilts, or of the last before them; return all counts."""
    deadline = time.monotonic() + WAIT_S
    while True:
        counts = [event for event in events if isinstance(event, Counted)]
        if counts and tilts - counts[-1].tilts_used < MIN_NEW_TILTS_AT_END:
            return counts
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def grown(images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    """Return the folder of a series that grew undisturbed, and the events."""
    folder = tmp_path_factory.mktemp("grown")
    with worker(folder) as (supervisor, events):
        write_rawtlt(folder / "A.rawtlt", ANGLES_DEG)
        record(folder, images, supervisor)
        caught_up(supervisor)
        counted(events, len(ANGLES_DEG))
        # the refined alignment of the count is applied
        until(lambda: sum(isinstance(event, TiltJudged) for event in events) >= 2 * len(images))
    return folder, events


def test_every_frame_is_measured_shown_and_counted(grown: tuple[Path, list[Event]]) -> None:
    folder, events = grown
    counts = [event for event in events if isinstance(event, Counted)]
    judged = [event for event in events if isinstance(event, TiltJudged)]
    latest = {event.section: event for event in judged}
    assert [event.section for event in judged[: len(ANGLES_DEG)]] == list(range(len(ANGLES_DEG)))
    assert np.median([event.residual_px for event in latest.values()]) < 0.2
    assert all(event.live and event.which == "A" for event in counts)
    assert counts[-1].n_low <= len(CENTRES) <= counts[-1].n_high
    topics = {event.topic for event in events if isinstance(event, Advised)}
    assert "blurred-side" in topics and "retake" not in topics
    progress = [event for event in events if isinstance(event, ProcessingProgressed)]
    assert {event.job for event in progress} == {"live-A"}
    previews = {event.view: event.path for event in events if isinstance(event, PreviewReady)}
    assert set(previews) == {"frame", "slice-A"}
    for path in previews.values():
        picture = np.load(folder / path)
        assert picture.dtype == np.uint8 and picture.shape == (SIZE, SIZE)
        assert picture.max() > picture.min()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_killed_child_rebuilds_its_volume(tmp_path: Path, images: np.ndarray) -> None:
    with worker(tmp_path) as (supervisor, events):
        record(tmp_path, images[:12], supervisor)
        caught_up(supervisor)
        pid = supervisor.pids["live"]
        assert pid is not None
        os.kill(pid, 9)
        announce(supervisor, 11)
        deadline = time.monotonic() + WAIT_S
        while sum(isinstance(event, TiltJudged) for event in events) < 24:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    indices = [event.section for event in events if isinstance(event, TiltJudged)]
    assert indices == [*range(12), *range(12)]


def test_a_missing_section_is_reported_and_the_other_frames_are_used(
    tmp_path: Path, images: np.ndarray
) -> None:
    with worker(tmp_path) as (supervisor, events):
        record(tmp_path, images[:3], supervisor)
        announce(supervisor, 3)
        caught_up(supervisor)
        shutil.rmtree(tmp_path / "previews")
        announce(supervisor, 4)
        caught_up(supervisor)
    alerts = [event.text for event in events if isinstance(event, Alerted)]
    assert len(alerts) == 2 and "A#4 left out: " in alerts[0]
    assert sum(isinstance(event, TiltJudged) for event in events) == 3


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_children_killed_again_and_again_leave_the_same_result(
    tmp_path: Path, images: np.ndarray, grown: tuple[Path, list[Event]]
) -> None:
    """Each child dies twice, the second time as the first: no frame is given up for that."""
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    shutil.copytree(grown[0], undisturbed)
    killed.mkdir()
    with worker(killed) as (supervisor, events):
        on_disk(killed, images)
        for turn in range(4):
            for section in range(8 * turn, min(8 * turn + 8, len(ANGLES_DEG))):
                announce(supervisor, section)
            caught_up(supervisor)
            pid = supervisor.pids[("live", "count")[turn % 2]]
            if pid is not None:
                os.kill(pid, 9)
        announce(supervisor, len(ANGLES_DEG) - 1)
        counted(events, len(ANGLES_DEG))
    counts = [counted(seen, len(ANGLES_DEG))[-1].n for seen in (grown[1], events)]
    assert counts[0] == counts[1]
    tables = [processed(folder) for folder in (undisturbed, killed)]
    assert len(tables[0]) == len(tables[1])
    assert cKDTree(tables[0]).query(tables[1])[0].max() < 0.1
    assert not [event for event in events if isinstance(event, ProcessingFailed)]


def processed(folder: Path) -> np.ndarray:
    """Process the series; return the centres of the particles."""
    with worker(folder, ["jobs"]) as (supervisor, events):
        supervisor.submit(Job.A)
        outcome = supervisor.wait(Job.A, WAIT_S)
    assert outcome is not None and outcome.ok
    assert not [event for event in events if isinstance(event, ProcessingFailed)]
    return read_csv(folder / "processed" / "particles_A.csv").centres_nm


RETAKES = {
    "at the same angle": 0.0,
    "0.3 degrees off": 0.3,
}


@pytest.mark.parametrize("off_deg", RETAKES.values(), ids=RETAKES)
def test_a_tilt_recorded_again_replaces_its_first_frame(
    tmp_path: Path, images: np.ndarray, off_deg: float
) -> None:
    """The first frame of A#1 is bad; its withdrawal replaces it, not the angle of the next one."""
    again = np.concatenate([np.roll(images[:20], 9, axis=2)[:1], images[:20]])
    first = recorded_frame("A", 1, nominal_deg=ANGLES_DEG[0], actual_deg=ANGLES_DEG[0] - off_deg)
    with worker(tmp_path) as (supervisor, events):
        stack(tmp_path, again)
        supervisor.frame_recorded(first, len(ANGLES_DEG) - 1)
        caught_up(supervisor)
        supervisor.frame_withdrawn("A", 0)
        for section, angle_deg in enumerate(ANGLES_DEG[:20], start=1):
            frame = recorded_frame("A", section, section=section, nominal_deg=angle_deg)
            supervisor.frame_recorded(frame, len(ANGLES_DEG) - section)
        caught_up(supervisor)
        used = counted(events, 20)[-1]
    assert used.n_low <= len(CENTRES) <= used.n_high
    captions = [event.caption for event in events if isinstance(event, PreviewReady)]
    assert "A x-z, 20 tilts" in captions


def test_neighbours_a_fifth_of_a_degree_apart_do_not_replace_each_other(
    tmp_path: Path, images: np.ndarray
) -> None:
    with worker(tmp_path) as (supervisor, events):
        stack(tmp_path, images[:3])
        for section in range(3):
            frame = recorded_frame("A", section + 1, nominal_deg=-60.0 + 0.2 * section)
            supervisor.frame_recorded(frame, 10)
        caught_up(supervisor)
    captions = [event.caption for event in events if isinstance(event, PreviewReady)]
    assert captions[-1] == "A x-z, 3 tilts"


def test_a_series_whose_last_tilt_is_skipped_is_complete(
    tmp_path: Path, images: np.ndarray
) -> None:
    with worker(tmp_path) as (supervisor, events):
        stack(tmp_path, images[:18])
        for section in range(18):  # two more than the last count: enough at the end alone
            announce(supervisor, section)
        supervisor.tilt_missed("A", 0)
        caught_up(supervisor)
        assert counted(events, 18)[-1].live
