"""The journal: entries are read back, a torn line is cut off, damage is refused and named."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from controller.session import journal_file
from controller.session.entries import StepDone, TiltSkipped
from controller.session.errors import JournalDamagedError
from controller.session.journal import Journal, JournalContent, read_journal

EMPTY = JournalContent((), 0, b"")


def written(path: Path, n: int) -> bytes:
    journal = Journal(path, EMPTY)
    for i in range(n):
        journal.append(StepDone(step_id=f"A-{i + 1:03d}"))
    journal.close()
    return path.read_bytes()


def step_ids(content: JournalContent) -> list[str]:
    return [line.entry.step_id for line in content.lines if isinstance(line.entry, StepDone)]


def test_entries_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    written(path, 5)
    content = read_journal(path)
    assert step_ids(content) == [f"A-{i:03d}" for i in range(1, 6)]
    assert [line.seq for line in content.lines] == list(range(5))
    assert content.torn == b""


@pytest.mark.parametrize("cut", [1, 2, 20, 60], ids=lambda n: f"{n} bytes short")
def test_a_torn_last_line_is_cut_off_and_overwritten(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal.jsonl"
    whole = written(path, 4)
    path.write_bytes(whole[:-cut])
    content = read_journal(path)
    assert step_ids(content) == ["A-001", "A-002", "A-003"]
    journal = Journal(path, content)
    journal.append(TiltSkipped(step_id="A-004", series="A", reason="again", nominal_deg=-10.0))
    journal.close()
    again = read_journal(path)
    assert [line.seq for line in again.lines] == [0, 1, 2, 3]
    assert again.torn == b""


def flip_a_bit(line: bytes) -> bytes:
    return line.replace(b'"step_id":"A-', b'"step_id":"B-')


DAMAGE = {
    "a letter changed": lambda lines: [lines[0], flip_a_bit(lines[1]), *lines[2:]],
    "a line missing": lambda lines: [lines[0], *lines[2:]],
    "two lines swapped": lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
    "a line of zeros": lambda lines: [lines[0], bytes(40) + b"\n", *lines[1:]],
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_before_the_last_line_is_refused_and_the_file_is_unchanged(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / "journal.jsonl"
    lines = written(path, 5).splitlines(keepends=True)
    damaged = b"".join(DAMAGE[name](lines))
    path.write_bytes(damaged)
    with pytest.raises(JournalDamagedError, match="line 2 is damaged"):
        read_journal(path)
    assert path.read_bytes() == damaged


def test_a_full_disk_leaves_the_journal_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, EMPTY)
    journal.append(StepDone(step_id="one"))
    before = path.read_bytes()

    def full(descriptor: int) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(journal_file, "sync_data", full)
        with pytest.raises(OSError, match="No space"):
            journal.append(StepDone(step_id="two"))
    assert path.read_bytes() == before
    journal.append(StepDone(step_id="three"))
    journal.close()
    assert step_ids(read_journal(path)) == ["one", "three"]
