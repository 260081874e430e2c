"""Sessions killed with -9 at journal writes and resumed: no frame is lost or recorded twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from controller.common.exit_codes import ExitCode
from controller.model.events import FrameRecorded, PromptOpened, SessionStarted
from controller.session.entries import Exposing
from controller.session.journal import read_journal
from tests.support.fake_microscope import FakeMicroscope
from tests.support.small_session import TILTS_A, TILTS_B, Run, open_session

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

EVERY = 5
"""Every fifth crash point is tested."""


def run_through(folder: Path) -> list[str]:
    """Run a session undisturbed; return the name of every crash point it passed."""
    names: list[str] = []
    microscope = FakeMicroscope(flipped_file=folder.with_name("reference-flipped"))
    run = Run(open_session(folder, crash_point=names.append), microscope)
    assert run.go() is ExitCode.OK
    return names


def written_but_not_acknowledged(names: list[str]) -> list[str]:
    """Return one moment of each series at which a frame is in the stack, not in the journal."""
    return [f"after-stack-{step}" for step in ("A-003", "B-002") if f"after-stack-{step}" in names]


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[str]]:
    """(folder of the killed sessions, folder of a session never killed, moments of the kills)."""
    base = tmp_path_factory.mktemp("crashes")
    names = run_through(base / "reference")
    last_frame = max(i for i, name in enumerate(names) if name.startswith("after-stack"))
    sample = {*names[2 : last_frame + 3 : EVERY], *written_but_not_acknowledged(names)}
    moments = [name for name in names if name in sample]
    command = [sys.executable, "-m", "tests.support.crashing_session", str(base), *moments]
    subprocess.run(command, check=True, timeout=300, cwd=Path(__file__).parents[2])
    return base, base / "reference", moments


def raw(folder: Path) -> dict[str, bytes]:
    """Return pixels and angles of both series."""
    return {
        name: (folder / name).read_bytes()[1024 if name.endswith("mrc") else 0 :]
        for name in ("A.mrc", "B.mrc", "A.rawtlt", "B.rawtlt")
    }


def test_resume_ends_with_the_same_frames_bit_for_bit(
    crashed: tuple[Path, Path, list[str]],
) -> None:
    base, reference, moments = crashed
    assert any("A-0" in m for m in moments)
    assert any("B-0" in m for m in moments)
    expected = raw(reference)
    wrong = []
    for number, moment in enumerate(moments):
        folder = base / str(number)
        done = len(frames_in_journal(folder))
        microscope = FakeMicroscope("boot-2", flipped_file=base / f"{number}-flipped")
        run = Run(open_session(folder), microscope)
        code = run.go()
        recorded = len(run.of(FrameRecorded))
        if code is not ExitCode.OK or raw(folder) != expected or done + recorded != 9:
            wrong.append((moment, code, done, recorded))
        assert run.of(SessionStarted)[0].resumed
    assert wrong == []


def frames_in_journal(folder: Path) -> list[str]:
    """Return the steps whose frame was in the journal when the session was killed."""
    lines = read_journal(folder / "journal.jsonl").lines
    return [e.entry.step_id for e in lines if e.entry.kind == "frame-written"]


@pytest.mark.parametrize("boot", ["boot-1", "boot-2"], ids=["same bridge", "new bridge"])
def test_an_exposed_frame_without_acknowledgement_is_requested_again(
    tmp_path: Path, boot: str
) -> None:
    """The same bridge still has the frame; with a new bridge it is retaken and charged again."""
    folder = tmp_path / "s"
    microscope = FakeMicroscope("boot-1", flipped_file=tmp_path / "flipped")

    class KilledError(BaseException):
        pass

    def crash_point(name: str) -> None:
        if name == "after-stack-A-003":
            raise KilledError

    run = Run(open_session(folder, crash_point=crash_point), microscope)
    with pytest.raises(KilledError):
        run.go()
    if boot != microscope.boot_id:
        microscope = FakeMicroscope(boot, flipped_file=tmp_path / "flipped")
    exposed_before = microscope.exposures
    again = Run(open_session(folder), microscope)
    assert again.go() is ExitCode.OK
    asked = [
        line.entry.request_id
        for line in read_journal(folder / "journal.jsonl").lines
        if isinstance(line.entry, Exposing)
        and (line.entry.step_id, line.entry.purpose) == ("A-003", "frame-0")
    ]
    assert len(asked) == len(set(asked)) == (1 if boot == "boot-1" else 2)
    assert microscope.exposures > exposed_before
    angles = [float(a) for a in (folder / "A.rawtlt").read_text().split()]
    assert angles == TILTS_A


def test_the_flip_is_not_asked_for_twice(tmp_path: Path) -> None:
    world = tmp_path / "flipped"

    class KilledError(BaseException):
        pass

    def crash_point(name: str) -> None:
        if name.startswith("after") and name.endswith("-answered"):
            raise KilledError

    run = Run(
        open_session(tmp_path / "s", crash_point=crash_point), FakeMicroscope(flipped_file=world)
    )
    with pytest.raises(KilledError):
        run.go()
    again = Run(open_session(tmp_path / "s"), FakeMicroscope("boot-2", flipped_file=world))
    assert again.go() is ExitCode.OK
    assert again.of(PromptOpened) == []
    assert [float(a) for a in (tmp_path / "s" / "B.rawtlt").read_text().split()] == TILTS_B
