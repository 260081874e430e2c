"""report.html: one session on one page, without other files."""

from __future__ import annotations

from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from controller.common.atomic import replace_text
from controller.common.errors import UsageError
from controller.report.html import text
from controller.report.report_data import Json, read_report_data
from controller.report.sections import page_sections
from controller.report.title import title_block
from controller.report.views.page_parts import views

REPORT = "report.html"
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
    "base-uri 'none'; form-action 'none'"
)
"""Content security policy of the page: it loads nothing and runs only its own scripts."""


def write_report(folder: Path) -> Path:
    """Write the report of a session, or of an offline run of processing, into its folder.

    Data that the folder does not hold (no series B, no volumes, a failed job) are left out.

    Raises
    ------
    UsageError
        The folder holds no data, or the report cannot be written.
    """
    data = read_report_data(folder)
    shown = views(data)
    style = _style("controller.report", "style.css") + _style(
        "controller.report.views", "views.css"
    )
    name = data.status.name or folder.resolve().name
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}; {shown.policy}">'
        f"<title>{text(name)} – dualtilt</title><style>{style}</style></head><body><main>"
        f"{title_block(data)}{page_sections(data, shown.figure)}"
        f"<footer>{_made_by(data.summary)} To write it again: <code>dualtilt report "
        f"{text(folder.resolve())}</code></footer></main>{shown.scripts}</body></html>\n"
    )
    path = folder / REPORT
    try:
        replace_text(path, page)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
    return path


def _made_by(summary: Json) -> str:
    """Say which versions of dualtilt made the report and the results."""
    made = summary.get("version")
    of = f" Results by dualtilt {text(made)}." if made else ""
    return f"Written by dualtilt {text(version('dualtilt'))}.{of}"


def _style(package: str, file: str) -> str:
    return files(package).joinpath(file).read_text(encoding="utf-8")
