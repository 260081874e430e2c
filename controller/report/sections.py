"""The report's parts in the order in which a reader asks; each is empty where it has nothing."""

from __future__ import annotations

from collections.abc import Callable

from controller.report import findings, session
from controller.report.facts import Facts
from controller.report.html import section
from controller.report.panels import slices
from controller.report.plots import against_tilt, counts_as_they_came


def page_sections(facts: Facts) -> str:
    """Every part that has something to tell."""
    parts: tuple[Callable[[Facts], str], ...] = (
        findings.summary_counts,
        findings.accuracy,
        _slices,
        session.recording,
        _curves,
        findings.flip,
        findings.alignment,
        session.remarks,
        session.settings,
        session.files,
    )
    return "".join(part(facts) for part in parts)


def _slices(facts: Facts) -> str:
    return section("The reconstructions", slices(facts))


def _curves(facts: Facts) -> str:
    return section("Against the tilt", against_tilt(facts), counts_as_they_came(facts))
