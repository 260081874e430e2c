"""Sections of the report, in the order of a reader's questions; a section without data is empty."""

from __future__ import annotations

from collections.abc import Callable

from controller.report import input_section, result_sections, session_sections
from controller.report.html import section
from controller.report.plots import curves_by_tilt, live_counts
from controller.report.report_data import ReportData
from controller.report.resolution_section import resolution
from controller.report.size_section import sizes
from controller.report.slices import slices
from controller.report.structure_section import structure


def page_sections(data: ReportData, views: str) -> str:
    """Return all sections that have data; `views` is the figure in three dimensions."""
    sections: tuple[Callable[[ReportData], str], ...] = (
        result_sections.particle_counts,
        result_sections.accuracy,
        lambda _: section("In three dimensions", views),
        sizes,
        structure,
        _slices,
        resolution,
        session_sections.recording,
        _curves,
        result_sections.flip,
        input_section.inputs,
        result_sections.alignment,
        session_sections.warnings_and_answers,
        session_sections.settings,
        session_sections.files,
    )
    return "".join(make(data) for make in sections)


def _slices(data: ReportData) -> str:
    return section("Reconstructions", slices(data))


def _curves(data: ReportData) -> str:
    return section("Per-tilt plots", curves_by_tilt(data), live_counts(data))
