"""Submit processing jobs: a series without waiting for it, the fusion with its outcome."""

from __future__ import annotations

from controller.common.errors import DualtiltError, ProcessingFailedError, SafetyStopError
from controller.model.processing_jobs import Job, JobOutcome
from controller.model.steps import Fuse, LeaveResults, Process
from controller.procedures.context import Context, ContinuesLaterError, ResultsContext
from controller.session.entries import JobEnded, StepDone

POLL_INTERVAL_S = 0.2
"""Interval at which a pause or stop is checked for while a job runs."""


def carry_out_process(step: Process, context: ResultsContext) -> None:
    """Submit a finished series to processing; do not wait for it."""
    session = context.session
    context.persist(lambda: session.write_companions(step.series), f"the mdoc of {step.series}")
    context.jobs.submit(Job(step.series))
    session.enter(StepDone(step_id=step.id))


def carry_out_leave_results(step: LeaveResults, context: Context) -> None:
    """End the session of a target once its series A is processed.

    That began with series B and is as a rule over by now; ended here, it would begin again.

    Raises
    ------
    ContinuesLaterError
        Always: the queue of targets has the results made without the microscope.
    """
    if Job.A not in context.session.ledger.jobs_done:
        _ended_well(Job.A, context)  # one that failed is tried again
    raise ContinuesLaterError(
        "both series are recorded; their results are made while the microscope goes on"
    )


def carry_out_fuse(step: Fuse, context: ResultsContext) -> None:
    """Wait for both series, then fuse them; a failure is reported at the session's end."""
    for job in (Job.A, Job.B):
        if job not in context.session.ledger.jobs_done and not _ended_well(job, context):
            return
    context.jobs.submit(Job.FUSE)
    if _ended_well(Job.FUSE, context):
        context.session.enter(StepDone(step_id=step.id))


def enter_job_ended(job: Job, context: ResultsContext) -> None:
    """Enter a submitted job if it has ended well; do not wait for it.

    A session that is killed and resumed then does not do it again.
    """
    if job in context.session.ledger.jobs_done:
        return
    outcome = context.jobs.wait(job, 0.0)
    if outcome is not None and outcome.ok:
        context.session.enter(JobEnded(job=job, ok=True, reason=outcome.reason))


def _ended_well(job: Job, context: ResultsContext) -> bool:
    outcome = None
    while outcome is None:
        context.operator.between_steps(ends_series=True)  # no tilt is left to wait for
        outcome = context.jobs.wait(job, POLL_INTERVAL_S)
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
