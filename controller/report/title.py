"""Title block of the report."""

from __future__ import annotations

from controller.model.count_verdict import Trust
from controller.model.events import OperatorState, State
from controller.report.html import number, text
from controller.report.intervals import interval, trust
from controller.report.report_data import Json, ReportData

TONES = {
    OperatorState.GOOD: "good",
    OperatorState.YOUR_TURN: "warn",
    OperatorState.WAIT: "warn",
    OperatorState.STOP_AT_END: "warn",
    OperatorState.STOP_NOW: "bad",
}
COUNT_TONES = {Trust.TRUSTED: "good", Trust.DOUBTFUL: "warn", Trust.REFUSED: "bad"}


def title_block(data: ReportData) -> str:
    """Return title, specimen, microscope, date and verdict."""
    protocol = data.protocol
    name = data.status.name or (protocol.name if protocol else data.folder.resolve().name)
    specimen = protocol.specimen if protocol else ""
    when = data.records[0].at[:16].replace("T", " ") if data.records else ""
    told = [text(part) for part in (specimen, data.status.microscope, when) if part]
    if data.status.simulated:
        told.append('<span class="tag">simulated</span>')
    tone, word, reason = session_verdict(data)
    return (
        f"<header><h1>{text(name)}</h1><p class='sub'>{' · '.join(told)}</p>"
        f'<div class="verdict {tone}"><strong>{text(word)}</strong>{text(reason)}</div>'
        f"{_count_verdict(data)}</header>"
    )


def _count_verdict(data: ReportData) -> str:
    """Return the verdict on the final count with all its reasons; empty if there is none."""
    verdict = data.summary.get("verdict")
    if not verdict:
        return ""
    state = Trust(verdict["state"])
    reasons = "".join(f"<p>{text(reason)}</p>" for reason in verdict["reasons"])
    word = f"COUNT {state.upper()}"
    return (
        f'<div class="verdict {COUNT_TONES[state]}"><strong>{text(word)}</strong>'
        f"{reasons or 'the particles found explain the images'}</div>"
    )


def session_verdict(data: ReportData) -> tuple[str, str, str]:
    """Return tone, word and reason of the verdict on the session."""
    counts = data.summary.get("counts", {})
    best = counts.get("fused") or counts.get("A") or {}
    tone = COUNT_TONES[trust(best)]
    if not data.records:
        return tone, "PROCESSED", _count_sentence(counts)
    state = data.status.operator_state
    if state is OperatorState.GOOD:
        if counts.get("fused"):
            return tone, "GOOD" if tone == "good" else "COMPLETE", _count_sentence(counts)
        return "warn", "INCOMPLETE", _progress(data)
    return TONES[state], state.value, data.status.operator_reason


def _count_sentence(counts: Json) -> str:
    best = counts.get("fused") or counts.get("A") or {}
    if not best:
        return "no particles have been counted"
    where = "the fused volume" if counts.get("fused") else "one series"
    return f"{number(best['n'])} particles in {where} ({interval(best)})"


def _progress(data: ReportData) -> str:
    status = data.status
    recorded = ", ".join(
        f"{len(series.tilts)} of {series.planned} tilts of {name}"
        for name, series in status.series.items()
        if series.planned
    )
    ended = {State.STOPPED: "stopped", State.FAILED: "failed"}.get(status.state, "")
    told = [part for part in (ended, recorded, status.reason) if part]
    return "; ".join(told) or "nothing was recorded"
