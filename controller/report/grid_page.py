"""Table of all targets of a grid: report.html, targets.csv and text."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from importlib.resources import files

from controller.report.html import MISSING, section, table, text
from controller.service.queue_status import QueueStatus, TargetRow

HEADINGS = ("target", "state", "A", "B", "fused (95 % interval)", "verdict", "e/Å²", "reason")


def as_csv(rows: Sequence[TargetRow]) -> str:
    """Return the table as CSV, one line for each target."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(TargetRow.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.model_dump() for row in rows)
    return out.getvalue()


def as_text(rows: Sequence[TargetRow]) -> str:
    """Return the table for a terminal, with the reason below a target that has one."""
    cells = [_cells(row)[:-1] for row in rows]
    widths = [max(map(len, column)) for column in zip(HEADINGS[:-1], *cells, strict=True)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(HEADINGS[:-1], widths, strict=True)).rstrip()]
    for row, each in zip(rows, cells, strict=True):
        lines.append("  ".join(c.ljust(w) for c, w in zip(each, widths, strict=True)).rstrip())
        if row.reason:
            lines.append(f"  {row.reason}")
    return "\n".join(lines)


def as_page(status: QueueStatus) -> str:
    """Return the page that compares the targets, with a link to the report of each."""
    style = files("controller.report").joinpath("style.css").read_text(encoding="utf-8")
    rows, name = status.targets, status.name
    findings = {"Flip": status.flip, "Heights": status.seat_tilt, "Results": status.rotation}
    lead = " ".join(f"{name}: {text(found)}." for name, found in findings.items() if found)
    body = section(
        "Targets",
        table(HEADINGS, ([_linked(row), *map(_shown, _cells(row)[1:])] for row in rows)),
        lead=lead or "The grid was not flipped yet.",
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{text(name)} – dualtilt</title><style>{style}</style></head><body><main>"
        f"<h1>{text(name)}</h1>{body}</main></body></html>\n"
    )


def _cells(row: TargetRow) -> tuple[str, ...]:
    return (
        row.name,
        row.state,
        *("" if count is None else str(count) for count in (row.count_a, row.count_b)),
        row.fused,
        row.verdict,
        f"{row.dose_e_per_A2:.0f}",
        row.reason,
    )


def _linked(row: TargetRow) -> str:
    if not row.has_report:
        return text(row.name)
    return f'<a href="{text(row.folder)}/report.html">{text(row.name)}</a>'


def _shown(cell: str) -> str:
    return text(cell) if cell else MISSING
