"""A stopped session with one byte of its files changed: what `resume` makes of it."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from controller.model.commands import StopWhen
from controller.model.events import Event
from controller.model.plan import make_plan
from controller.session.errors import JournalDamagedError
from controller.session.folder import SessionFolder
from controller.session.journal import read_journal
from controller.session.ledger import Ledger, replay
from controller.session.rebuild import rebuild_journal
from tests.support.fake_microscope import FakeMicroscope
from tests.support.frames import is_frame
from tests.support.small_session import Run, open_session

HEADER_BYTES = 1024
JOURNAL_END_BYTES = 4096
"""Bytes at either end of the journal that are changed."""


@dataclass(frozen=True)
class Flip:
    """One byte of one file, changed by an exclusive or with `mask`."""

    name: str
    offset: int
    mask: int

    def __str__(self) -> str:
        return f"{self.name} byte {self.offset} ^ {self.mask:#04x}"


def stop_in_b(path: Path) -> None:
    """Make a session that was stopped after two tilts of B."""

    def stop(event: Event, engine: object) -> None:
        if is_frame(event, "B", 1):
            run.engine.stop(StopWhen.AFTER_TILT)

    microscope = FakeMicroscope(flipped_file=path.with_name("flipped"))
    run = Run(open_session(path), microscope, on_event=stop)
    assert run.go() is ExitCode.INTERRUPTED


def all_flips(folder: Path) -> Iterator[Flip]:
    """Yield a flip of every byte of the headers, mdocs, rawtlts and both ends of the journal."""
    for series in ("A", "B"):
        yield from _flips(f"{series}.mrc", range(HEADER_BYTES))
        for name in (f"{series}.mrc.mdoc", f"{series}.rawtlt"):
            yield from _flips(name, range((folder / name).stat().st_size))
    size = (folder / "journal.jsonl").stat().st_size
    ends = {*range(min(size, JOURNAL_END_BYTES)), *range(max(0, size - JOURNAL_END_BYTES), size)}
    yield from _flips("journal.jsonl", sorted(ends))


def _flips(name: str, offsets: range | list[int]) -> Iterator[Flip]:
    return (Flip(name, offset, 1 << offset % 8) for offset in offsets)


def harm(reference: Path, copy: Path, flip: Flip) -> str:
    """Change one byte in a copy of a session and resume it; return the damage done, if any.

    A damaged journal may be refused; then it is rebuilt, as its message says, and resumed.
    """
    shutil.copytree(reference, copy)
    content = bytearray((copy / flip.name).read_bytes())
    content[flip.offset] ^= flip.mask
    (copy / flip.name).write_bytes(content)
    try:
        _resume(copy)
    except UsageError as error:
        return f"{flip}: not resumed: {error}"
    finally:
        lost = loss(reference, copy)
        shutil.rmtree(copy)
    return f"{flip}: {lost}" if lost else ""


def _resume(path: Path) -> None:
    try:
        open_session(path).close()
    except JournalDamagedError:
        folder = SessionFolder.open(path)
        rebuild_journal(folder, make_plan(folder.read_protocol()))
        open_session(path).close()


def loss(reference: Path, copy: Path) -> str:
    """Describe the first acknowledged data that a copy has lost; empty if it has all."""
    before, after = _ledger(reference), _ledger(copy)
    for series in ("A", "B"):
        then, now = before.frames[series], after.frames[series]
        places = [(f.step_id, f.section, f.crc32) for f in then]
        if [(f.step_id, f.section, f.crc32) for f in now] != places:
            return f"{len(now)} of {len(then)} frames of {series} in the journal"
        stack = (copy / f"{series}.mrc").read_bytes()
        if stack != (reference / f"{series}.mrc").read_bytes():
            return f"{series}.mrc differs"
        for frame in then:
            stop = frame.offset + frame.info.scan.width_px * frame.info.scan.height_px * 2
            if zlib.crc32(stack[frame.offset : stop]) != frame.crc32:
                return f"{frame.name} differs"
        for name in (f"{series}.rawtlt", f"{series}.mrc.mdoc"):
            if (copy / name).read_bytes() != (reference / name).read_bytes():
                return f"{name} differs"
    if after.damaged:
        return f"{len(after.damaged)} frames left out"
    if after.dose_e_per_A2 < before.dose_e_per_A2:
        return f"dose {after.dose_e_per_A2} instead of {before.dose_e_per_A2}"
    return ""


def _ledger(path: Path) -> Ledger:
    return replay(line.entry for line in read_journal(path / "journal.jsonl").lines)
