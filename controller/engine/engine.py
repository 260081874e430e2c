"""Engine: carries out a plan step by step, and leaves the column safe however it ends."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from controller.common.errors import (
    BridgeError,
    UsageError,
    quoted,
)
from controller.common.exit_codes import ExitCode
from controller.engine.control import POLL_INTERVAL_S, Control
from controller.engine.disk_alarm import DiskAlarm
from controller.engine.dispatch import carry_out
from controller.engine.end_early import is_left_out, publish_early_ends
from controller.engine.recovery import PASSING, pause_reason, recovery
from controller.engine.remaining import last_tilts, steps_to_do, tilts_left
from controller.engine.run_to_end import raise_worst, run_to_end
from controller.engine.states import Trigger
from controller.hardware.interface import LeaseError, Microscope, MicroscopeError
from controller.hardware.safety import SafetyCall, reach_safe_state
from controller.model.base import SeriesName
from controller.model.events import (
    ENDED,
    Alerted,
    BeamChanged,
    FrameWithdrawn,
    Level,
    PauseCause,
    Phase,
    PhaseFinished,
    PhaseStarted,
    Publish,
    SessionStarted,
)
from controller.model.exposures import backlash_start_deg
from controller.model.plan import make_plan
from controller.model.processing_jobs import Job, ProcessingJobs
from controller.model.steps import SeriesStart, Step, Tilt, step_name
from controller.procedures.context import Context, StopRequestedError
from controller.procedures.guarded_microscope import GuardedMicroscope, RestartedError
from controller.procedures.process import enter_job_ended
from controller.session.entries import FrameWritten, TiltReopened
from controller.session.session import Session

LEASE_WAIT_S = 10.0
"""Longest wait at the start for a lease that is held (s): that of a dead session expires."""


class Engine:
    """One run of a session, new or resumed.

    Parameters
    ----------
    session
        Open session; steps that its journal shows as done are not repeated.
    connect
        Connects to the microscope and takes its lease; called at the start, and again whenever
        connection or lease was lost. The engine closes the returned microscope.
    jobs
        Queue of the processing jobs.
    publish
        Publishes events; never blocks, never raises, may be called from several threads.
    write_report
        Writes the report of a session's folder and returns its path.

    Attributes
    ----------
    pause, go_on, stop, answer
        Commands of the operator, from any thread, besides `retake` and `complete`; see
        :class:`Control`.
    """

    def __init__(
        self,
        session: Session,
        connect: Callable[[], Microscope],
        jobs: ProcessingJobs,
        publish: Publish,
        write_report: Callable[[Path], Path],
    ) -> None:
        self._session = session
        self._connect = connect
        self._jobs = jobs
        self._publish = publish
        self._write_report = write_report
        self._plan = make_plan(session.protocol)
        self._microscope: GuardedMicroscope | None = None
        self._phase: Phase | None = None
        self._aborts: list[threading.Thread] = []
        self._complete_asked: set[SeriesName] = set()
        control = Control(publish, session.enter, session.protocol.flip, self._blank, self._abort)
        self._control = control
        self.pause, self.go_on = control.pause, control.go_on
        self.stop, self.answer = control.stop, control.answer

    def watch_disk(self) -> DiskAlarm:
        """Start the alarm for a disk that does not answer; the caller closes it after `run`."""
        session = self._session
        return DiskAlarm(
            session.folder.path, session.disk_calls, self._control, self._publish, self._blank
        )

    def run(self) -> ExitCode:
        """Carry out the remaining steps; return the exit code with the column safe."""
        folder = self._session.folder.path
        try:
            return run_to_end(self._carry_out_plan, self._control, self._publish, folder)
        finally:
            self._close_microscope()

    def _carry_out_plan(self) -> None:
        if self._control.state in ENDED:
            raise StopRequestedError
        context = self._prepare()
        self._control.apply(Trigger.START)
        self._publish_start(context)
        for step in steps_to_do(self._plan, self._session.ledger):
            self._enter_phase(step.phase)
            self._retake_tilts(context)  # requested in a pause before this step
            if isinstance(step, Tilt) and self._is_left_out(step, context):
                continue
            self._carry_out(step, context)
            self._retake_tilts(context)
            if self._phase is Phase.B:
                enter_job_ended(Job.A, context)
        self._enter_phase(None)
        raise_worst(context.failures)

    def _prepare(self) -> Context:
        microscope = self._microscope = self._connect_microscope()
        return Context(
            session=self._session,
            microscope=microscope,
            operator=self._control,
            jobs=self._jobs,
            publish=self._publish,
            write_report=self._write_report,
            left_s=self._plan.left_in_phase_s,
            tilts_left=self._tilts_left,
        )

    def _tilts_left(self, series: SeriesName) -> int:
        return tilts_left(self._plan, self._session.ledger, series)

    def _connect_microscope(self) -> GuardedMicroscope:
        """Connect to the microscope; wait for the lease of a dead session to expire.

        Raises
        ------
        BridgeError
            The microscope does not answer, or another session keeps the lease.
        """
        give_up_s = time.monotonic() + LEASE_WAIT_S
        while True:
            try:
                return GuardedMicroscope(
                    self._connect, self._session, self._publish, self._control.suspend
                )
            except LeaseError as error:
                if time.monotonic() > give_up_s:
                    raise BridgeError(f"the microscope is in use: {error}") from None
            except MicroscopeError as error:
                raise BridgeError(f"the microscope cannot be reached: {error}") from None
            if self._control.state in ENDED:
                raise StopRequestedError
            time.sleep(POLL_INTERVAL_S)

    def _publish_start(self, context: Context) -> None:
        protocol, session, column = context.protocol, self._session, context.microscope.description
        left = steps_to_do(self._plan, session.ledger)
        self._publish(
            SessionStarted(
                name=protocol.name,
                folder=str(session.folder.path),
                microscope=column.name,
                simulated=column.simulated,
                tilts_a_deg=protocol.series_a.tilts_deg,
                tilts_b_deg=protocol.series_b.tilts_deg,
                planned_s=self._plan.duration_s,
                planned_dose_e_per_A2=session.ledger.dose_e_per_A2
                + sum(step.dose_e_per_A2 for step in left),
                dose_budget_e_per_A2=self._plan.dose_budget_e_per_A2,
                resumed=session.resumed,
                version=version("dualtilt"),
            )
        )
        if session.resumed:
            self._publish_resumed_progress(context)

    def _publish_resumed_progress(self, context: Context) -> None:
        """Publish what the folder already holds: notes on the journal, and finished phases.

        The frames of a series that is not complete go to the live processing once more.
        """
        for line in self._session.recovery_report:
            context.alert(Level.WARNING, line, "resume")
        context.alert(Level.INFO, self._resumed_text(), "resume")
        planned = {step.phase for step in self._plan.steps}
        remaining = {step.phase for step in steps_to_do(self._plan, self._session.ledger)}
        for phase in Phase:
            if phase in planned - remaining:
                self._publish(PhaseFinished(phase=phase))
        ledger = self._session.ledger
        for series in ledger.frames:
            left = self._tilts_left(series)
            for frame in ledger.usable(series) if left else ():
                self._jobs.frame_recorded(frame.recorded, left)
        publish_early_ends(self._plan, context, ledger.left_out)

    def _resumed_text(self) -> str:
        """Say how many tilts are recorded and how many are left."""
        ledger = self._session.ledger
        tilts = (
            f"{name}: {len(ledger.usable(name))} tilts recorded, {self._tilts_left(name)} left"
            for name in ledger.frames
        )
        return f"session resumed; {'; '.join(tilts)}"

    def _enter_phase(self, phase: Phase | None) -> None:
        """Change from phase to phase; a stop at the end of a series takes effect here."""
        if phase is self._phase:
            self._control.between_steps(ends_series=False)
            return
        if self._phase is not None:
            self._publish(PhaseFinished(phase=self._phase))
            if phase is not None:
                self._control.between_steps(ends_series=True)
        if phase is not None:
            self._publish(PhaseStarted(phase=phase))
        self._phase = phase

    def _carry_out(self, step: Step, context: Context) -> None:
        """Carry out one step; wait until a fault is over where that is possible."""
        tried_again = False
        while True:
            try:
                carry_out(step, context)
                return
            except RestartedError as restarted:
                context.alert(Level.WARNING, f"{restarted}; retrying the step", step.id)
                self._restart_series(step, context)
            except MicroscopeError as error:
                self._control.checkpoint()  # a stop aborts the action, which appears as a fault
                if isinstance(error, PASSING) and not tried_again:
                    tried_again = True
                    context.alert(Level.WARNING, f"{error}; retrying", step.id)
                    continue
                reason = pause_reason(step.id, error)
                self._control.suspend(reason, recovery(error, context.microscope))
            except OSError as error:
                reason = (
                    f"{step_name(step.id)}: {self._session.folder.path}: {error.strerror or error}"
                )
                self._control.suspend(
                    f"{reason}; resumes automatically when there is room on the disk",
                    self._session.has_disk_space,
                    PauseCause.HANDS,
                )

    def _is_left_out(self, step: Tilt, context: Context) -> bool:
        return context.persist(
            lambda: is_left_out(step, self._plan, context, self._complete_asked),
            "the end of the series",
        )

    def complete(self) -> None:
        """Record all tilts of the current series, whatever `end_when` says; from any thread.

        Raises
        ------
        UsageError
            No series is being recorded, or its tilts are all recorded or left out.
        """
        if self._phase not in (Phase.A, Phase.B):
            raise UsageError("complete: no series is being recorded")
        series: SeriesName = "A" if self._phase is Phase.A else "B"
        if not self._tilts_left(series):
            raise UsageError(
                f"complete: series {series} has ended; before the flip: dualtilt stop, then "
                f"dualtilt resume {quoted(self._session.folder.path)} --complete {series}"
            )
        self._complete_asked.add(series)

    def retake(self, count: int) -> None:
        """Record the last tilts of the current series again; from any thread.

        Their frames stay in the stack, marked and left out of processing.

        Raises
        ------
        UsageError
            No series is being recorded, or it has fewer recorded tilts.
        """
        if self._phase not in (Phase.A, Phase.B):
            raise UsageError("retake: no series is being recorded")
        recorded = len(last_tilts(self._plan, self._session.ledger, self._phase))
        if not 1 <= count <= recorded:
            raise UsageError(
                f"retake: {count} tilts requested, {recorded} are recorded in this series"
            )
        self._control.retake(count)

    def _retake_tilts(self, context: Context) -> None:
        """Record the requested tilts again, in their order of recording."""
        count = self._control.take_retakes()
        if not count or self._phase is None:
            return
        tilts = last_tilts(self._plan, self._session.ledger, self._phase)[-count:]
        for tilt, frame in tilts:
            self._withdraw(tilt, frame, context)
        for tilt, _ in tilts:
            start_deg = backlash_start_deg(tilt.nominal_deg, context.protocol, tilt.series)
            self._control.between_steps(ends_series=False)
            self._carry_out(tilt.model_copy(update={"approach_deg": start_deg}), context)

    def _withdraw(self, tilt: Tilt, frame: FrameWritten, context: Context) -> None:
        """Withdraw the frame of a tilt that is recorded again, for every user of the frame."""
        self._session.enter(
            TiltReopened(step_id=tilt.id, series=tilt.series, section=frame.section)
        )
        text = f"{frame.name} ({tilt.nominal_deg:+g}°) is recorded again: its frame is left out"
        context.alert(Level.WARNING, text, tilt.id)
        self._publish(
            FrameWithdrawn(series=tilt.series, tilt_number=tilt.tilt_number, section=frame.section)
        )
        self._jobs.frame_withdrawn(tilt.series, frame.section)

    def _restart_series(self, step: Step, context: Context) -> None:
        """Set current, backlash and view again for a tilt after a restart of the microscope."""
        if isinstance(step, Tilt):
            starts = (s for s in self._plan.steps if isinstance(s, SeriesStart))
            self._carry_out(next(s for s in starts if s.series == step.series), context)

    def _blank(self) -> None:
        if self._microscope is not None:
            with contextlib.suppress(MicroscopeError):  # its lease makes it safe
                self._microscope.blank()

    def _abort(self) -> None:
        """Make the column safe on a separate thread: the caller may be a signal handler."""
        reason = "stopped by the operator"
        abort = threading.Thread(target=self._make_safe, args=(reason,), name="abort", daemon=True)
        try:
            abort.start()
        except RuntimeError:  # the system refuses another thread
            self._make_safe(reason)
        else:
            self._aborts.append(abort)

    def _make_safe(self, reason: str) -> None:
        if self._microscope is None:
            return
        problems = reach_safe_state(self._microscope.microscope, reason)
        for problem in problems:
            self._publish(Alerted(level=Level.ALARM, text=str(problem), where="make safe"))
        if not any(problem.call is SafetyCall.BLANK for problem in problems):
            self._publish(BeamChanged(blanked=True, current_pA=self._microscope.current_pA))

    def _close_microscope(self) -> None:
        for abort in self._aborts:
            abort.join()  # its connection must not be closed during a call
        self._make_safe("the session has ended")
        if self._microscope is not None:
            with contextlib.suppress(MicroscopeError):
                self._microscope.microscope.close()
