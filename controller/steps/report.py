"""The last step: report.html."""

from __future__ import annotations

from typing import Literal

from controller.errors import ProcessingFailedError
from controller.events import Phase, ReportWritten
from controller.steps.base import StepData
from controller.steps.context import Context


class Report(StepData):
    kind: Literal["report"] = "report"
    phase: Phase = Phase.REPORT


def carry_out(step: Report, context: Context) -> None:
    """Write the report of whatever there is."""
    folder = context.session.folder.path
    try:
        path = context.write_report(folder)
    except Exception as error:  # noqa: BLE001 -- a report that fails must not lose a session
        context.failures.append(ProcessingFailedError(f"the report was not written: {error}"))
        return
    context.publish(ReportWritten(path=str(path.relative_to(folder))))
