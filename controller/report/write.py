"""report.html: one session on one page that needs nothing else."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from controller.common.atomic import replace_text
from controller.common.errors import UsageError
from controller.report.facts import gather
from controller.report.heading import heading
from controller.report.html import text
from controller.report.sections import page_sections

REPORT = "report.html"


def write_report(folder: Path) -> Path:
    """Write the report of a session, or of an offline run of processing, into its folder.

    Whatever the folder does not hold (no series B, no volumes, a failed job) is left out.

    Raises
    ------
    UsageError
        There is nothing to report on, or the report cannot be written.
    """
    facts = gather(folder)
    style = files("controller.report").joinpath("style.css").read_text(encoding="utf-8")
    name = facts.status.name or folder.resolve().name
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(name)} – dualtilt</title><style>{style}</style></head><body><main>"
        f"{heading(facts)}{page_sections(facts)}"
        f"<footer>Written by dualtilt. To write it again: <code>dualtilt report "
        f"{text(folder)}</code></footer></main></body></html>\n"
    )
    path = folder / REPORT
    try:
        replace_text(path, page)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
    return path
