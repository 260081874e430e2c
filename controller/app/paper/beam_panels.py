"""Slices with the usual and with a narrow beam, one above the other (the paper's Fig. 6 and 8)."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from controller.app.paper.experiments import MainExperiments
from controller.common.errors import UsageError
from controller.report.figures import draw_slices
from controller.report.report_data import read_report_data
from controller.report.slices import open_scene

SIZE_IN = (10.2, 7.6)
FORMATS = ("png", "svg")
DPI = 200
USUAL_TITLE, NARROW_TITLE = "convergence 8 mrad", "convergence 1.5 mrad"


class BeamPanels:
    """Figure with a row of slices from the results of the usual and of the narrow beam."""

    def __init__(self, main: MainExperiments) -> None:
        self._page = Figure(figsize=SIZE_IN, layout="constrained")
        self._titles = {main.usual: USUAL_TITLE, main.narrow: NARROW_TITLE}
        rows = self._page.subfigures(len(self._titles), 1, squeeze=False)
        self._rows = dict(zip(self._titles, rows[:, 0], strict=True))
        self._missing = set(self._titles)
        self._written = False

    def add(self, experiment: str, folder: Path) -> None:
        """Draw the slices of an experiment, if it has a row and its folder has volumes."""
        if experiment not in self._rows:
            return
        row = self._rows[experiment]
        try:
            data = read_report_data(folder)
        except UsageError:  # nothing could be counted
            return
        with open_scene(data) as scene:
            if scene is None:
                return
            draw_slices(row, scene)
        row.suptitle(self._titles[experiment], fontsize=10, fontweight="bold")
        self._missing.discard(experiment)

    def write(self, folder: Path) -> None:
        """Write `beams.png` and `beams.svg` once, as soon as every row is drawn."""
        if self._missing or self._written:
            return
        self._written = True
        for form in FORMATS:
            self._page.savefig(folder / f"beams.{form}", dpi=DPI)
