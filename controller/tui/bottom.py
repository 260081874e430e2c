"""The two lines above the keys: state and verdict, and the newest alert."""

from __future__ import annotations

from rich.text import Text

from controller.events import Level, Phase, State
from controller.service import words
from controller.service.status import PhaseState, SessionStatus, Verdict
from controller.service.verdict import judge
from controller.tui.styles import BAD, GOOD, WARNING

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
VERDICT_MARKS = {Verdict.GOOD: "✓", Verdict.STOP_AT_END: "▲", Verdict.STOP_NOW: "■"}
VERDICT_STYLES = {
    Verdict.GOOD: f"bold {GOOD}",
    Verdict.STOP_AT_END: f"bold {WARNING}",
    Verdict.STOP_NOW: BAD,
}
LEVEL_STYLES = {Level.INFO: "", Level.WARNING: WARNING, Level.ALARM: BAD}


def state_line(
    status: SessionStatus, width: int, unreachable: str = "", *, read_only: bool = False
) -> Text:
    """What the engine is doing and why; the verdict at the right end."""
    judgement = judge(status)
    verdict = f" {VERDICT_MARKS[judgement.verdict]} {judgement.verdict.value} "
    room = width - len(verdict) - 1
    line = Text(no_wrap=True, overflow="ellipsis", end="")
    if unreachable:
        line.append(f" ✗ {unreachable}", "bold")
    else:
        line.append(f" {STATE_MARKS[status.state]} {status.state.value}", "bold")
        line.append(_reason(status, judgement.reason, read_only))
    line.truncate(room, overflow="ellipsis", pad=True)
    line.append(verdict, VERDICT_STYLES[judgement.verdict])
    return line


def _reason(status: SessionStatus, judged: str, read_only: bool) -> str:
    if status.prompt is not None:
        prompt = status.prompt
        here = "" if read_only else "a answers · "
        return f" {prompt.title} · {here}{words.answer_command(prompt, prompt.choices[0])}"
    if status.phases[Phase.REPORT] is PhaseState.DONE and status.state is State.FINISHED:
        return f" report in {status.folder}/{status.report or ''}"
    if status.pausing:
        return f" · {words.PAUSING}"
    reason = status.reason or judged
    return f": {reason}" if reason else ""


def alert_line(status: SessionStatus) -> Text:
    """The newest alert; quiet where there is none."""
    if not status.alerts:
        return Text(" no alerts", "dim", no_wrap=True)
    newest = status.alerts[-1]
    alert = newest.alert
    text = f" {words.LEVEL_MARKS[alert.level]} {words.clock(newest.at)} {alert.text}"
    more = f"  ({len(status.alerts)} alerts, l)" if len(status.alerts) > 1 else ""
    line = Text(text, LEVEL_STYLES[alert.level], no_wrap=True, overflow="ellipsis")
    return line.append(more, "dim")
