"""Journal of a queue of targets: progress of each target, one entry a line.

The journal of each target's session is the truth about that session. This one only says which
sessions have ended, and why a target was set aside. Its file is one of
`controller.session.journal_file`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from controller.model.base import Data, SeriesName
from controller.session.crash_points import CrashPoint, no_crash
from controller.session.errors import JournalFormatError
from controller.session.journal_file import JournalFile, NumberedLine, good_lines, now, read_raw

QUEUE_FORMAT = 2
"""Format of the journal, in its first line; another one is refused.

Format 1 made the results of a target before the next one began.
"""


class TargetState(StrEnum):
    """Progress of one target."""

    WAITING = "waiting"
    A_RECORDED = "A recorded"
    B_RECORDED = "B recorded"
    """Both series are recorded; the results are being made, or wait for it."""
    DONE = "done"
    SET_ASIDE = "set aside"


class QueueOpened(Data):
    """First entry: the targets, in the order of series A."""

    kind: Literal["queue-opened"] = "queue-opened"
    queue_format: int = QUEUE_FORMAT
    order: tuple[str, ...]


class SeriesRecorded(Data):
    """A series of a target is recorded; `problem` says how its session ended otherwise."""

    kind: Literal["series-recorded"] = "series-recorded"
    target: str
    series: SeriesName
    problem: str = ""


class GridFlipped(Data):
    """The grid was flipped and the targets were found; the order of series B."""

    kind: Literal["grid-flipped"] = "grid-flipped"
    order: tuple[str, ...]
    detail: str


class TargetDone(Data):
    """The results of a target are made; `problem` says what processing could not do."""

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


class QueueLine(NumberedLine):
    """One line of a queue's journal, without its checksum."""

    entry: QueueEntry


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
            recorded = TargetState.A_RECORDED if entry.series == "A" else TargetState.B_RECORDED
            progress = TargetProgress(recorded, entry.problem)
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
        A line is damaged, the last one included, or the file cannot be read.
    JournalFormatError
        Another version of dualtilt wrote it.
    """
    content = read_raw(path) if os.path.lexists(path) else b""
    lines: list[QueueLine] = []
    good_bytes = 0
    for line, length in good_lines(path, content, QueueLine, "Restore it from a copy"):
        _check_format(path, line.entry)
        lines.append(line)
        good_bytes += length
    return tuple(lines), good_bytes


def _check_format(path: Path, entry: QueueEntry) -> None:
    if isinstance(entry, QueueOpened) and entry.queue_format != QUEUE_FORMAT:
        raise JournalFormatError(
            f"{path}: written in format {entry.queue_format}, this version reads {QUEUE_FORMAT}; "
            "continue with the version of dualtilt that began the grid"
        )


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
        self._file = JournalFile(path, good_bytes, len(lines), crash_point)

    def append(self, entry: QueueEntry) -> None:
        """Write an entry; durable on return.

        Raises
        ------
        OSError
            Disk full or gone; the journal is as it was before the call.
        JournalTakenError
            The file was removed, replaced or changed by another program; it is left as it is.
        """
        line = QueueLine(seq=self._file.next_seq, at=now(), entry=entry)
        self._file.append(line, entry.kind)
        self.state = add_queue_entry(self.state, entry)

    def close(self) -> None:
        """Close the file; every entry is already on disk."""
        self._file.close()
