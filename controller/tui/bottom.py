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


def state_line(status: SessionStatus, width: int, *, read_only: bool = False) -> Text:
    """What the engine is doing and why; the verdict at the right end."""
    verdict = judge(status).verdict
    sign = Text(f" {VERDICT_MARKS[verdict]} {verdict.value} ", VERDICT_STYLES[verdict])
    doing = Text.assemble(f" {STATE_MARKS[status.state]} ", _doing(status, read_only))
    return _with_sign(doing, sign, width)


def lost_line(why: str, width: int) -> Text:
    """In place of the state line where the session does not answer."""
    return _with_sign(Text(f" ✗ {why}", "bold"), Text(" ✗ LOST ", BAD), width)


def _with_sign(line: Text, sign: Text, width: int) -> Text:
    line.no_wrap, line.end = True, ""
    line.truncate(width - sign.cell_len - 1, overflow="ellipsis", pad=True)
    return line.append_text(sign)


def _doing(status: SessionStatus, read_only: bool) -> Text:
    state = status.state.value
    if status.prompt is not None:
        prompt = status.prompt
        here = "" if read_only else "a answers · "
        command = words.answer_command(prompt, prompt.choices[0])
        return Text.assemble((state, "bold"), f" {prompt.title} · {here}{command}")
    if status.pausing:
        return Text.assemble((state, "bold"), f" · {words.PAUSING}")
    if status.phases[Phase.REPORT] is PhaseState.DONE and status.state is State.FINISHED:
        return Text.assemble((state, "bold"), f" report in {status.folder}/{status.report or ''}")
    line = Text(words.state(status.state, status.reason))
    line.stylize("bold", 0, len(state))
    return line


def alert_line(status: SessionStatus) -> Text:
    """The newest alert, or else why the verdict is not good; quiet where there is neither."""
    judgement = judge(status)
    line = Text(no_wrap=True, overflow="ellipsis")
    newest = status.alerts[-1] if status.alerts else None
    untold = len(status.alerts)
    if judgement.reason and (newest is None or judgement.reason not in newest.alert.text):
        style = VERDICT_STYLES[judgement.verdict]
        line.append(f" {VERDICT_MARKS[judgement.verdict]} {judgement.reason}", style)
    elif newest is not None:
        alert = newest.alert
        text = f" {words.LEVEL_MARKS[alert.level]} {words.clock(newest.at)} {alert.text}"
        line.append(text, LEVEL_STYLES[alert.level])
        untold -= 1
    else:
        return Text(" no alerts", "dim", no_wrap=True)
    plural = "s" if len(status.alerts) > 1 else ""
    more = f"  ({len(status.alerts)} alert{plural}, l)" if untold else ""
    return line.append(more, "dim")
