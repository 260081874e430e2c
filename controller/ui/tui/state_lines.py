"""The two lines above the keys: state with advice, and the newest alert or news."""

from __future__ import annotations

from rich.text import Text

from controller.common.errors import quoted
from controller.model.events import Level, OperatorState, Phase, State
from controller.model.prompts import Prompt
from controller.service import event_text, status_text
from controller.service.session_status import AlertStatus, PhaseState, SessionStatus
from controller.ui.colours import BAD, GOOD, WARNING

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
OPERATOR_STYLES = {
    OperatorState.GOOD: f"bold {GOOD}",
    OperatorState.YOUR_TURN: f"bold {WARNING}",
    OperatorState.WAIT: f"bold {WARNING}",
    OperatorState.STOP_AT_END: f"bold {WARNING}",
    OperatorState.STOP_NOW: BAD,
}
LEVEL_STYLES = {Level.INFO: "", Level.WARNING: WARNING, Level.ALARM: BAD}


def state_line(status: SessionStatus, width: int, *, read_only: bool = False) -> Text:
    """Return state and reason, with the advice to the operator at the right end."""
    advice = _advice(status)
    state = status_text.state_word(status.state)
    lead = f" {STATE_MARKS[status.state]} {state}"
    room = width - advice.cell_len - 1 - len(lead)
    doing = Text(lead + _doing(status, room, read_only))
    doing.stylize("bold", 3, len(lead))
    return _with_right_end(doing, advice, width)


def _advice(status: SessionStatus) -> Text:
    style = OPERATOR_STYLES[status.operator_state]
    return Text(f" {status_text.operator_advice(status)} ", style)


def lost_line(fault: str, width: int) -> Text:
    """Return the line that replaces the state line if the session does not answer."""
    return _with_right_end(Text(f" ✗ {fault}", "bold"), Text(" ✗ LOST ", BAD), width)


def _with_right_end(line: Text, right: Text, width: int) -> Text:
    line.no_wrap, line.end = True, ""
    line.truncate(width - right.cell_len - 1, overflow="ellipsis", pad=True)
    return line.append_text(right)


def _doing(status: SessionStatus, room: int, read_only: bool) -> str:
    """Return the text after the state: prompt, pending pause, remedy, report or reason."""
    if status.prompt is not None:
        return _prompt_text(status.prompt, room, read_only)
    if status.pausing and status.state is not State.PAUSED:
        return f" · {status_text.PAUSING}"
    if status.state is State.FAILED:  # the line below gives the reason
        return f" · dualtilt resume {quoted(status.folder)} continues it"
    if status.phases[Phase.REPORT] is PhaseState.DONE and status.state is State.FINISHED:
        return f" report in {status.folder}/{status.report or ''}"
    return f": {status.reason}" if status.reason else ""


def _prompt_text(prompt: Prompt, room: int, read_only: bool) -> str:
    """Return title, key and command of a prompt, as much as fits."""
    key = "" if read_only else "a answers · "
    command = status_text.answer_command(prompt, prompt.choices[0])
    texts = (f": {prompt.title} · {key}{command}", f": {prompt.title} · {command}", f": {command}")
    return next((text for text in texts if len(text) <= room), texts[-1])


def alert_line(status: SessionStatus, width: int) -> Text:
    """Return the reason of the advice, else the newest alert or news, else "no alerts".

    The newest alert is also shown if it contains the reason, or if the state line gives it. News
    that are newer than a warning are shown instead: the warning is over. An alarm stays.
    """
    state, reason = status.operator_state, status.operator_reason
    is_in_state_line = state in (OperatorState.YOUR_TURN, OperatorState.WAIT)
    newest = status.alerts[-1] if status.alerts else None
    hidden = len(status.alerts)
    if reason and not is_in_state_line and (newest is None or reason not in newest.alert.text):
        line = Text(f" {status_text.OPERATOR_MARKS[state]} {reason}", OPERATOR_STYLES[state])
    elif status.news is not None and (newest is None or _is_over(newest, status.news)):
        line = _alert_text(status.news)
    elif newest is not None:
        line = _alert_text(newest)
        hidden -= 1
    else:
        return Text(" no alerts", "dim", no_wrap=True)
    plural = "s" if len(status.alerts) > 1 else ""
    more = f"  ({len(status.alerts)} alert{plural}, l)" if hidden else ""
    line.truncate(width - len(more), overflow="ellipsis")
    line.no_wrap = True
    return line.append(more, "dim")


def _is_over(warning: AlertStatus, news: AlertStatus) -> bool:
    return warning.alert.level is not Level.ALARM and news.seq > warning.seq


def _alert_text(known: AlertStatus) -> Text:
    alert = known.alert
    mark, at = event_text.LEVEL_MARKS[alert.level], event_text.time_of_day(known.at)
    return Text(f" {mark} {at} {event_text.alert_line(alert)}", LEVEL_STYLES[alert.level])
