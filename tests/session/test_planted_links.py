"""Links planted in a session's folder: nothing outside it is changed or read."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from controller.app.cli.main import main
from controller.app.new_session import new_session
from controller.app.profiles import find_profile
from controller.app.session_process import SimulatorBridge
from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from controller.common.open_inside import LinkRefusedError
from controller.model.processing_jobs import Job
from controller.report.write import write_report
from controller.service.previews import read_preview
from controller.service.service_address import read_address
from controller.service.status_file import last_status
from controller.session.previews import write_preview
from controller.session.read_plain import read_plain
from controller.session.session import Session
from controller.worker.child_messages import RunJob
from controller.worker.lane import Lane
from processing.batch.process_session import SessionTask, State, process_session
from processing.batch.replace_results import replace_results
from processing.batch.results_lock import results_lock
from processing.errors import InputFileError
from processing.files.atomic import replace_text
from processing.files.held_folder import held
from processing.files.mrc import read_stack, write_volume
from processing.files.particles import (
    ParticleTable,
    read_csv,
    read_xyz,
    write_csv,
    write_xyz,
)
from processing.files.rawtlt import read_rawtlt, write_rawtlt
from processing.files.section import read_section
from processing.pipeline.made_with import GivenFacts
from processing.pipeline.results_folder import EARLIER, MOVING, SUMMARY, read_series_result
from processing.pipeline.settings import ProcessSettings
from simulator.specimen import Particles
from simulator.truth import write_particles

pytestmark = pytest.mark.skipif(os.name == "nt", reason="symbolic links need rights on Windows")

TABLE = ParticleTable(np.zeros((1, 3)), np.ones(1), np.ones(1))
VOLUME = np.ones((2, 3, 4), np.float32)


@dataclass(frozen=True)
class Kind:
    """One kind of file: its place in the folder, how it is written, how it is read."""

    place: str
    write: Callable[[Path], object]
    read: Callable[[Path], object] | None


def _text(path: Path) -> None:
    replace_text(path, "{}")


def _volume(path: Path) -> None:
    write_volume(path, VOLUME, 1.0)


def _preview(path: Path) -> None:
    write_preview(path.parent.parent, path.stem, VOLUME[0], "", 1.0)


HELD = [
    Kind("processed/A_sirt.mrc", _volume, read_stack),
    Kind("A.mrc", _volume, lambda path: read_section(path, 0)),
    Kind("processed/A_own_particles.csv", lambda path: write_csv(path, TABLE), read_csv),
    Kind("processed/particles_A.xyz", lambda path: write_xyz(path, TABLE), read_xyz),
    Kind("processed/A.json", _text, lambda path: read_series_result(path.parent.parent, "A")),
    Kind("A.rawtlt", lambda path: write_rawtlt(path, [0.0]), read_rawtlt),
    Kind("protocol.toml", _text, read_plain),
    Kind("events.jsonl", _text, read_plain),
    Kind("previews/frame.npy", _preview, None),
    Kind("status.json", _text, None),
    Kind("report.html", _text, None),
    Kind("run/service.json", _text, None),
]
"""Files that a process writes and reads in the folder that it holds."""
HELD_IDS = [kind.place for kind in HELD]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Return a folder of somebody's own files."""
    folder = tmp_path / "outside"
    folder.mkdir()
    return folder


@pytest.fixture
def session(tmp_path: Path) -> Path:
    folder = tmp_path / "s"
    for name in ("processed", "previews", "run"):
        (folder / name).mkdir(parents=True)
    return folder


def link_file(session: Path, kind: Kind, outside: Path) -> Path:
    """Write the file outside and plant a link to it; return the file outside."""
    theirs = outside / "deep" / kind.place
    theirs.parent.mkdir(parents=True)
    kind.write(theirs)
    (session / kind.place).symlink_to(theirs)
    return theirs


def link_folder(session: Path, kind: Kind, outside: Path) -> Path:
    """Exchange the file's folder for a link; return the folder that it leads to."""
    folder = (session / kind.place).parent
    folder.rmdir()
    folder.symlink_to(outside)
    return outside


@pytest.mark.parametrize("kind", HELD, ids=HELD_IDS)
def test_a_linked_file_is_replaced_and_nothing_outside_is_written(
    kind: Kind, session: Path, outside: Path
) -> None:
    theirs = link_file(session, kind, outside)
    theirs.write_bytes(b"mine")
    with held(session):
        kind.write(session / kind.place)
    assert theirs.read_bytes() == b"mine"
    assert not (session / kind.place).is_symlink()


