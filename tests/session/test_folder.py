"""Only the folder of a session that never began may go, and none that a run holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from controller.session.folder import SessionFolder, remove_unbegun
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


@pytest.mark.parametrize(("prepare", "goes"), CASES.values(), ids=CASES.keys())
def test_what_was_begun_is_kept(
    prepare: Callable[[Path], None], goes: bool, tmp_path: Path
) -> None:
    folder = SessionFolder.create(tmp_path / "s", PROTOCOL)
    prepare(folder.path)
    before = sorted(folder.path.rglob("*"))
    assert remove_unbegun(folder) is goes
    assert folder.path.exists() is not goes
    if not goes:
        assert sorted(folder.path.rglob("*")) == before


def test_what_a_run_holds_is_kept(tmp_path: Path) -> None:
    folder = SessionFolder.create(tmp_path / "s", PROTOCOL)
    session = open_session(folder.path)
    assert not remove_unbegun(folder)
    assert folder.journal.exists()
    session.close()
    assert remove_unbegun(folder)
