"""The two lines above the keys: state and verdict, and the newest alert."""

from __future__ import annotations

from rich.text import Text

from controller.model.events import Level, OperatorState, Phase, State
from controller.model.prompts import Prompt
from controller.service import words
from controller.service.status import PhaseState, SessionStatus
from controller.ui.tui.styles import BAD, GOOD, WARNING

STATE_MARKS = {
    State.READY: "○",
    State.RUNNING: "▶",
    State.PAUSED: "‖",
    State.WAITING: "?",
    State.STOPPING: "◣",
    State.STOPPED: "■",
    State.FAILED: "✗",
    State.FINISHED: "✓",
}
OPERATOR_MARKS = {
    OperatorState.GOOD: "✓",
    OperatorState.YOUR_TURN: "?",
    OperatorState.STOP_AT_END: "▲",
    OperatorState.STOP_NOW: "■",
}
OPERATOR_STYLES = {
    OperatorState.GOOD: f"bold {GOOD}",
    OperatorState.YOUR_TURN: f"bold {WARNING}",
    OperatorState.STOP_AT_END: f"bold {WARNING}",
    OperatorState.STOP_NOW: BAD,
}
LEVEL_STYLES = {Level.INFO: "", Level.WARNING: WARNING, Level.ALARM: BAD}


def state_line(status: SessionStatus, width: int, *, read_only: bool = False) -> Text:
    """What the engine is doing and why; the verdict at the right end."""
    sign = _sign(status)
    state = status.state.value
    lead = f" {STATE_MARKS[status.state]} {state}"
    room = width - sign.cell_len - 1 - len(lead)
    doing = Text(lead + _doing(status, room, read_only))
    doing.stylize("bold", 3, len(lead))
    return _with_sign(doing, sign, width)


def _sign(status: SessionStatus) -> Text:
    state = status.operator_state
    return Text(f" {OPERATOR_MARKS[state]} {state.value} ", OPERATOR_STYLES[state])


def lost_line(why: str, width: int) -> Text:
    """In place of the state line where the session does not answer."""
    return _with_sign(Text(f" ✗ {why}", "bold"), Text(" ✗ LOST ", BAD), width)


def _with_sign(line: Text, sign: Text, width: int) -> Text:
    line.no_wrap, line.end = True, ""
    line.truncate(width - sign.cell_len - 1, overflow="ellipsis", pad=True)
    return line.append_text(sign)


def _doing(status: SessionStatus, room: int, read_only: bool) -> str:
    """What is said after the state."""
    if status.prompt is not None:
        return _asking(status.prompt, room, read_only)
    if status.pausing and status.state is not State.PAUSED:
        return f" · {words.PAUSING}"
    if status.state is State.FAILED:  # the line below says why
        return f" · dualtilt resume {status.folder} takes it up again"
    if status.phases[Phase.REPORT] is PhaseState.DONE and status.state is State.FINISHED:
        return f" report in {status.folder}/{status.report or ''}"
    return f": {status.reason}" if status.reason else ""


def _asking(prompt: Prompt, room: int, read_only: bool) -> str:
    """Title, key and command; as much of it as there is room for."""
    key = "" if read_only else "a answers · "
    command = words.answer_command(prompt, prompt.choices[0])
    ways = (f" {prompt.title} · {key}{command}", f" {prompt.title} · {command}", f" · {command}")
    return next((way for way in ways if len(way) <= room), ways[-1])


def alert_line(status: SessionStatus, width: int) -> Text:
    """The newest alert, or else why the verdict is not good; quiet where there is neither."""
    state, reason = status.operator_state, status.operator_reason
    told_above = state is OperatorState.YOUR_TURN  # the state line says why
    newest = status.alerts[-1] if status.alerts else None
    untold = len(status.alerts)
    if reason and not told_above and (newest is None or reason not in newest.alert.text):
        line = Text(f" {OPERATOR_MARKS[state]} {reason}", OPERATOR_STYLES[state])
    elif newest is not None:
        alert = newest.alert
        text = f" {words.LEVEL_MARKS[alert.level]} {words.clock(newest.at)} {alert.text}"
        line = Text(text, LEVEL_STYLES[alert.level])
        untold -= 1
    else:
        return Text(" no alerts", "dim", no_wrap=True)
    plural = "s" if len(status.alerts) > 1 else ""
    more = f"  ({len(status.alerts)} alert{plural}, l)" if untold else ""
    line.truncate(width - len(more), overflow="ellipsis")
    line.no_wrap = True
    return line.append(more, "dim")