@pytest.mark.parametrize("kind", [k for k in HELD if k.read], ids=[k.place for k in HELD if k.read])
def test_a_linked_file_is_not_read(kind: Kind, session: Path, outside: Path) -> None:
    link_file(session, kind, outside)
    assert kind.read is not None
    with held(session), pytest.raises((OSError, InputFileError), match="is a link") as refused:
        kind.read(session / kind.place)
    assert "\n" not in str(refused.value)


IN_SUBFOLDERS = [kind for kind in HELD if "/" in kind.place]


@pytest.mark.parametrize("kind", IN_SUBFOLDERS, ids=[k.place for k in IN_SUBFOLDERS])
def test_a_linked_subfolder_is_refused(kind: Kind, session: Path, outside: Path) -> None:
    link_folder(session, kind, outside)
    with held(session), pytest.raises(OSError, match="is a link"):
        kind.write(session / kind.place)
    assert list(outside.iterdir()) == []


def test_a_link_that_the_user_made_is_followed_to_the_folder_itself(
    session: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(session)
    with held(tmp_path / "link"):
        write_csv(tmp_path / "link" / "processed" / "t.csv", TABLE)
        assert len(read_csv(tmp_path / "link" / "processed" / "t.csv")) == 1
    assert (session / "processed" / "t.csv").is_file()


def test_input_files_may_be_links(session: Path, outside: Path) -> None:
    """Series that a user names are read wherever they lie."""
    for kind in (HELD[0], HELD[5]):
        link_file(session, kind, outside / kind.place.split("/")[0])
        assert kind.read is not None
        kind.read(session / kind.place)


def test_without_descriptors_paths_are_used(session: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "supports_dir_fd", set())
    with held(session):
        _volume(session / "processed" / "A_sirt.mrc")
        assert read_stack(session / "processed" / "A_sirt.mrc").data.shape == VOLUME.shape
    (session / "status.json").symlink_to(session / "run")
    with pytest.raises(LinkRefusedError, match="is a link"):
        last_status(session)


# -- screens, pages and reports read a folder that they do not hold ------------------------------

READERS: dict[str, Callable[[Path], Any]] = {
    "status.json": last_status,
    "run/service.json": read_address,
    "previews/frame.npy": lambda folder: read_preview(folder, "previews/frame.npy", 64),
    "processed/summary.json": write_report,
    "accuracy.json": write_report,
    "protocol.toml": write_report,
    "events.jsonl": write_report,
}


LINKED = [(place, "file") for place in READERS]
LINKED += [(place, "folder") for place in READERS if "/" in place]


@pytest.mark.parametrize(("place", "linked"), LINKED)
def test_a_reader_refuses_a_link_in_one_line(
    place: str, linked: str, session: Path, outside: Path
) -> None:
    path = session / place
    if linked == "folder":
        path.parent.rmdir()
        path.parent.symlink_to(outside)
    else:
        path.symlink_to(outside / "secret")
    (outside / path.name).write_text("{}")
    (outside / "secret").write_text("{}")
    with pytest.raises(Exception, match="is a link") as refused:
        READERS[place](session)
    assert "\n" not in str(refused.value)
    assert getattr(refused.value, "exit_code", None) is ExitCode.USAGE
    assert not (session / "report.html").exists()


@pytest.mark.parametrize("place", ["run/service.json", "previews/frame.npy", "events.jsonl"])
def test_a_reader_does_not_wait_for_a_pipe(place: str, session: Path) -> None:
    os.mkfifo(session / place)
    os.mkfifo(session / "status.json")
    assert last_status(session) is None
    with pytest.raises((OSError, UsageError), match="is a pipe") as refused:
        READERS[place](session)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["A.mrc", "A.tif", "A.mrc.gz"])
def test_a_pipe_is_no_series(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / name)
    assert main(["inspect", str(tmp_path / name)]) == ExitCode.USAGE
    assert "is a pipe" in capsys.readouterr().out


def test_a_preview_outside_the_folder_is_not_read(session: Path, outside: Path) -> None:
    np.save(outside / "frame.npy", np.ones((2, 2), np.uint8))
    with pytest.raises(OSError, match="not inside"):
        read_preview(session, "../outside/frame.npy", 64)


