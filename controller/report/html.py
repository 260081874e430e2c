"""The few pieces of HTML that the report is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

MISSING = "–"
NO_BREAK = "\u00a0"
"""A space that no line ends at."""


def section(title: str, *parts: str, lead: str = "") -> str:
    """A titled part of the page; nothing where all its parts are empty."""
    body = "".join(parts)
    if not body:
        return ""
    leading = f'<p class="lead">{lead}</p>' if lead else ""
    return f"<section><h2>{escape(title)}</h2>{leading}{body}</section>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table of cells that are HTML already; nothing where there are no rows."""
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    if not body:
        return ""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    thead = f"<thead><tr>{top}</tr></thead>" if any(head) else ""
    return f'<div class="wide"><table class="{kind}">{thead}<tbody>{body}</tbody></table></div>'


def _cells(row: Sequence[str]) -> str:
    first, *rest = row
    return f'<th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest)


def figure(body: str, caption: str, kind: str = "") -> str:
    """A figure with its caption."""
    return f'<figure class="{kind}">{body}<figcaption>{caption}</figcaption></figure>'


def details(summary: str, body: str) -> str:
    """Folded on the screen, open on paper."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>" if body else ""


def number(value: object, form: str = ",.0f", unit: str = "") -> str:
    """A number as the page writes it; a dash for what is not known."""
    if not isinstance(value, int | float) or value != value:
        return MISSING
    text = f"{value:{form}}".replace("-", "−").replace(",", NO_BREAK)
    return f"{text}{NO_BREAK}{unit}" if unit else text


def text(value: object) -> str:
    """Anything as safe text."""
    return escape(str(value))
