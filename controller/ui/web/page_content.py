"""Content of the page, made from the status with the words of the screen."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape

from pydantic import Field
from rich.console import Console
from rich.text import Text

from controller.model.base import Data
from controller.model.events import OperatorState, Record
from controller.service import event_text, status_text
from controller.service.session_status import SessionStatus
from controller.service.shower_clocks import advance_shower_clocks
from controller.ui.charts import charts_of
from controller.ui.tui import view_order
from controller.ui.tui.log_screen import log_line
from controller.ui.tui.phase_line import phases_text
from controller.ui.tui.phase_panels import panel_lines
from controller.ui.web.chart_svg import chart_svg

TONES = {
    OperatorState.GOOD: "good",
    OperatorState.YOUR_TURN: "warn",
    OperatorState.STOP_AT_END: "warn",
    OperatorState.STOP_NOW: "bad",
}
ALERTS_SHOWN = 8
_CONSOLE = Console(width=500, color_system="truecolor", force_terminal=True)


class PictureLink(Data):
    """A picture of the page."""

    view: str
    caption: str
    seq: int
    """Number that changes with the pixels."""


class PageContent(Data):
    """Parts of the page; all but `name`, `tone`, `views` and `first_view` are HTML."""

    name: str
    simulated: str
    tone: str
    """Colour of the advice to the operator: good, warn or bad."""
    advice: str
    doing: str
    phases: str
    numbers: str
    plots: str
    alerts: str
    log: str
    report: str
    views: tuple[PictureLink, ...] = Field(default=())
    first_view: str | None = None
    """View that this phase shows first."""


def page_content(
    status: SessionStatus, records: Iterable[Record], lost: str, *, has_report: bool
) -> PageContent:
    """Return the content for a status and its newest records.

    Parameters
    ----------
    lost
        Reason why the session's data no longer change; empty if they do.
    """
    now = advance_shower_clocks(status, datetime.now(UTC))
    names = view_order.in_order(status.previews)
    return PageContent(
        name=status.name,
        simulated="simulated" if status.simulated else "",
        tone="bad" if lost else TONES[status.operator_state],
        advice=escape("LOST" if lost else status_text.operator_advice(status)),
        doing=escape(lost or _doing(status)),
        phases=_html(phases_text(status)),
        numbers=_lines(panel_lines(now)),
        plots="".join(chart_svg(chart) for chart in charts_of(status)),
        alerts=_alerts(status),
        log=_lines(log_line(record) for record in records if event_text.is_headline(record)),
        report='<a href="report">report of this session</a>' if has_report else "",
        views=tuple(
            PictureLink(
                view=name,
                caption=status.previews[name].caption or name,
                seq=status.previews[name].seq,
            )
            for name in names
        ),
        first_view=view_order.first_view(status.phase, names),
    )


def _doing(status: SessionStatus) -> str:
    """Return the state, and the reason of the advice if it says more."""
    told = status_text.state_and_reason(status.state, status.reason)
    if status.prompt is not None:
        told = f"{status.state.value}: {status.prompt.title}"
    more = status.operator_reason
    return f"{told}. {more}" if more and more not in told else told


def _alerts(status: SessionStatus) -> str:
    return "".join(
        f'<li class="{known.alert.level.value}">{escape(event_text.time_of_day(known.at))} '
        f"{escape(known.alert.text)}</li>"
        for known in reversed(status.alerts[-ALERTS_SHOWN:])
    )


def _lines(lines: Iterable[Text]) -> str:
    return "\n".join(_html(line) for line in lines)


def _html(line: Text) -> str:
    """Return a line of the screen as HTML, in the screen's colours."""
    parts = []
    for segment in line.render(_CONSOLE):
        style = segment.style.get_html_style() if segment.style else ""
        body = escape(segment.text)
        parts.append(f'<span style="{style}">{body}</span>' if style else body)
    return "".join(parts)
