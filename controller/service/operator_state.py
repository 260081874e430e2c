"""Advice to the operator and its reason: a table of rules, worst first."""

from __future__ import annotations

from collections.abc import Callable

from controller.model.count_verdict import Trust
from controller.model.events import OperatorState, PauseCause, Phase, State
from controller.model.frames import FrameVerdict
from controller.model.processing_jobs import JobName
from controller.model.prompts import STOP, Prompt, PromptId
from controller.service.residual_verdict import IN_A_ROW, fits_badly
from controller.service.session_status import (
    RESIDUAL_LIMIT_PX,
    PhaseState,
    SessionStatus,
    TiltStatus,
)

BAD_IN_A_ROW = 3
"""Number of bad frames in a row that changes the advice."""


def operator_state(status: SessionStatus) -> tuple[OperatorState, str]:
    """Return the advice to the operator and its reason; the reason of GOOD is empty.

    The worst rule that applies decides. YOUR TURN means that nothing is wrong and the session
    waits for a person, at a prompt or in a pause; WAIT, that it waits and goes on by itself.
    """
    for state, rule in _RULES:
        reason = rule(status)
        if reason:
            return state, reason
    if status.prompt is not None:
        return OperatorState.YOUR_TURN, status.prompt.title
    if status.pause_cause is PauseCause.PASSING:
        return OperatorState.WAIT, status.reason
    if status.state in (State.PAUSED, State.WAITING):
        return OperatorState.YOUR_TURN, status.reason
    return OperatorState.GOOD, ""


def _failed(status: SessionStatus) -> str:
    return (status.reason or "the session failed") if status.state is State.FAILED else ""


def _flip_refused(status: SessionStatus) -> str:
    """Return the reason while the flip check is refused or overridden.

    While its prompt is open, the reason begins with the answers that can lead to series B. It is
    empty once the grid is imaged or flipped again. After an override it stays until A and B are
    merged.
    """
    flip = status.flip_check
    if flip is None or flip.accepted or "fused" in status.counts:
        return ""
    if status.phases[Phase.FLIP] is PhaseState.DONE:
        return f"flip check overridden: {flip.found}"
    if status.prompt is None or status.prompt.id is not PromptId.FLIP_CHECK:
        return ""
    return f"{_helpful_answers(status.prompt)}: {flip.found}"


def _helpful_answers(prompt: Prompt) -> str:
    """Return the answers to a prompt that neither stop nor override."""
    return " or ".join(
        choice for choice in prompt.choices if choice not in (STOP, *prompt.needs_reason)
    )


def _merge_refused(status: SessionStatus) -> str:
    return next((failed.reason for failed in status.failures if failed.refused), "")


def _series_do_not_fit(status: SessionStatus) -> str:
    bad = (advised for advised in status.advice if advised.topic == "fit" and not advised.ok)
    return next((advised.text for advised in bad), "") if status.phase is Phase.B else ""


def _over_budget(status: SessionStatus) -> str:
    budget = status.dose_budget_e_per_A2
    return "dose budget used up" if 0 < budget <= status.dose_e_per_A2 else ""


def _alarm(status: SessionStatus) -> str:
    return status.standing_alarm


def _bad_frames(status: SessionStatus) -> str:
    recent = _recent(status)
    bad = len(recent) == BAD_IN_A_ROW and all(
        tilt.frame.verdict is not FrameVerdict.OK for tilt in recent
    )
    return f"the last {BAD_IN_A_ROW} frames are {recent[-1].frame.verdict}" if bad else ""


def _processing_failed(status: SessionStatus) -> str:
    failed = [failed for failed in status.failures if not _has_final_count(status, failed.job)]
    return f"processing {failed[-1].job} failed: {failed[-1].reason}" if failed else ""


def _has_final_count(status: SessionStatus, job: JobName) -> bool:
    """Return True if a live job failed and its series has its final count nevertheless."""
    count = status.counts.get(job.live_series) if job.live_series else None
    return count is not None and not count.live


def _bad_residuals(status: SessionStatus) -> str:
    """Return why an alignment is bad; the final one of a series replaces its live residuals."""
    for name, series in status.series.items():
        final_px = series.final_residual_px
        if final_px is not None and final_px > RESIDUAL_LIMIT_PX:
            above = f"final residual of {name} {final_px:.2f} px, above {RESIDUAL_LIMIT_PX:g} px"
            return f"{above}: find the worst tilts with dualtilt inspect"
    current = status.series[status.current_series] if status.current_series else None
    if current is None or current.final_residual_px is not None or not fits_badly(current):
        return ""
    above = f"live residual above {RESIDUAL_LIMIT_PX:g} px for {IN_A_ROW} tilts"
    return f"{above}: look at these frames"


def _count_refused(status: SessionStatus) -> str:
    """Return the reason why a final count means nothing."""
    for name, count in status.counts.items():
        verdict = count.latest.verdict
        if not count.live and verdict is not None and verdict.state is Trust.REFUSED:
            return f"count of {name} {verdict.line}"
    return ""


def _budget_too_small(status: SessionStatus) -> str:
    planned, budget = status.planned_dose_e_per_A2, status.dose_budget_e_per_A2
    return (
        "the plan needs more dose than its budget: plan fewer tilts" if 0 < budget < planned else ""
    )


def _recent(status: SessionStatus) -> tuple[TiltStatus, ...]:
    tilts = status.series[status.current_series].tilts if status.current_series else ()
    return tilts[-BAD_IN_A_ROW:]


_RULES: tuple[tuple[OperatorState, Callable[[SessionStatus], str]], ...] = (
    (OperatorState.STOP_NOW, _failed),
    (OperatorState.STOP_NOW, _merge_refused),
    (OperatorState.STOP_NOW, _series_do_not_fit),
    (OperatorState.STOP_NOW, _over_budget),
    (OperatorState.STOP_NOW, _alarm),
    (OperatorState.STOP_NOW, _bad_frames),
    (OperatorState.STOP_AT_END, _flip_refused),
    (OperatorState.STOP_AT_END, _processing_failed),
    (OperatorState.STOP_AT_END, _count_refused),
    (OperatorState.STOP_AT_END, _bad_residuals),
    (OperatorState.STOP_AT_END, _budget_too_small),
)
