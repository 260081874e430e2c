"""Removal of session folders: only if nothing was recorded and no run uses the folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from controller.session.folder import SessionFolder
from controller.session.folder_lock import remove_if_unused
from tests.support.small_session import PROTOCOL, Run, open_session


def opened(path: Path) -> None:
    open_session(path).close()


def recorded(path: Path) -> None:
    Run(open_session(path)).go()


def recorded_with_its_journal_lost(path: Path) -> None:
    recorded(path)
    (path / "journal.jsonl").unlink()


CASES = {
    "made, never run": (lambda path: None, True),
    "opened only": (opened, True),
    "recorded": (recorded, False),
    "recorded, its journal lost": (recorded_with_its_journal_lost, False),
}


@pytest.mark.parametrize(("prepare", "removed"), CASES.values(), ids=CASES.keys())
def test_only_a_folder_without_recordings_is_removed(
    prepare: Callable[[Path], None], removed: bool, tmp_path: Path
) -> None:
    folder = SessionFolder.create(tmp_path / "s", PROTOCOL)
    prepare(folder.path)
    before = sorted(folder.path.rglob("*"))
    assert remove_if_unused(folder) is removed
    assert folder.path.exists() is not removed
    if not removed:
        assert sorted(folder.path.rglob("*")) == before


def test_the_folder_of_a_running_session_is_kept(tmp_path: Path) -> None:
    folder = SessionFolder.create(tmp_path / "s", PROTOCOL)
    session = open_session(folder.path)
    assert not remove_if_unused(folder)
    assert folder.journal.exists()
    session.close()
    assert remove_if_unused(folder)
