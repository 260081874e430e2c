"""A session after a crash: what the disk holds is brought back to what the journal vouches for."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from controller.model.base import SeriesName
from controller.model.events import FlipChecked
from controller.model.protocol import Protocol
from controller.session.entries import FrameDamaged, FrameWritten
from controller.session.errors import JournalDamagedError, ProtocolChangedError
from controller.session.folder import SessionFolder
from controller.session.journal import JournalContent, read_journal
from controller.session.ledger import Ledger, replay
from processing.errors import InputFileError
from processing.files.mrc_writer import HEADER_BYTES, MrcStackWriter

SERIES: tuple[SeriesName, ...] = ("A", "B")


@dataclass(frozen=True)
class Recovered:
    """A session as it stands on disk.

    Attributes
    ----------
    ledger
        Steps done, frames, dose, flip: everything the journal says.
    journal
        Its content, verified.
    damaged
        Frames found damaged that the journal did not know of yet.
    report
        What was found and put right, a line each; empty after a clean end.
    """

    ledger: Ledger
    journal: JournalContent
    damaged: tuple[FrameDamaged, ...]
    report: tuple[str, ...]

    @property
    def completed(self) -> frozenset[str]:
        """Ids of the steps that are done."""
        return self.ledger.completed

    @property
    def flip(self) -> FlipChecked | None:
        """What the flip's check found; None while B is not allowed."""
        return self.ledger.flip

    @property
    def dose_e_per_A2(self) -> float:
        """Charged so far, possible exposures included."""
        return self.ledger.dose_e_per_A2


NOTHING_YET = Recovered(Ledger(), JournalContent((), 0, b""), (), ())
"""A session about to start."""


def recover(folder: SessionFolder) -> Recovered:
    """Read a session's journal, check everything against it, quarantine what it does not know.

    Nothing acknowledged is changed. The caller holds the folder's lock.

    Raises
    ------
    JournalDamagedError
        The journal, or a stack it vouches for, is damaged beyond an automatic resume.
    ProtocolChangedError
        protocol.toml is not what the session was started with; the difference is named.
    """
    content = read_journal(folder.journal)
    ledger = replay(line.entry for line in content.lines)
    report = _quarantine_torn_line(folder, content)
    damaged: list[FrameDamaged] = []
    if content.lines:  # else the crash came before the opening entry: nothing was recorded
        _check_protocol(folder, ledger)
    for series in SERIES:
        frames = ledger.frames[series]
        if not _is_there(folder.stack(series), frames):
            continue
        found = [f for f in _damaged(folder, series, frames) if _is_news(f, ledger)]
        damaged += found
        report += [_told(folder, frames[entry.section], entry) for entry in found]
        report += _quarantine_tail(folder, series, frames)
        _mend_header(folder.stack(series), len(frames))
    return Recovered(ledger, content, tuple(damaged), tuple(report))


def differences(then: JsonValue, now: JsonValue, path: str = "") -> list[str]:
    """Name every field that differs: ``scan.dwell_us: was 10.0, is 5.0``."""
    if isinstance(then, dict) and isinstance(now, dict):
        return [
            line
            for key in {**then, **now}
            for line in differences(then.get(key), now.get(key), f"{path}.{key}".lstrip("."))
        ]
    return [] if then == now else [f"{path}: was {then}, is {now}"]


def as_run(protocol: Protocol) -> dict[str, JsonValue]:
    """Return the protocol as the journal keeps it."""
    return protocol.model_dump(mode="json")


def _check_protocol(folder: SessionFolder, ledger: Ledger) -> None:
    changed = differences(dict(ledger.protocol), as_run(folder.read_protocol()))
    if changed:
        raise ProtocolChangedError(
            f"{folder.protocol}: changed since the session was started ({'; '.join(changed)}); "
            "put it back to resume, or start a new session"
        )


def _quarantine_torn_line(folder: SessionFolder, content: JournalContent) -> list[str]:
    if not content.torn:
        return []
    kept = keep(folder, f"journal-line-{len(content.lines) + 1}", content.torn)
    return [f"journal: a torn last line was cut off (kept in {kept})"]


def _is_there(path: Path, frames: tuple[FrameWritten, ...]) -> bool:
    if frames and not path.exists():
        raise JournalDamagedError(
            f"{path}: is missing, the journal has {len(frames)} frames; restore it from a copy"
        )
    return path.exists()


def _damaged(
    folder: SessionFolder, series: SeriesName, frames: tuple[FrameWritten, ...]
) -> Iterator[FrameDamaged]:
    """Find the frames whose bytes are not what was recorded; a copy of each is kept."""
    path = folder.stack(series)
    with path.open("rb") as stack:
        for frame in frames:
            stack.seek(frame.offset)
            pixels = stack.read(_frame_bytes(frame))
            if len(pixels) < _frame_bytes(frame):
                raise JournalDamagedError(
                    f"{path}: ends within frame {frame.section}, the journal has {len(frames)}; "
                    "restore it from a copy"
                )
            crc32 = zlib.crc32(pixels)
            if crc32 != frame.crc32:
                kept = f"{series}-section-{frame.section}-{crc32:08x}"
                yield FrameDamaged(
                    series=series,
                    section=frame.section,
                    crc32=crc32,
                    kept=keep(folder, kept, pixels),
                )


def _is_news(found: FrameDamaged, ledger: Ledger) -> bool:
    known = ledger.damaged.get((found.series, found.section))
    return known is None or known.crc32 != found.crc32


def _told(folder: SessionFolder, frame: FrameWritten, found: FrameDamaged) -> str:
    return (
        f"{folder.stack(found.series).name}: {frame.name} ({frame.nominal_deg:+g} degrees) "
        f"is not what was recorded; processing leaves it out (copy in {found.kept})"
    )


def _quarantine_tail(
    folder: SessionFolder, series: SeriesName, frames: tuple[FrameWritten, ...]
) -> list[str]:
    """Cut off what lies behind the last acknowledged frame, and keep it."""
    path = folder.stack(series)
    end = frames[-1].offset + _frame_bytes(frames[-1]) if frames else HEADER_BYTES
    with path.open("r+b") as stack:
        stack.seek(end)
        tail = stack.read()
        if not tail:
            return []
        kept = keep(folder, f"{series}-after-section-{len(frames) - 1}", tail)
        stack.truncate(end)
    return [f"{path.name}: {len(tail)} bytes were never acknowledged and cut off (kept in {kept})"]


def _mend_header(path: Path, sections: int) -> None:
    """Have the header count what the journal counts."""
    if sections == 0:
        return
    try:
        MrcStackWriter.reopen(path, sections).close()
    except InputFileError as error:
        raise JournalDamagedError(f"{error}; restore its first 1024 bytes from a copy") from None


def _frame_bytes(frame: FrameWritten) -> int:
    sample_bytes = {"uint16": 2, "int16": 2, "float32": 4}[frame.info.dtype]
    return frame.info.scan.width_px * frame.info.scan.height_px * sample_bytes


def keep(folder: SessionFolder, name: str, content: bytes) -> str:
    """Put bytes into quarantine, once; return where, relative to the session's folder."""
    folder.quarantine.mkdir(exist_ok=True)
    number = 0
    while (path := folder.quarantine / f"{name}.{number}").exists():
        if path.read_bytes() == content:
            break
        number += 1
    else:
        path.write_bytes(content)
    return path.relative_to(folder.path).as_posix()
