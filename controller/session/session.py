"""A session open for writing: its journal, its frames and its state."""

from __future__ import annotations

import contextlib
import errno
import shutil
import uuid
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from tempfile import TemporaryFile
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from controller.common.errors import UsageError, os_error_text, quoted
from controller.hardware.interface import Frame
from controller.model.base import SeriesName
from controller.model.frames import FrameFacts, FrameVerdict
from controller.model.protocol import Protocol
from controller.model.scan import FrameInfo
from controller.session.ballast import Ballast
from controller.session.crash_points import CrashPoint, no_crash
from controller.session.disk_calls import DiskCalls
from controller.session.disk_space import SMALL_FILES_BYTES, frame_bytes, planned_frames
from controller.session.entries import (
    JOURNAL_FORMAT,
    Entry,
    FrameRejected,
    FrameWritten,
    MapRecorded,
    SessionOpened,
    SessionResumed,
)
from controller.session.errors import JournalTakenError
from controller.session.folder import SessionFolder
from controller.session.folder_lock import FolderLock
from controller.session.journal import Journal
from controller.session.ledger import add_entry
from controller.session.quarantine import quarantine
from controller.session.recorder import SeriesRecorder
from controller.session.recovery import NEW_SESSION, SERIES, journaled_protocol, recover
from processing.errors import InputFileError
from processing.files.atomic import make_folder, remove_file, replace_file
from processing.files.held_folder import reached_folder
from processing.files.mrc import read_stack, write_images

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

P = ParamSpec("P")
T = TypeVar("T")


def _on_disk(
    method: Callable[Concatenate[Session, P], T],
) -> Callable[Concatenate[Session, P], T]:
    """Count a method as a disk operation, so that another thread notices if it does not return."""

    @wraps(method)
    def counted(session: Session, /, *args: P.args, **options: P.kwargs) -> T:
        with session.disk_calls.running():
            return method(session, *args, **options)

    return counted


def _refusal(folder: SessionFolder, error: OSError) -> str:
    """Say which file cannot be opened or written, and what to do where the disk is full."""
    remedy = "; free disk space" if error.errno in DISK_FULL else ""
    return f"{folder.path}: cannot be written: {os_error_text(error)}{remedy}"


