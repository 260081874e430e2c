"""Journal of a queue of targets: how far each target is, one JSON object a line.

The journal of each target's session is the truth about that session. This one only says which
sessions have ended, and why a target was set aside. A line is on the disk once `append` has
returned; a line torn by a crash is cut off.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from controller.common.bounded_read import LOG_BYTES
from controller.model.base import Data, SeriesName
from controller.session.crash_points import CrashPoint, no_crash
from controller.session.errors import JournalDamagedError
from controller.session.read_plain import read_plain
from processing.files.atomic import open_plain, sync_data, sync_folder


class TargetState(StrEnum):
    """Progress of one target."""

    WAITING = "waiting"
    A_RECORDED = "A recorded"
    DONE = "done"
    SET_ASIDE = "set aside"


class QueueOpened(Data):
    """First entry: the targets, in the order of series A."""

    kind: Literal["queue-opened"] = "queue-opened"
    queue_format: int = 1
    order: tuple[str, ...]


class SeriesRecorded(Data):
    """A target's series A is recorded."""

    kind: Literal["series-recorded"] = "series-recorded"
    target: str
    series: SeriesName = "A"


class GridFlipped(Data):
    """The grid was flipped and the targets were found; the order of series B."""

    kind: Literal["grid-flipped"] = "grid-flipped"
    order: tuple[str, ...]
    detail: str


class TargetDone(Data):
    """Both series of a target are recorded; `problem` says what processing could not do."""

    kind: Literal["target-done"] = "target-done"
    target: str
    problem: str = ""


class TargetSetAside(Data):
    """A target is not continued; the others are."""

    kind: Literal["target-set-aside"] = "target-set-aside"
    target: str
    series: SeriesName
    reason: str


QueueEntry = Annotated[
    QueueOpened | SeriesRecorded | GridFlipped | TargetDone | TargetSetAside,
    Field(discriminator="kind"),
]


class QueueLine(Data):
    """One line of the journal."""

    at: str
    """Wall clock, ISO 8601 with zone."""
    entry: QueueEntry


_LINE: TypeAdapter[QueueLine] = TypeAdapter(QueueLine)


@dataclass(frozen=True)
class TargetProgress:
    """State of one target, and why it was set aside or what processing could not do."""

    state: TargetState = TargetState.WAITING
    reason: str = ""


@dataclass(frozen=True)
class QueueState:
    """State of a queue after the entries of its journal.

    Attributes
    ----------
    targets
        Progress of each target, in the order of series A.
    order_b
        Targets in the order of series B; None before the flip.
    flip
        Finding of the flip in one line.
    """

    targets: Mapping[str, TargetProgress] = field(default_factory=dict)
    order_b: tuple[str, ...] | None = None
    flip: str = ""

    def in_state(self, state: TargetState) -> tuple[str, ...]:
        """Return the targets in a state, in order."""
        order = self.targets if self.order_b is None else (*self.order_b, *self.targets)
        return tuple(name for name in dict.fromkeys(order) if self.targets[name].state is state)


def add_queue_entry(state: QueueState, entry: QueueEntry) -> QueueState:
    """Return the state after one more entry."""
    match entry:
        case QueueOpened():
            return replace(state, targets=dict.fromkeys(entry.order, TargetProgress()))
        case SeriesRecorded():
            progress = TargetProgress(TargetState.A_RECORDED)
        case GridFlipped():
            return replace(state, order_b=entry.order, flip=entry.detail)
        case TargetDone():
            progress = TargetProgress(TargetState.DONE, entry.problem)
        case TargetSetAside():
            progress = TargetProgress(TargetState.SET_ASIDE, entry.reason)
    return replace(state, targets={**state.targets, entry.target: progress})


def replay_queue(entries: Iterable[QueueEntry]) -> QueueState:
    """Return the state after all entries."""
    state = QueueState()
    for entry in entries:
        state = add_queue_entry(state, entry)
    return state


def read_queue(path: Path) -> tuple[tuple[QueueLine, ...], int]:
    """Return the lines of a queue's journal and the length of the good ones in bytes.

    Raises
    ------
    JournalDamagedError
        A line before the last is damaged, or the file cannot be read.
    """
    try:
        content = read_plain(path, LOG_BYTES)
    except FileNotFoundError:
        return (), 0
    except OSError as error:
        raise JournalDamagedError(f"{path}: {error.strerror}; restore it from a copy") from None
    lines: list[QueueLine] = []
    good_bytes = 0
    for raw in content.splitlines(keepends=True):
        if not raw.endswith(b"\n"):
            break  # torn by a crash
        try:
            lines.append(_LINE.validate_json(raw))
        except ValidationError:
            raise JournalDamagedError(
                f"{path}: line {len(lines) + 1} is damaged; nothing was changed; restore it from "
                "a copy"
            ) from None
        good_bytes += len(raw)
    return tuple(lines), good_bytes


class QueueJournal:
    """Journal of a queue, open for appending.

    Parameters
    ----------
    path
        The file; made if missing.
    crash_point
        See :mod:`controller.session.crash_points`.

    Attributes
    ----------
    state
        State after all entries so far.
    """

    def __init__(self, path: Path, crash_point: CrashPoint = no_crash) -> None:
        lines, good_bytes = read_queue(path)
        self.state = replay_queue(line.entry for line in lines)
        self._crash_point = crash_point
        self._number = len(lines)
        is_new = not path.exists()
        self._file = open_plain(path, "x+b" if is_new else "r+b")
        if is_new:
            sync_folder(path.parent)
        self._file.truncate(good_bytes)
        self._file.seek(good_bytes)

    def append(self, entry: QueueEntry) -> None:
        """Write an entry; durable on return."""
        name = f"{self._number}-{entry.kind}"
        self._crash_point(f"before-{name}")
        at = datetime.now().astimezone().isoformat(timespec="seconds")
        raw = QueueLine(at=at, entry=entry).model_dump_json().encode() + b"\n"
        written = 0
        while written < len(raw):
            written += os.write(self._file.fileno(), raw[written:])
        sync_data(self._file.fileno())
        self._number += 1
        self.state = add_queue_entry(self.state, entry)
        self._crash_point(f"after-{name}")

    def close(self) -> None:
        """Close the file; every entry is already on disk."""
        self._file.close()
