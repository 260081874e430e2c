"""Title and verdict."""

from __future__ import annotations

from controller.model.events import OperatorState, State
from controller.report.facts import Facts, Json
from controller.report.html import number, text

TONES = {
    OperatorState.GOOD: "good",
    OperatorState.YOUR_TURN: "warn",
    OperatorState.STOP_AT_END: "warn",
    OperatorState.STOP_NOW: "bad",
}


def heading(facts: Facts) -> str:
    """Title, what it is of, and the verdict."""
    protocol = facts.protocol
    name = facts.status.name or (protocol.name if protocol else facts.folder.resolve().name)
    specimen = protocol.specimen if protocol else ""
    when = facts.records[0].at[:16].replace("T", " ") if facts.records else ""
    told = [text(part) for part in (specimen, facts.status.microscope, when) if part]
    if facts.status.simulated:
        told.append('<span class="tag">simulated</span>')
    tone, word, reason = _verdict(facts)
    return (
        f"<header><h1>{text(name)}</h1><p class='sub'>{' · '.join(told)}</p>"
        f'<div class="verdict {tone}"><strong>{text(word)}</strong>{text(reason)}</div></header>'
    )


def _verdict(facts: Facts) -> tuple[str, str, str]:
    counts = facts.summary.get("counts", {})
    if not facts.records:
        return "good", "PROCESSED", _finding(counts)
    state = facts.status.operator_state
    if state is OperatorState.GOOD:
        if counts.get("fused"):
            return "good", "GOOD", _finding(counts)
        return "warn", "INCOMPLETE", _how_far(facts)
    return TONES[state], state.value, facts.status.operator_reason


def _finding(counts: Json) -> str:
    best = counts.get("fused") or counts.get("A") or {}
    if not best:
        return "no particles have been counted"
    where = "the fused volume" if counts.get("fused") else "one series"
    return (
        f"{number(best['n'])} particles in {where} "
        f"(95 % interval {number(best['n_low'])} to {number(best['n_high'])})"
    )


def _how_far(facts: Facts) -> str:
    status = facts.status
    recorded = ", ".join(
        f"{len(series.tilts)} of {series.planned} tilts of {name}"
        for name, series in status.series.items()
        if series.planned
    )
    ended = {State.STOPPED: "stopped", State.FAILED: "failed"}.get(status.state, "")
    told = [part for part in (ended, recorded, status.reason) if part]
    return "; ".join(told) or "nothing was recorded"
