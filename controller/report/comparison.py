"""comparison.html: results of the same object side by side."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from controller.report.html import table, text

TITLE = "Comparison – dualtilt"


def comparison_page(
    head: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]
) -> str:
    """Return the page, without other files: a table of the results, then the notes."""
    style = files("controller.report").joinpath("style.css").read_text(encoding="utf-8")
    body = table([text(cell) for cell in head], [[text(cell) for cell in row] for row in rows])
    lines = "".join(f"<p>{text(note)}</p>" for note in notes)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{TITLE}</title><style>{style}</style></head><body><main>"
        f"<header><h1>Results side by side</h1></header><section>{body}{lines}</section>"
        "</main></body></html>\n"
    )
