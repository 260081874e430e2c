"""report.html: one session on one page, without other files."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from controller.common.atomic import replace_text
from controller.common.errors import UsageError
from controller.report.html import text
from controller.report.report_data import read_report_data
from controller.report.sections import page_sections
from controller.report.title import title_block

REPORT = "report.html"


def write_report(folder: Path) -> Path:
    """Write the report of a session, or of an offline run of processing, into its folder.

    Data that the folder does not hold (no series B, no volumes, a failed job) are left out.

    Raises
    ------
    UsageError
        The folder holds no data, or the report cannot be written.
    """
    data = read_report_data(folder)
    style = files("controller.report").joinpath("style.css").read_text(encoding="utf-8")
    name = data.status.name or folder.resolve().name
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(name)} – dualtilt</title><style>{style}</style></head><body><main>"
        f"{title_block(data)}{page_sections(data)}"
        f"<footer>Written by dualtilt. To write it again: <code>dualtilt report "
        f"{text(folder.resolve())}</code></footer></main></body></html>\n"
    )
    path = folder / REPORT
    try:
        replace_text(path, page)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
    return path
