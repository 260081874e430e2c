"""Queue of targets on one grid, as text: its place in the first line, and its tables."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from controller.service.queue_status import QueueView, TargetRow
from controller.service.session_status import SessionStatus
from controller.ui.colours import BAD, GOOD, WARNING
from controller.ui.tui.panel_parts import Lines, line
from controller.ui.tui.phase_line import running_phase

HEADINGS = ("", "target", "state", "A", "B", "fused (95 % interval)", "verdict")
STOPS = "stops after this target"
LAST = "last: "
"""The same in few characters, for the first line at 80 columns."""
_PRESENT, _OTHERS = ("▶", "bold"), ("·", "dim")
_MARKS = {"done": ("✓", GOOD), "set aside": ("✗", WARNING)}
_VERDICT_STYLES = {"trusted": GOOD, "doubtful": WARNING, "refused": BAD}


def queue_place(queue: QueueView) -> str:
    """Return grid and target, for the right end of the first line."""
    return f"{queue.status.name} · {LAST if queue.stops else ''}{queue.place}"


def target_lines(queue: QueueView, status: SessionStatus, room: int) -> Lines:
    """Return a short table of the targets around the present one, in at most `room` lines."""
    rows = _rows_now(queue, status)
    places = [n for n, row in enumerate(rows) if row.name == queue.present]
    most = max(1, room - 2)
    first = max(0, min(len(rows) - most, (places[0] if places else 0) - most // 2))
    shown = rows[first : first + most]
    left_out = len(rows) - len(shown)
    width = max(len(row.name) for row in rows)
    return [
        line((f"  {'target':<{width}}  {'state':<11} {'fused':>6}", "dim")),
        *(_short_line(row, queue, width) for row in shown),
        *([line((f"  and {left_out} more: t", "dim"))] if left_out else []),
    ]


def _short_line(row: TargetRow, queue: QueueView, width: int) -> Text:
    count = "" if row.count_fused is None else str(row.count_fused)
    verdict = (f" {row.verdict}", _VERDICT_STYLES.get(row.verdict, "")) if row.verdict else ""
    return line(_mark(row, queue), f" {row.name:<{width}}  {row.state:<11} {count:>6}", verdict)


def target_table(queue: QueueView, status: SessionStatus) -> Group:
    """Return all targets with state, counts and verdict; the reason below one that has it."""
    table = Table.grid(padding=(0, 1))
    table.add_row(*(Text(heading, "dim") for heading in HEADINGS))
    for row in _rows_now(queue, status):
        table.add_row(
            Text(*_mark(row, queue)),
            Text(row.name, "bold" if row.name == queue.present else ""),
            row.state,
            *("" if count is None else str(count) for count in (row.count_a, row.count_b)),
            row.fused,
            Text(row.verdict, _VERDICT_STYLES.get(row.verdict, "")),
        )
    reasons = [(row.name, row.reason) for row in queue.status.targets if row.reason]
    flip = queue.status.flip or "the grid was not flipped yet"
    return Group(
        table,
        Text(),
        *(Text(f"{name}: {reason}", WARNING) for name, reason in reasons),
        Text(f"flip: {flip}", "dim"),
        *([Text(queue.status.seat_tilt, "dim")] if queue.status.seat_tilt else []),
    )


def _mark(row: TargetRow, queue: QueueView) -> tuple[str, str]:
    return _PRESENT if row.name == queue.present else _MARKS.get(row.state, _OTHERS)


def _rows_now(queue: QueueView, status: SessionStatus) -> list[TargetRow]:
    """Return the rows, that of the present target with its phase and newest counts."""
    return [_now(row, status) if row.name == queue.present else row for row in queue.status.targets]


def _now(row: TargetRow, status: SessionStatus) -> TargetRow:
    state = status.state.value if status.ended else running_phase(status)
    return row.with_session(status).model_copy(update={"state": state or row.state})
