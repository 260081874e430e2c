"""Slices and particles of A, B and both series (the paper's Fig. 4 and 5)."""

from __future__ import annotations

from pathlib import Path

from controller.report.figures import FORMATS, figure_files
from controller.report.report_data import read_report_data

PANELS = ("slices", "particles")


def write_assembly_panels(folder: Path) -> None:
    """Write the panels of the results in a folder, as PNG and SVG, if there are any."""
    files = figure_files(read_report_data(folder))
    for name in (f"{panel}.{form}" for panel in PANELS for form in FORMATS):
        if name in files:
            (folder / name).write_bytes(files[name])
