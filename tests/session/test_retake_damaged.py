"""A stack that was cut off or damaged: the whole frames are kept, the others recorded again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from controller.common.exit_codes import ExitCode
from controller.model.base import SeriesName
from controller.session.errors import JournalDamagedError
from controller.session.folder import SessionFolder
from controller.session.journal import read_journal
from controller.session.ledger import replay
from controller.session.retake_damaged import retake_damaged
from processing.files.mrc import read_stack
from processing.files.tilt_series import load_tilt_series
from tests.support.byte_flips import stop_in_b
from tests.support.fake_microscope import FakeMicroscope
from tests.support.small_session import TILTS_A, TILTS_B, Run, open_session

FRAME = 48 * 48 * 2


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a session stopped after two frames of B."""
    folder = tmp_path_factory.mktemp("cut") / "s"
    stop_in_b(folder)
    return folder


def cut(path: Path, lost_bytes: int) -> None:
    os.truncate(path, path.stat().st_size - lost_bytes)


def rot(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[1024 + FRAME + 7] ^= 1
    path.write_bytes(content)


@dataclass(frozen=True)
class Case:
    """A damage to a stack, the sections lost by it, and those recorded again."""

    name: str
    series: SeriesName
    change: Callable[[Path], None]
    lost: tuple[int, ...]
    again: bool = True
    refused: bool = True


CASES = [
    Case("the last frame cut off", "B", lambda path: cut(path, 300), (1,)),
    Case("a whole frame gone", "B", lambda path: cut(path, FRAME), (1,)),
    Case("two frames gone", "B", lambda path: cut(path, FRAME + 300), (0, 1)),
    Case("the header gone, too", "B", lambda path: os.truncate(path, 100), (0, 1)),
    Case("a byte changed", "B", rot, (1,), refused=False),
    Case("A cut off after the flip", "A", lambda path: cut(path, 300), (4,), again=False),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_whole_frames_are_kept_and_the_others_recorded_again_if_asked(
    reference: Path, tmp_path: Path, case: Case
) -> None:
    folder = tmp_path / "s"
    shutil.copytree(reference, folder)
    (tmp_path / "flipped").touch()
    stack = folder / f"{case.series}.mrc"
    whole = stack.read_bytes()
    case.change(stack)
    changed = stack.read_bytes()
    if case.refused:
        with pytest.raises(JournalDamagedError, match=f"resume {folder} --retake-damaged"):
            open_session(folder)
        assert stack.read_bytes() == changed
    dose = replay(line.entry for line in read_journal(folder / "journal.jsonl").lines).dose_e_per_A2
    report = "\n".join(retake_damaged(SessionFolder.open(folder)))
    assert ("is recorded again" in report) == case.again
    assert ("the grid is flipped" in report) != case.again
    piece = changed[1024 + FRAME * case.lost[0] :][:FRAME]
    kept = [path.read_bytes() for path in (folder / "quarantine").iterdir()]
    assert any(content.startswith(piece) for content in kept)
    assert retake_damaged(SessionFolder.open(folder)) == () or not case.again
    run = Run(open_session(folder), FakeMicroscope(flipped_file=tmp_path / "flipped"))
    assert run.session.ledger.dose_e_per_A2 == dose
    assert run.go() is ExitCode.OK
    tilts = {"A": TILTS_A, "B": TILTS_B}
    for series, angles in tilts.items():
        retaken = len(case.lost) if case.again and series == case.series else 0
        loaded = load_tilt_series(folder / f"{series}.mrc")
        recorded = run.session.ledger.frames[series]
        assert list(loaded.tilt_numbers) == [frame.tilt_number for frame in recorded]
        lost = list(case.lost) if series == case.series else []
        assert list(np.flatnonzero(loaded.excluded)) == lost
        assert len(read_stack(folder / f"{series}.mrc").data) == len(angles) + retaken
        used = sorted(loaded.angles_deg[~loaded.excluded])
        expected = angles if case.again or series != case.series else angles[:-1]
        assert used == pytest.approx(sorted(expected), abs=0.2)
    restored = stack.read_bytes()
    for section in set(range((len(whole) - 1024) // FRAME)) - set(case.lost):
        place = slice(1024 + section * FRAME, 1024 + (section + 1) * FRAME)
        assert restored[place] == whole[place]


def test_a_stack_with_bytes_removed_inside_is_first_moved_back(
    reference: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "s"
    shutil.copytree(reference, folder)
    whole = (folder / "B.mrc").read_bytes()
    (folder / "B.mrc").write_bytes(whole[:1500] + whole[1516:])
    report = retake_damaged(SessionFolder.open(folder))
    assert any("moved back to their places" in line for line in report)
    assert (folder / "B.mrc").read_bytes()[1024 + FRAME :] == whole[1024 + FRAME :]
    ledger = replay(line.entry for line in read_journal(folder / "journal.jsonl").lines)
    assert ledger.withdrawn == {("B", 0)}
