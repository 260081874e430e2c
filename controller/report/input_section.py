"""Section on the files that were processed: what was read, and where it stood."""

from __future__ import annotations

from controller.report.html import number, section, table, text
from controller.report.report_data import Json, ReportData


def inputs(data: ReportData) -> str:
    """Return what was read of each series; empty if the images did not come from files."""
    read = {
        name: series["inputs"]
        for name, series in (data.summary.get("series") or {}).items()
        if series.get("inputs")
    }
    rows = [_row(name, one) for name, one in read.items()]
    head = ("", "file", "images", "pixel", "tilt angles", "tilt axis as recorded")
    remarks = [
        f"<p class='note'>Series {text(name)}: {text(line)}.</p>"
        for name, one in read.items()
        for line in [*one.get("notes", []), *one.get("doubts", [])]
    ]
    return section("Input", table(head, rows, "words") if rows else "", *remarks)


def _row(name: str, read: Json) -> list[str]:
    angles = read.get("angles_deg") or []
    span = f"{min(angles):+.1f} to {max(angles):+.1f}°, " if angles else ""
    assumed = "unknown, taken as " if read.get("pixel_assumed") else ""
    axis = number(read.get("tilt_axis_deg"), "+.1f", "°")
    return [
        text(name),
        f'<span class="path">{text(read["file"])}</span>',
        f"{read['images']} of {read['columns']} x {read['rows']}, {text(read['format'])}",
        f"{assumed}{number(read.get('pixel_nm'), '.4g', 'nm')}, {text(read['pixel_source'])}",
        f"{span}{text(read['angle_order'])}, {text(read['angles_source'])}",
        f"{axis}, {text(read['tilt_axis_source'])}",
    ]
