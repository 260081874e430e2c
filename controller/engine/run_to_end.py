"""End of a run: every way to end becomes a state with its reason, and an exit code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from controller.common.errors import (
    NO_MEMORY,
    DualtiltError,
    SafetyStopError,
    library_failure_as_system_error,
    no_memory_text,
)
from controller.common.exit_codes import ExitCode
from controller.engine.control import Control
from controller.engine.states import Trigger
from controller.model.events import Alerted, Level, Publish
from controller.procedures.context import ContinuesLaterError, StopRequestedError


def run_to_end(
    work: Callable[[], None], control: Control, publish: Publish, folder: Path
) -> ExitCode:
    """Do the work of a run; return the exit code, with the end in the state of `control`."""

    def fail(reason: str, code: ExitCode) -> ExitCode:
        publish(Alerted(level=Level.ALARM, text=reason))
        control.apply(Trigger.FAIL, reason)
        return code

    try:
        with library_failure_as_system_error():
            work()
    except ContinuesLaterError as later:
        control.apply(Trigger.STOP, str(later))
        control.apply(Trigger.HALT, str(later))
        return ExitCode.OK
    except StopRequestedError as stop:
        control.apply(Trigger.STOP, str(stop))
        control.apply(Trigger.HALT, "by the operator; can be resumed")
        return ExitCode.INTERRUPTED
    except DualtiltError as error:
        return fail(str(error), error.exit_code)
    except NO_MEMORY as error:
        return fail(no_memory_text(error, folder), ExitCode.SAFETY)
    except Exception as error:
        fail(f"internal error: {type(error).__name__}: {error}", ExitCode.INTERNAL_ERROR)
        raise
    control.apply(Trigger.FINISH)
    return ExitCode.OK


def raise_worst(failures: Sequence[DualtiltError]) -> None:
    """Raise the worst of the failures that did not end the run, if there are any."""
    if failures:
        raise sorted(failures, key=lambda error: not isinstance(error, SafetyStopError))[0]
