"""Title block of the report."""

from __future__ import annotations

from controller.model.events import OperatorState, State
from controller.report.html import number, text
from controller.report.report_data import Json, ReportData

TONES = {
    OperatorState.GOOD: "good",
    OperatorState.YOUR_TURN: "warn",
    OperatorState.STOP_AT_END: "warn",
    OperatorState.STOP_NOW: "bad",
}


def title_block(data: ReportData) -> str:
    """Return title, specimen, microscope, date and verdict."""
    protocol = data.protocol
    name = data.status.name or (protocol.name if protocol else data.folder.resolve().name)
    specimen = protocol.specimen if protocol else ""
    when = data.records[0].at[:16].replace("T", " ") if data.records else ""
    told = [text(part) for part in (specimen, data.status.microscope, when) if part]
    if data.status.simulated:
        told.append('<span class="tag">simulated</span>')
    tone, word, reason = _verdict(data)
    return (
        f"<header><h1>{text(name)}</h1><p class='sub'>{' · '.join(told)}</p>"
        f'<div class="verdict {tone}"><strong>{text(word)}</strong>{text(reason)}</div></header>'
    )


def _verdict(data: ReportData) -> tuple[str, str, str]:
    counts = data.summary.get("counts", {})
    if not data.records:
        return "good", "PROCESSED", _count_sentence(counts)
    state = data.status.operator_state
    if state is OperatorState.GOOD:
        if counts.get("fused"):
            return "good", "GOOD", _count_sentence(counts)
        return "warn", "INCOMPLETE", _progress(data)
    return TONES[state], state.value, data.status.operator_reason


def _count_sentence(counts: Json) -> str:
    best = counts.get("fused") or counts.get("A") or {}
    if not best:
        return "no particles have been counted"
    where = "the fused volume" if counts.get("fused") else "one series"
    return (
        f"{number(best['n'])} particles in {where} "
        f"(95 % interval {number(best['n_low'])} to {number(best['n_high'])})"
    )


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
