"""Recover a session after a crash: bring its files back to the state that its journal records."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from controller.common.errors import quoted
from controller.model.base import SeriesName
from controller.model.events import FlipChecked
from controller.model.protocol import Protocol
from controller.session.disk_space import frame_bytes, planned_frames
from controller.session.entries import FrameDamaged, FrameWritten
from controller.session.errors import JournalDamagedError, ProtocolChangedError
from controller.session.folder import SessionFolder
from controller.session.journal import JournalContent, read_journal
from controller.session.ledger import Ledger, replay
from controller.session.mdoc_sections import mdoc_sections
from controller.session.quarantine import quarantine, quarantine_tail
from controller.session.realign import realign
from controller.session.recorder import reopen_stack
from processing.files.atomic import open_plain, sync_data
from processing.files.held_folder import open_to_read
from processing.files.mrc_writer import HEADER_BYTES

SERIES: tuple[SeriesName, ...] = ("A", "B")
BYTES_OF = {"uint16": 2, "int16": 2, "float32": 4}
"""Size of a pixel by its type."""


@dataclass(frozen=True)
class Recovered:
    """A session as found on disk.

    Attributes
    ----------
    ledger
        State from the journal: steps done, frames, dose, flip.
    journal
        Verified content of the journal.
    damaged
        Damaged frames that the journal does not record yet.
    report
        Damage found and repairs made, one line each; empty after a clean end.
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
        """Result of the flip check; None while B may not be recorded."""
        return self.ledger.flip

    @property
    def dose_e_per_A2(self) -> float:
        """Dose charged so far, including exposures with an unknown outcome."""
        return self.ledger.dose_e_per_A2


NEW_SESSION = Recovered(Ledger(), JournalContent((), 0, b""), (), ())
"""A session about to start."""


def recover(folder: SessionFolder) -> Recovered:
    """Read the journal, check all files against it, and quarantine bytes it does not know.

    Acknowledged data are not changed. The caller holds the lock of the folder.

    Raises
    ------
    JournalDamagedError
        The journal or a stack is damaged beyond an automatic resume.
    ProtocolChangedError
        protocol.toml differs from that of the session's start; the message names the fields.
    """
    content = read_journal(folder.journal)
    ledger = replay(line.entry for line in content.lines)
    damaged: list[FrameDamaged] = []
    if content.lines:  # else it crashed before the opening entry, and nothing was recorded
        _check_protocol(folder, ledger)
    for series in SERIES:
        _require_last_lines(folder, series, ledger.frames[series])
    report = _quarantine_torn_line(folder, content)
    for series in SERIES:
        frames = ledger.frames[series]
        if not _stack_exists(folder.stack(series), frames):
            continue
        report += realign_frames(folder, series, frames)
        found = [f for f in _find_damaged(folder, series, frames) if _is_new(f, ledger)]
        damaged += found
        report += [_damage_line(folder, frames[entry.section], entry) for entry in found]
        report += _quarantine_tail(folder, series, frames, _session_bytes(folder))
        report += _repair_header(folder, series, frames)
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


def journaled_protocol(protocol: Protocol) -> dict[str, JsonValue]:
    """Return the protocol in the form that the journal keeps."""
    return protocol.model_dump(mode="json")


def _check_protocol(folder: SessionFolder, ledger: Ledger) -> None:
    changed = differences(dict(ledger.protocol), journaled_protocol(folder.read_protocol()))
    if changed:
        raise ProtocolChangedError(
            f"{folder.protocol}: changed since the session was started ({'; '.join(changed)}); "
            "restore it to resume, or start a new session"
        )


def _quarantine_torn_line(folder: SessionFolder, content: JournalContent) -> list[str]:
    if not content.torn:
        return []
    kept = quarantine(folder, f"journal-line-{len(content.lines) + 1}", content.torn)
    return [f"journal: a torn last line was cut off (kept in {kept})"]


def _require_last_lines(
    folder: SessionFolder, series: SeriesName, frames: tuple[FrameWritten, ...]
) -> None:
    """Refuse a journal that has lost its last lines: a frame is in the mdoc only after its line.

    Raises
    ------
    JournalDamagedError
        Stack and mdoc both hold frames behind the last one of the journal.
    """
    path = folder.stack(series)
    if not path.exists():
        return
    image_bytes = stored_bytes(frames[-1]) if frames else _smallest_frame_bytes(folder)
    images = (path.stat().st_size - HEADER_BYTES) // image_bytes
    behind = [s for s in mdoc_sections(folder, series) if len(frames) <= s < images]
    if behind:
        raise JournalDamagedError(
            f"{folder.journal}: has lost its last lines: {len(frames)} frames of series {series}, "
            f"but {path.name} and its mdoc hold {max(behind) + 1}; nothing was changed. Restore it "
            f"from a copy, or: dualtilt resume {quoted(folder.path)} --rebuild-journal"
        )


