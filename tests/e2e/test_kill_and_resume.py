"""A complete session in its real processes, killed with -9 during A and again during B."""

from __future__ import annotations

import json
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import mdocfile
import mrcfile
import numpy as np
import pytest

from controller.common.exit_codes import ExitCode
from controller.model.protocol import read_protocol
from controller.session.disk_space import SMALL_FILES_BYTES, processed_bytes
from tests.support.documented_files import undocumented
from tests.support.processes import Start, kill_session
from tests.support.simulator_session import release, write_holds, write_protocol

STEPS = """
[series_a]
start_deg = -72.0
stop_deg = 72.0
step_deg = 4.0
[series_b]
start_deg = -74.0
stop_deg = 74.0
step_deg = 4.0
"""
PLANNED = {"A": 37, "B": 38}
KILLED_AFTER = {"A": 12, "B": 17}
HELD_AT = {series: f"{series}-{frames + 1:03d}" for series, frames in KILLED_AFTER.items()}
"""Steps at which the session waits until it is killed."""
DEADLINE_S = 240.0


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "session"
    yield folder
    kill_session(folder)


def test_a_session_killed_twice_records_each_frame_once(
    tmp_path: Path, session: Path, start: Start
) -> None:
    protocol = write_protocol(tmp_path, seed=7, more=STEPS)
    holds = write_holds(tmp_path, *HELD_AT.values())
    first = start("run", str(protocol), "--headless", "--out", str(session), faults=holds)
    before = killed_during("A", first, session)

    second = start("resume", str(session), "--headless")
    before |= killed_during("B", second, session)

    third = start("resume", str(session), "--headless")
    said, _ = third.communicate(timeout=DEADLINE_S)
    assert third.returncode == ExitCode.OK, said

    frames = frames_written(session)
    after = {(f["series"], f["section"]): f["crc32"] for f in frames}
    assert len(after) == len(frames) == sum(PLANNED.values())
    assert before.items() <= after.items()
    for series, planned in PLANNED.items():
        with mrcfile.open(session / f"{series}.mrc") as stack:
            images = np.array(stack.data)
        assert len(images) == planned
        assert [zlib.crc32(i.tobytes()) for i in images] == [
            after[series, n] for n in range(planned)
        ]
        assert len({image.tobytes() for image in images}) == planned
        tilts = [f["actual_deg"] for f in frames if f["series"] == series]
        assert sorted(tilts) == sorted(set(tilts))
        assert len(mdocfile.read(session / f"{series}.mrc.mdoc")) == planned
    assert flips(session) == 1
    assert (session / "report.html").is_file()

    processed = sum(path.stat().st_size for path in (session / "processed").iterdir())
    foreseen = processed_bytes(read_protocol(session / "protocol.toml"))
    assert 0.8 * foreseen < processed < foreseen + SMALL_FILES_BYTES
    assert undocumented(session) == []

    again = start("resume", str(session), "--headless")
    said, _ = again.communicate(timeout=DEADLINE_S)
    assert again.returncode == ExitCode.USAGE
    assert "finished" in said


def killed_during(
    series: str, watcher: subprocess.Popen[str], session: Path
) -> dict[tuple[str, int], int]:
    """Kill every process of the session in the middle of a series; return its frames so far."""
    deadline = time.monotonic() + DEADLINE_S
    while count(session, series) < KILLED_AFTER[series]:
        assert watcher.poll() is None, watcher.communicate()[0]
        assert time.monotonic() < deadline, f"too few frames of {series} after {DEADLINE_S:g} s"
        time.sleep(0.02)
    kill_session(session)
    release(session, HELD_AT[series])
    said, _ = watcher.communicate(timeout=DEADLINE_S)
    assert watcher.returncode == ExitCode.BRIDGE, said
    assert KILLED_AFTER[series] <= count(session, series) < PLANNED[series]
    return {(f["series"], f["section"]): f["crc32"] for f in frames_written(session)}


def journal(session: Path) -> list[dict[str, object]]:
    path = session / "journal.jsonl"
    if not path.exists():
        return []
    lines = path.read_text().split("\n")[:-1]  # the bytes after the last newline are being written
    return [json.loads(line)["entry"] for line in lines]


def frames_written(session: Path) -> list[dict[str, object]]:
    return [entry for entry in journal(session) if entry["kind"] == "frame-written"]


def count(session: Path, series: str) -> int:
    return sum(frame["series"] == series for frame in frames_written(session))


def flips(session: Path) -> int:
    return sum(entry["kind"] == "flip-judged" for entry in journal(session))