@pytest.mark.parametrize(
    ("verb", "place"),
    [
        ("report", "processed/summary.json"),
        ("serve", "events.jsonl"),
        ("report", "events.jsonl"),
        ("process", "protocol.toml"),
    ],
)
def test_a_verb_ends_with_one_line(
    verb: str, place: str, session: Path, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (outside / "theirs").write_text("{}")
    (session / "A.mrc").touch()
    (session / place).symlink_to(outside / "theirs")
    assert main([verb, str(session)]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "is a link" in said and len(said.splitlines()) == 1


def test_the_truth_of_a_simulated_session_is_not_written_through_a_link(
    session: Path, outside: Path
) -> None:
    (outside / "bashrc").write_text("mine")
    (session / "truth.csv").symlink_to(outside / "bashrc")
    write_particles(Particles(np.zeros((1, 3)), np.ones(1)), session / "truth.csv")
    assert (outside / "bashrc").read_text() == "mine"


def test_processing_refuses_a_linked_results_folder(
    tmp_path: Path, session: Path, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (session / "processed").rmdir()
    (session / "processed").symlink_to(outside)
    (tmp_path / "A.mrc").touch()
    assert main(["process", str(tmp_path / "A.mrc"), "--out", str(session)]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "is a link" in said and len(said.splitlines()) == 1
    assert list(outside.iterdir()) == []


BATCH = SessionTask(Path(), ProcessSettings(), GivenFacts(), again=False)


LINKED_RESULTS = (
    "processed",
    *(f"processed/{n}" for n in ("unfinished", EARLIER, MOVING, SUMMARY)),
)


@pytest.mark.parametrize("place", LINKED_RESULTS)
def test_a_batch_refuses_a_link_among_its_results(place: str, session: Path, outside: Path) -> None:
    (outside / "processed").mkdir()
    (outside / "processed" / "summary.json").write_text("mine")
    (session / "A.mrc").write_text("a stack")
    if place == "processed":
        (session / place).rmdir()
    theirs = outside / "processed" / "summary.json" if place.endswith(".json") else outside
    (session / place).symlink_to(theirs)
    outcome = process_session(replace(BATCH, session=session))
    assert outcome.state is State.FAILED
    assert outcome.reason.startswith(f"{session / place}: is a link")
    files = [path for path in outside.rglob("*") if path.is_file()]
    assert [path.read_text() for path in files] == ["mine"]


def test_new_results_replace_links_and_stay_in_the_folder_that_is_held(
    tmp_path: Path, session: Path, outside: Path
) -> None:
    new, old = session / "processed" / "unfinished", session / "processed"
    (new / "processed").mkdir(parents=True)
    (new / "processed" / "summary.json").write_text("new")
    (outside / "summary.json").write_text("mine")
    (old / "summary.json").symlink_to(outside / "summary.json")
    with results_lock(session):
        old.rename(tmp_path / "moved")
        old.symlink_to(outside)
        replace_results(session, new)
    assert (outside / "summary.json").read_text() == "mine"
    assert list(outside.iterdir()) == [outside / "summary.json"]
    moved = tmp_path / "moved" / "summary.json"
    assert moved.read_text() == "new" and not moved.is_symlink()


# -- a parent folder exchanged while a session's processes run ------------------------------------

CHILD = """
import sys
from pathlib import Path
from processing.files.atomic import replace_text
from processing.files.held_folder import held
folder = Path(sys.argv[1])
with held(folder, reached_by=Path()):
    replace_text(folder / "processed" / "A.json", "{}")
"""


def test_a_child_works_in_the_folder_that_its_session_holds(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "s"
    for base in (folder, tmp_path / "prepared" / "s"):
        (base / "processed").mkdir(parents=True)
    ended = threading.Event()
    with held(folder):
        (tmp_path / "data").rename(tmp_path / "moved")
        (tmp_path / "data").symlink_to(tmp_path / "prepared")
        lane = Lane(
            [sys.executable, "-P", "-c", CHILD, str(folder)],
            folder,
            folder / "run" / "worker.log",
            lambda event: None,
            lambda task, end: None,
            lambda task, section, cause: ended.set(),
            30.0,
        )
        lane.add(RunJob(job=Job.A))
        assert ended.wait(30)
        lane.close()
    written = {path.name for path in (tmp_path / "moved" / "s").rglob("*") if path.is_file()}
    assert written == {"A.json", "worker.log"}
    assert [path for path in (tmp_path / "prepared").rglob("*") if path.is_file()] == []


def test_the_simulators_bridge_works_in_the_folder_that_its_session_holds(
    tmp_path: Path, outside: Path
) -> None:
    """Its world and its settings are found although a link has taken the parent's place."""
    (tmp_path / "data").mkdir()
    out = tmp_path / "data" / "s"
    folder = new_session(find_profile("fast"), out)
    with closing(Session.open(folder)) as session:
        (tmp_path / "data").rename(tmp_path / "moved")
        (tmp_path / "data").symlink_to(outside)
        bridge = SimulatorBridge(folder, session, tmp_path / "sockets")
        try:
            bridge.connection_file()
        finally:
            bridge.close()
    assert list(outside.iterdir()) == []
    assert (tmp_path / "moved" / "s" / "simulator" / "world.json").is_file()
