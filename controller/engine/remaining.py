"""Steps of a plan that are left, given the journal of the session."""

from __future__ import annotations

from controller.model.base import SeriesName
from controller.model.events import Phase
from controller.model.plan import Plan
from controller.model.processing_jobs import Job
from controller.model.steps import Preflight, Process, Report, SeriesStart, Step, Tilt
from controller.session.entries import FrameWritten
from controller.session.ledger import Ledger


def steps_to_do(plan: Plan, ledger: Ledger) -> tuple[Step, ...]:
    """Return the steps that the journal does not show as done.

    Time and dose of the pre-flight are those of the remaining steps.
    """
    left = [step for step in plan.steps if _is_needed(step, plan, ledger)]
    cost = {
        "planned_dose_e_per_A2": sum(step.dose_e_per_A2 for step in left),
        "planned_s": sum(step.duration_s for step in left),
    }
    return tuple(
        step.model_copy(update=cost) if isinstance(step, Preflight) else step for step in left
    )


def tilts_left(plan: Plan, ledger: Ledger, series: SeriesName) -> int:
    """Count the tilts of a series still to be recorded; skipped ones do not count."""
    return sum(
        isinstance(step, Tilt) and step.series == series and step.id not in ledger.completed
        for step in plan.steps
    )


def last_tilts(plan: Plan, ledger: Ledger, phase: Phase) -> list[tuple[Tilt, FrameWritten]]:
    """Return the recorded tilts of a phase with their frames, in order of recording."""
    tilts = {step.id: step for step in plan.steps if isinstance(step, Tilt) and step.phase is phase}
    return [
        (tilts[frame.step_id], frame)
        for frames in ledger.frames.values()
        for frame in frames
        if frame.step_id in tilts and (frame.series, frame.section) not in ledger.withdrawn
    ]


def _is_needed(step: Step, plan: Plan, ledger: Ledger) -> bool:
    match step:
        case Preflight() | Report():
            return True
        case SeriesStart():  # sets current, backlash and view again
            return tilts_left(plan, ledger, step.series) > 0
        case Process():  # the queue of jobs ends with the session
            return Job(step.series) not in ledger.jobs_done
        case _:
            return step.id not in ledger.completed