class Session:
    """A session on disk, opened once and closed once.

    Attributes
    ----------
    folder, protocol
        Paths and protocol of the session.
    ledger
        State so far.
    resumed
        True if the folder already held a session.
    disk_calls
        Operations on the disk in progress.
    recovery_report
        Damage found and repairs made when the session was opened, one line each.
    """

    def __init__(
        self, folder: SessionFolder, protocol: Protocol, lock: FolderLock, crash_point: CrashPoint
    ) -> None:
        self.folder = folder
        self.protocol = protocol
        self.disk_calls = DiskCalls()
        self._lock = lock
        self._crash_point = crash_point
        self._ballast = Ballast(folder.ballast)
        column = protocol.column
        self._recorders = {
            name: SeriesRecorder(
                folder, name, protocol.scan, column.voltage_kV, column.tilt_axis_deg
            )
            for name in SERIES
        }
        recovered = recover(folder) if folder.journal.exists() else NEW_SESSION
        self.ledger = recovered.ledger
        self.recovery_report = recovered.report
        self._newly_damaged = recovered.damaged
        self.resumed = bool(recovered.journal.lines)
        self._journal = Journal(folder.journal, recovered.journal, crash_point)

    @classmethod
    def open(cls, folder: SessionFolder, crash_point: CrashPoint = no_crash) -> Self:
        """Start a session in a new folder, or continue the session in it.

        Raises
        ------
        UsageError
            The folder is in use, its journal damaged, or its protocol changed.
        """
        with contextlib.ExitStack() as undo:
            try:
                lock = FolderLock(folder)
                undo.callback(lock.release)
                _remove_partial_files(folder)
                session = cls(folder, folder.read_protocol(), lock, crash_point)
                undo.callback(session.close)
                session._ballast.release()  # of a killed run
                session._enter_opening()
            except OSError as error:
                raise UsageError(_refusal(folder, error)) from None
            undo.pop_all()
        return session

    @_on_disk
    def enter(self, entry: Entry) -> None:
        """Write an entry to the journal; durable on return.

        Raises
        ------
        OSError
            Disk full or gone; nothing has changed.
        JournalTakenError
            Another program uses the journal. This run's journal is kept in quarantine.
        """
        try:
            self._journal.append(entry)
        except JournalTakenError as error:
            kept = quarantine(self.folder, "journal.jsonl", self._journal.content())
            raise JournalTakenError(
                f"{error}; this run's own journal is kept in {self.folder.path / kept}: put it "
                f"back if the other one is wrong, then: dualtilt resume {quoted(self.folder.path)}"
            ) from None
        self.ledger = add_entry(self.ledger, entry)

    @_on_disk
    def record_frame(self, frame: Frame, facts: FrameFacts) -> FrameWritten:
        """Make a frame durable and acknowledge it.

        Raises
        ------
        OSError
            Disk full or gone. The frame is not acknowledged; calling again is safe.
        """
        pixels = frame.pixels
        self._ballast.shrink(pixels.nbytes)
        acknowledged = self.ledger.frames[facts.series]
        stored = self._recorders[facts.series].append(pixels, acknowledged)
        self._crash_point(f"after-stack-{facts.step_id}")
        entry = FrameWritten(
            **facts.model_dump(),
            section=stored.section,
            actual_deg=frame.info.stage.alpha_deg,
            offset=stored.offset_bytes,
            crc32=stored.crc32,
            info=frame.info,
            recorded_at=_now(),
            dose_before_e_per_A2=self._dose_before(frame.info),
        )
        self.enter(entry)
        with contextlib.suppress(OSError):  # written again with the next frame
            self.write_companions(facts.series)
        return entry

    @_on_disk
    def reject_frame(self, frame: Frame, step_id: str, verdict: FrameVerdict) -> None:
        """Save a rejected frame beside the stacks; its tilt will be retaken."""
        make_folder(self.folder.rejected)
        path = self.folder.rejected / f"{frame.info.request_id.replace('/', '_')}.npy"
        with replace_file(path) as partial, partial.open("wb") as file:
            np.save(file, frame.pixels)
        self.enter(
            FrameRejected(
                step_id=step_id,
                request_id=frame.info.request_id,
                dose_e_per_A2=frame.info.dose_e_per_A2,
                verdict=verdict,
                path=str(path.relative_to(self.folder.path)),
            )
        )

    @_on_disk
    def record_map(self, frame: Frame, step_id: str, name: str) -> None:
        """Save a survey image beside the stacks and charge its dose.

        Raises
        ------
        OSError
            Disk full or gone; calling again is safe.
        """
        make_folder(self.folder.maps)
        path = self.folder.maps / f"{name}.mrc"
        write_images(path, frame.pixels[None], frame.info.scan.pixel_nm)
        relative = str(path.relative_to(self.folder.path))
        self.enter(MapRecorded(step_id=step_id, name=name, path=relative, info=frame.info))

    @_on_disk
    def map_image(self, recorded: MapRecorded) -> NDArray[Any]:
        """Read a saved survey image [y, x].

        Raises
        ------
        InputFileError
            The file is missing or damaged.
        """
        path = self.folder.path / recorded.path
        if path.exists() and path.stat().st_size > SMALL_FILES_BYTES + frame_bytes(self.protocol):
            raise InputFileError(f"{path}: larger than any survey image; restore it from a copy")
        return np.asarray(read_stack(path).data[0])

    @_on_disk
    def write_companions(self, series: SeriesName) -> None:
        """Rewrite mdoc and rawtlt of a series from the ledger.

        Raises
        ------
        OSError
            Disk full or gone.
        """
        frames = self.ledger.frames[series]
        if frames:
            self._recorders[series].write_companions(frames, self.ledger)

    @_on_disk
    def image(self, series: SeriesName, section: int) -> NDArray[Any]:
        """Read a recorded image [y, x]."""
        return self._recorders[series].read(section, self.ledger.frames[series])

    @_on_disk
    def reserve_disk(self) -> None:
        """Reserve disk space for the frames still to be recorded.

        Raises
        ------
        OSError
            Too little free space.
        """
        self._ballast.reserve(self.missing_frames * frame_bytes(self.protocol))

    @property
    def missing_frames(self) -> int:
        """Number of frames still to be recorded."""
        frames = [frame for series in self.ledger.frames.values() for frame in series]
        return max(
            0,
            planned_frames(self.protocol)
            - len({f.step_id for f in frames} & self.ledger.completed)
            - sum(len(entry.step_ids) for entry in self.ledger.left_out.values()),
        )

    @_on_disk
    def has_disk_space(self) -> bool:
        """Tell whether there is disk space for the next frame."""
        try:
            free = shutil.disk_usage(self.folder.path).free + self._ballast.held_bytes
            with (
                reached_folder(self.folder.path) as place,
                TemporaryFile(dir=place) as probe,
            ):
                probe.write(b"room")
                probe.flush()
        except OSError:
            return False
        return free > frame_bytes(self.protocol) + SMALL_FILES_BYTES

    def close(self) -> None:
        """Close the files, free the reserved space and the lock."""
        for recorder in self._recorders.values():
            recorder.close()
        self._journal.close()
        try:
            with contextlib.suppress(OSError):  # the next run removes it
                self._ballast.release()
        finally:
            self._lock.release()

    def _enter_opening(self) -> None:
        if not self.resumed:
            opening = SessionOpened(
                journal_format=JOURNAL_FORMAT,
                session_id=uuid.uuid4().hex[:12],
                protocol=journaled_protocol(self.protocol),
            )
            self.enter(opening)
            return
        for entry in self._newly_damaged:
            self.enter(entry)
        for series in SERIES:
            self.write_companions(series)
        self.enter(SessionResumed(report=self.recovery_report))

    def _dose_before(self, info: FrameInfo) -> float:
        charged = self.ledger.exposures.get(info.request_id)
        return self.ledger.dose_e_per_A2 - (charged.dose_e_per_A2 if charged else 0.0)


def _remove_partial_files(folder: SessionFolder) -> None:
    """Remove what a killed run has left of files that it was writing."""
    written = (folder.maps, folder.rejected, folder.quarantine, folder.processed, folder.previews)
    for place in (folder.path, folder.run, folder.simulator, *written):
        for path in place.glob("*.partial"):
            remove_file(path)


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
