"""Content of the page, made from the status with the words of the screen."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape

from pydantic import Field
from rich.console import Console
from rich.text import Text

from controller.model.base import Data
from controller.model.events import OperatorState
from controller.service import event_text, status_text
from controller.service.session_status import SessionStatus
from controller.service.shower_clocks import advance_shower_clocks
from controller.ui import view_order
from controller.ui.log_lines import log_line
from controller.ui.picture_tools import scale_bar_nm
from controller.ui.status_charts import charts_of
from controller.ui.tui.phase_line import phases_text
from controller.ui.tui.phase_panels import panel_lines
from controller.ui.web.chart_svg import chart_svg
from controller.ui.web.session_reader import SessionReader

TONES = {
    OperatorState.GOOD: "good",
    OperatorState.YOUR_TURN: "warn",
    OperatorState.WAIT: "warn",
    OperatorState.STOP_AT_END: "warn",
    OperatorState.STOP_NOW: "bad",
}
ALERTS_SHOWN = 8
LOG_LINES = 300
_CONSOLE = Console(width=500, color_system="truecolor", force_terminal=True)


class PictureLink(Data):
    """A picture of the page."""

    view: str
    label: str
    """Text of the button that shows it."""
    caption: str
    seq: int
    """Number that changes with the pixels."""
    width_nm: float | None = None
    """Width of the picture; None if it is unknown."""
    bar_nm: float | None = None
    """Length of its scale bar."""


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
    news: str
    alerts: str
    log: str
    report: str
    views: tuple[PictureLink, ...] = Field(default=())
    first_view: str | None = None
    """View that this phase shows first."""


def page_content(reader: SessionReader) -> PageContent:
    """Return the content for the newest status and records of a session."""
    lost = reader.lost
    status = reader.status.unanswered() if lost else reader.status
    records = reader.records(LOG_LINES)
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
        news=_news(status),
        alerts=_alerts(status),
        log=_lines(log_line(record) for record in records if event_text.is_headline(record)),
        report='<a href="report">report of this session</a>' if reader.has_report else "",
        views=tuple(link for name in names for link in _links(reader, name)),
        first_view=view_order.first_view(status.phase, names),
    )


def _links(reader: SessionReader, view: str) -> Iterable[PictureLink]:
    """Return the link of a picture; after a frame also that of its power spectrum."""
    preview, width_nm = reader.status.previews[view], reader.width_nm(view)
    yield PictureLink(
        view=view,
        label=view_order.LABELS.get(view, view),
        caption=preview.caption or view,
        seq=preview.seq,
        width_nm=width_nm,
        bar_nm=None if width_nm is None else scale_bar_nm(width_nm),
    )
    if view == "frame":
        caption = f"{preview.caption} power spectrum"
        label = view_order.LABELS[view_order.SPECTRUM]
        yield PictureLink(view=view_order.SPECTRUM, label=label, caption=caption, seq=preview.seq)


def _doing(status: SessionStatus) -> str:
    """Return the state, and the reason of the advice if it says more."""
    told = status_text.state_and_reason(status.state, status.reason)
    if status.prompt is not None:
        told = f"{status_text.state_word(status.state)}: {status.prompt.title}"
    more = status.operator_reason
    return f"{told}. {more}" if more and more not in told else told


def _news(status: SessionStatus) -> str:
    if status.news is None:
        return ""
    return f"{event_text.time_of_day(status.news.at)} {escape(status.news.alert.text)}"


def _alerts(status: SessionStatus) -> str:
    shown = "".join(
        f'<li class="{known.alert.level.value}">{escape(event_text.time_of_day(known.at))} '
        f"{escape(event_text.alert_line(known.alert))}</li>"
        for known in reversed(status.alerts[-ALERTS_SHOWN:])
    )
    earlier = len(status.alerts) > ALERTS_SHOWN
    return shown + ("<li>earlier ones: in the report</li>" if earlier else "")


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
