"""HTML elements of the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

MISSING = "–"
"""Text for an unknown value."""
NO_BREAK = "\u00a0"
"""No-break space."""


def section(title: str, *parts: str, lead: str = "") -> str:
    """Return a section with a title; empty if all its parts are empty."""
    body = "".join(parts)
    if not body:
        return ""
    leading = f'<p class="lead">{lead}</p>' if lead else ""
    return f"<section><h2>{escape(title)}</h2>{leading}{body}</section>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """Return a table whose cells are HTML; empty if there are no rows."""
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
    """Return a figure with its caption."""
    return f'<figure class="{kind}">{body}<figcaption>{caption}</figcaption></figure>'


def details(summary: str, body: str) -> str:
    """Return a part that is folded on the screen and open on paper."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>" if body else ""


def number(value: object, form: str = ",.0f", unit: str = "") -> str:
    """Return a number with its unit; a dash if the value is unknown."""
    if not isinstance(value, int | float) or value != value:
        return MISSING
    text = f"{value:{form}}".replace("-", "−").replace(",", NO_BREAK)
    return f"{text}{NO_BREAK}{unit}" if unit else text


def at_least_zero(value: object, form: str, unit: str = "") -> str:
    """Return a number that is never negative; one too small for its digits as "under 0.001"."""
    if isinstance(value, int | float) and value >= 0 and not float(f"{value:{form}}"):
        digits = int(form.strip("+,f").removeprefix("."))
        return f"under {number(10.0**-digits, form, unit)}"
    return number(value, form, unit)


def text(value: object) -> str:
    """Return a value as escaped text."""
    return escape(str(value))
