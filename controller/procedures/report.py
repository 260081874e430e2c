"""Last step: write report.html."""

from __future__ import annotations

from controller.common.errors import ProcessingFailedError
from controller.model.events import ReportWritten
from controller.model.steps import Report
from controller.procedures.context import ResultsContext


def carry_out(step: Report, context: ResultsContext) -> None:
    """Write the report of all results there are; a failure is reported at the session's end."""
    folder = context.session.folder.path
    try:
        path = context.write_report(folder)
    except Exception as error:  # noqa: BLE001 -- a report that fails must not lose a session
        context.failures.append(ProcessingFailedError(f"the report was not written: {error}"))
        return
    context.publish(ReportWritten(path=str(path.relative_to(folder))))
