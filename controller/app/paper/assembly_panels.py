"""Isosurfaces, slices and particles of A, B and both series (the paper's Fig. 4 and 5)."""

from __future__ import annotations

from pathlib import Path

from controller.report.figures import panel_files
from controller.report.report_data import read_report_data

PANELS = ("isosurfaces", "slices", "particles")


def write_assembly_panels(folder: Path) -> None:
    """Write the panels of the results in a folder, as PNG and SVG, if there are any."""
    for name, content in panel_files(read_report_data(folder), PANELS).items():
        (folder / name).write_bytes(content)
