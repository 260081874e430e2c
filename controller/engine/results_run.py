"""Results of a session whose series are recorded: fusion, count and report, no microscope.

The microscope is at another target meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from controller.common.exit_codes import ExitCode
from controller.engine.control import Control
from controller.engine.remaining import steps_to_do
from controller.engine.run_to_end import raise_worst, run_to_end
from controller.engine.states import Trigger
from controller.model.events import Level, PauseCause, Phase, PhaseFinished, PhaseStarted, Publish
from controller.model.plan import make_plan
from controller.model.processing_jobs import ProcessingJobs
from controller.model.steps import Fuse, Process, Report
from controller.procedures import process, report
from controller.procedures.context import ResultsContext
from controller.session.session import Session


class ResultsRun:
    """One run that makes the results of a session, new or continued.

    Parameters
    ----------
    session
        Open session with both series; jobs that its journal shows as done are not repeated.
    jobs
        Queue of the processing jobs.
    publish
        Publishes events; never blocks, never raises.
    write_report
        Writes the report of a session's folder and returns its path.

    Attributes
    ----------
    stop
        Command that ends the run; see :class:`Control`.
    """

    def __init__(
        self,
        session: Session,
        jobs: ProcessingJobs,
        publish: Publish,
        write_report: Callable[[Path], Path],
    ) -> None:
        self._session, self._publish = session, publish
        self._control = Control(
            publish,
            session.enter,
            session.protocol.flip,
            blank=_nothing_to_make_safe,
            abort=_nothing_to_make_safe,
        )
        self.stop = self._control.stop
        self._context = ResultsContext(
            session=session,
            operator=self._control,
            jobs=jobs,
            publish=publish,
            write_report=write_report,
        )

    def run(self) -> ExitCode:
        """Make the results that are missing, and the report; return the exit code."""
        folder = self._session.folder.path
        return run_to_end(self._make_results, self._control, self._publish, folder)

    def _make_results(self) -> None:
        self._control.apply(Trigger.START)
        for line in self._session.recovery_report:
            self._context.alert(Level.WARNING, line, "resume")
        steps = steps_to_do(make_plan(self._session.protocol), self._session.ledger)
        self._carry_out(Phase.FUSE, [step for step in steps if isinstance(step, Process | Fuse)])
        self._carry_out(Phase.REPORT, [step for step in steps if isinstance(step, Report)])
        raise_worst(self._context.failures)

    def _carry_out(self, phase: Phase, steps: Sequence[Process | Fuse | Report]) -> None:
        """Carry out the steps of a phase; wait for room on a full disk."""
        self._publish(PhaseStarted(phase=phase))
        for step in steps:
            while not self._is_carried_out(step):
                pass
        self._publish(PhaseFinished(phase=phase))

    def _is_carried_out(self, step: Process | Fuse | Report) -> bool:
        """Carry out one step; return false if the disk had no room for it, once it has."""
        try:
            _carry_out(step, self._context)
        except OSError as error:
            reason = f"{step.id}: {self._session.folder.path}: {error.strerror or error}"
            self._control.suspend(
                f"{reason}; resumes automatically when there is room on the disk",
                self._session.has_disk_space,
                PauseCause.HANDS,
            )
            return False
        return True


def _carry_out(step: Process | Fuse | Report, context: ResultsContext) -> None:
    match step:
        case Process():
            process.carry_out_process(step, context)
        case Fuse():
            process.carry_out_fuse(step, context)
        case Report():
            report.carry_out(step, context)


def _nothing_to_make_safe() -> None:
    """Do nothing: this run has no microscope."""
