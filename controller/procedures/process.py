"""Work handed to processing: a series without waiting, the fusion with its outcome."""

from __future__ import annotations

from controller.common.errors import DualtiltError, ProcessingFailedError, SafetyStopError
from controller.model.processing_jobs import Job, JobOutcome
from controller.model.steps import Fuse, Process
from controller.procedures.context import Context
from controller.session.entries import JobEnded, StepDone

LOOK_EVERY_S = 0.2
"""Between two looks at the operator's wishes while processing works."""


def carry_out_process(step: Process, context: Context) -> None:
    """Hand a finished series to processing; nobody waits for it here."""
    session = context.session
    context.persist(lambda: session.write_companions(step.series), f"the mdoc of {step.series}")
    context.jobs.submit(Job(step.series))
    session.enter(StepDone(step_id=step.id))


def carry_out_fuse(step: Fuse, context: Context) -> None:
    """Wait for both series, have them fused; a failure is kept for the session's end."""
    for job in (Job.A, Job.B):
        if job not in context.session.ledger.jobs_done and not _ended_well(job, context):
            return
    context.jobs.submit(Job.FUSE)
    if _ended_well(Job.FUSE, context):
        context.session.enter(StepDone(step_id=step.id))


def _ended_well(job: Job, context: Context) -> bool:
    outcome = None
    while outcome is None:
        context.operator.checkpoint()
        outcome = context.jobs.wait(job, LOOK_EVERY_S)
    context.session.enter(JobEnded(job=job, ok=outcome.ok, reason=outcome.reason))
    if not outcome.ok:
        context.failures.append(_failure(outcome))
    return outcome.ok


def _failure(outcome: JobOutcome) -> DualtiltError:
    what = {
        Job.A: "processing of series A",
        Job.B: "processing of series B",
        Job.FUSE: "fusion of A and B",
    }[outcome.job]
    if outcome.refused:
        return SafetyStopError(f"{what} refused: {outcome.reason}")
    return ProcessingFailedError(f"{what} failed: {outcome.reason}; the raw data are complete")
