"""A session after a crash: what the disk holds is brought back to what the journal vouches for."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from controller.events import FlipChecked, SeriesName
from controller.protocol import Protocol
from controller.session.entries import FrameWritten
from controller.session.errors import JournalDamagedError, ProtocolChangedError
from controller.session.folder import SessionFolder
from controller.session.journal import JournalContent, read_journal
from controller.session.ledger import Ledger, fold_all
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
    report
        What was found and put right, a line each; empty after a clean end.
    """

    ledger: Ledger
    journal: JournalContent
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


NOTHING_YET = Recovered(Ledger(), JournalContent((), 0, b""), ())
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
    ledger = fold_all(line.entry for line in content.lines)
    report = list(_quarantine_torn_line(folder, content))
    if content.lines:  # else the crash came before the opening entry: nothing was recorded
        _check_protocol(folder, ledger)
    for series in SERIES:
        report += _check_stack(folder, series, ledger.frames[series])
    return Recovered(ledger, content, tuple(report))


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
    kept = _keep(folder, f"journal-line-{len(content.lines) + 1}", content.torn)
    return [f"journal: a torn last line was cut off (kept in {kept})"]


def _check_stack(
    folder: SessionFolder, series: SeriesName, frames: tuple[FrameWritten, ...]
) -> list[str]:
    path = folder.stack(series)
    if not path.exists():
        if frames:
            raise JournalDamagedError(
                f"{path}: is missing, the journal has {len(frames)} frames; restore it from a copy"
            )
        return []
    report = []
    with path.open("r+b") as stack:
        end = HEADER_BYTES
        for frame in frames:
            stack.seek(frame.offset)
            size = _frame_bytes(frame)
            pixels = stack.read(size)
            if len(pixels) < size:
                raise JournalDamagedError(
                    f"{path}: ends within frame {frame.section}, the journal has {len(frames)}; "
                    "restore it from a copy"
                )
            if zlib.crc32(pixels) != frame.crc32:
                kept = _keep(folder, f"{series}-section-{frame.section}", pixels)
                report.append(
                    f"{path.name}: frame {frame.section} at {frame.alpha_deg:+g} degrees is not "
                    f"what was recorded; leave it out of processing (copy in {kept})"
                )
            end = frame.offset + size
        stack.seek(end)
        tail = stack.read()
        if tail:
            kept = _keep(folder, f"{series}-after-section-{len(frames) - 1}", tail)
            stack.truncate(end)
            report.append(
                f"{path.name}: {len(tail)} bytes were never acknowledged and cut off "
                f"(kept in {kept})"
            )
    _mend_header(path, len(frames))
    return report


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


def _keep(folder: SessionFolder, name: str, content: bytes) -> str:
    folder.quarantine.mkdir(exist_ok=True)
    number = 0
    while (path := folder.quarantine / f"{name}.{number}").exists():
        number += 1
    path.write_bytes(content)
    return str(path.relative_to(folder.path))
