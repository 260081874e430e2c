"""Figures of the places of simulated particles, with their truth, stored for fits of the rule."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from processing import ProcessSettings, process_series
from processing.count.wrong_places import ExitRule, Places, wrong_place_chance
from processing.fit.spheres import SphereFit
from processing.pipeline.fitness import measure_places
from processing.series import Float64, TiltSeries
from simulator.series import DualSeries
from tests.calibration.cases import Case
from tests.calibration.measure import real_particles
from tests.support.recorded import as_read

FOLDER = Path("calibration-places")
"""Folder of the stored series, in the working folder."""


@dataclass(frozen=True, eq=False)
class Judged:
    """Particles that one series shows, with their truth.

    Attributes
    ----------
    specimen
        Size, packing and seed: the same particles at all tilt steps, in series A and B.
    name
        Specimen, tilt step and series.
    prior
        Confidence [n] without the chance of a wrong place.
    places
        Figures of the places.
    real
        True for each particle that has a true one within a quarter of a diameter, [n].
    """

    specimen: str
    name: str
    prior: Float64
    places: Places
    real: NDArray[np.bool_]

    def confidence(self, rule: ExitRule) -> Float64:
        """Return the confidences [n] by a rule."""
        return np.asarray(self.prior * (1 - wrong_place_chance(self.places, rule)), np.float64)

    def without_lattice(self) -> Judged:
        """Return the same particles as if they were no crystal."""
        unknown = np.full(len(self.prior), np.nan)
        return replace(self, places=replace(self.places, off_site=unknown))


def judged_series(case: Case, series: str) -> Judged:
    """Return the stored particles of series A or B of a case; measure them if there are none."""
    specimen = f"{case.packing.value} {case.size_nm:g} nm, seed {case.seed}"
    name = f"{specimen}, {case.step_deg:g} degrees, {series}"
    file = FOLDER / (name.replace(",", "").replace(" ", "-") + ".npz")
    if not file.exists():
        FOLDER.mkdir(exist_ok=True)
        places, prior, real = _measured(case.record(), case.pixel_nm, series)
        np.savez_compressed(file, prior=prior, real=real, **vars(places))
    with np.load(file) as stored:
        arrays = {key: stored[key] for key in stored.files}
    real, prior, step = arrays.pop("real"), arrays.pop("prior"), float(arrays.pop("step"))
    return Judged(specimen, name, prior, Places(**arrays, step=step), real)


def _measured(
    data: DualSeries, pixel_nm: float, series: str
) -> tuple[Places, Float64, NDArray[np.bool_]]:
    """Process one series; return figures, confidence without them, and truth of its particles."""
    fits: list[tuple[Float64, Places]] = []

    def keep_places(fit: SphereFit, images: list[TiltSeries], *sizes_nm: Float64) -> Float64:
        fits.append((fit.centres_nm, measure_places(fit, images, *sizes_nm)))
        return np.zeros(len(fit.amplitudes))

    raw = data.a if series == "A" else data.b
    truth_nm = data.truth.centres_nm
    if series == "B":
        truth_nm = truth_nm @ data.matrix / data.scale
    with patch("processing.pipeline.detect.wrong_places", keep_places):
        found = process_series(as_read(raw, pixel_nm, series), ProcessSettings())
    table = found.detection.table
    centres_nm, places = fits[-1]
    own = cKDTree(centres_nm).query(table.centres_nm)[1]
    diameter_nm = float(data.truth.diameters_nm.mean())
    return (
        places.select(own),
        table.confidence,
        real_particles(truth_nm, table.centres_nm, diameter_nm),
    )