def _stack_exists(path: Path, frames: tuple[FrameWritten, ...]) -> bool:
    if frames and not path.exists():
        raise JournalDamagedError(
            f"{path}: is missing, the journal has {len(frames)} frames; restore it from a copy"
        )
    return path.exists()


def realign_frames(
    folder: SessionFolder, series: SeriesName, frames: tuple[FrameWritten, ...]
) -> list[str]:
    """Move frames back to their places if the length of the stack shows that they were shifted."""
    path = folder.stack(series)
    if not frames:
        return []
    size_bytes = stored_bytes(frames[-1])
    excess = path.stat().st_size - (frames[-1].offset + size_bytes)
    if excess == 0 or abs(excess) > _session_bytes(folder):
        return []
    return realign(folder, path, frames, size_bytes)


def _find_damaged(
    folder: SessionFolder, series: SeriesName, frames: tuple[FrameWritten, ...]
) -> Iterator[FrameDamaged]:
    """Yield the frames whose bytes differ from what was recorded; quarantine a copy of each."""
    path = folder.stack(series)
    with open_to_read(path) as stack:
        for frame in frames:
            stack.seek(frame.offset)
            pixels = stack.read(stored_bytes(frame))
            if len(pixels) < stored_bytes(frame):
                raise JournalDamagedError(
                    f"{path}: ends within {frame.name}, the journal has {len(frames)} frames. "
                    "Restore it from a copy, or have what is lost recorded again: "
                    f"dualtilt resume {quoted(folder.path)} --retake-damaged"
                )
            crc32 = zlib.crc32(pixels)
            if crc32 != frame.crc32:
                kept = f"{series}-section-{frame.section}-{crc32:08x}"
                yield FrameDamaged(
                    series=series,
                    section=frame.section,
                    crc32=crc32,
                    kept=quarantine(folder, kept, pixels),
                )


def _is_new(found: FrameDamaged, ledger: Ledger) -> bool:
    known = ledger.damaged.get((found.series, found.section))
    return known is None or known.crc32 != found.crc32


def _damage_line(folder: SessionFolder, frame: FrameWritten, found: FrameDamaged) -> str:
    return (
        f"{folder.stack(found.series).name}: {frame.name} ({frame.nominal_deg:+g} degrees) "
        f"differs from what was recorded; processing leaves it out (copy in {found.kept})"
    )


def _quarantine_tail(
    folder: SessionFolder, series: SeriesName, frames: tuple[FrameWritten, ...], limit_bytes: int
) -> list[str]:
    """Cut off and quarantine the bytes behind the last acknowledged frame."""
    path = folder.stack(series)
    end = frames[-1].offset + stored_bytes(frames[-1]) if frames else HEADER_BYTES
    tail_bytes = path.stat().st_size - end
    if tail_bytes <= 0:
        return []
    if tail_bytes > limit_bytes:
        raise JournalDamagedError(
            f"{path}: {tail_bytes / 1e9:.1f} GB follow its last frame, more than a whole session "
            f"records; check what they are, then cut them off: truncate -s {end} {path}"
        )
    kept = quarantine_tail(folder, f"{series}-after-section-{len(frames) - 1}", path, end)
    with open_plain(path, "r+b") as stack:
        stack.truncate(end)
        sync_data(stack.fileno())
    return [f"{path.name}: {tail_bytes} bytes not in the journal were cut off (kept in {kept})"]


def _repair_header(
    folder: SessionFolder, series: SeriesName, frames: tuple[FrameWritten, ...]
) -> list[str]:
    """Make the header agree with the journal."""
    if not frames:
        return []
    writer, repairs = reopen_stack(folder, series, frames)
    writer.close()
    return repairs


def _session_bytes(folder: SessionFolder) -> int:
    """Return the size of all planned frames, for the widest pixel type."""
    protocol = folder.read_protocol()
    return planned_frames(protocol) * frame_bytes(protocol)


def _smallest_frame_bytes(folder: SessionFolder) -> int:
    """Return the size of one frame, for the narrowest pixel type."""
    scan = folder.read_protocol().scan
    return scan.width_px * scan.height_px * min(BYTES_OF.values())


def stored_bytes(frame: FrameWritten) -> int:
    """Return the size of a frame in its stack."""
    return frame.info.scan.width_px * frame.info.scan.height_px * BYTES_OF[frame.info.dtype]
