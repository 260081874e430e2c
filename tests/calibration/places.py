"""Figures of the places of simulated particles, with their truth, stored for fits of the rule.

What the fit to the images finds is stored, since it takes minutes. What is calculated from it, as
the scatter of distances, is not: a later rule may do it in another way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from processing import ProcessSettings, combine_series, process_series
from processing.count.interval import widen_by_wrong_places
from processing.count.wrong_places import ExitRule, Places, wrong_place_chance
from processing.fit.spheres import SphereFit
from processing.pipeline.detect import Detection
from processing.pipeline.fitness import PARTICLE, Fitness
from processing.pipeline.judged_places import FittedSpheres, fitted_spheres, places_of
from processing.pipeline.verdict import beyond_places
from processing.results import Count, Verdict
from processing.series import Float64, TiltSeries
from tests.calibration.cases import Case
from tests.calibration.measure import real_particles
from tests.support.recorded import as_read

FOLDER = Path("calibration-places")
"""Folder of the stored series, in the working folder."""
BOTH = "A and B"


@dataclass(frozen=True, eq=False)
class Judged:
    """Particles that one series shows, or both, with their truth.

    Attributes
    ----------
    specimen
        Size, packing and seed: the same particles at all tilt steps, in series A and B.
    name
        Specimen, tilt step and series.
    prior
        Confidence [n] without the chance of a wrong place, and without `doubts`.
    doubts
        Share of wrong particles by all figures of the verdict but the places.
    places
        Figures of the places.
    found
        Figures of the places of all particles of the fit, counted or not.
    real
        True for each particle that has a true one within a quarter of a diameter, [n].
    truth
        True number of particles.
    count
        Count without the chances of wrong places.
    """

    specimen: str
    name: str
    prior: Float64
    doubts: float
    places: Places
    found: Places
    real: NDArray[np.bool_]
    truth: int
    count: Count

    def confidence(self, rule: ExitRule) -> Float64:
        """Return the confidences [n] by a rule."""
        chances = wrong_place_chance(self.places, rule)
        # the verdict counts a particle as wrong once: those in wrong places are among its figures
        misplaced = wrong_place_chance(self.found, rule).mean() if self.doubts else 0.0
        beyond = max(0.0, self.doubts - float(misplaced))
        return np.asarray(self.prior * (1 - chances) * (1 - beyond), np.float64)

    def counted(self, rule: ExitRule) -> Count:
        """Return the count with the interval by a rule."""
        return widen_by_wrong_places(self.count, wrong_place_chance(self.places, rule))

    @property
    def in_crystal(self) -> bool:
        """True if the sites of a single crystal are known."""
        return self.places.in_crystal

    @property
    def in_grains(self) -> bool:
        """True if the sites of several grains are known."""
        return self.places.in_grains


def judged_case(case: Case, wanted: Sequence[str]) -> list[Judged]:
    """Return the stored particles of series A, B, or both of a case; measure what is missing."""
    names = {series: case.series_name(series) for series in wanted}
    missing = [series for series, name in names.items() if not _file(name).exists()]
    for series, arrays in _measured(case, missing).items():
        FOLDER.mkdir(exist_ok=True)
        np.savez_compressed(_file(names[series]), allow_pickle=False, **arrays)
    return [_stored(case.specimen, name) for name in names.values()]


def _file(name: str) -> Path:
    return FOLDER / (name.replace(",", "").replace(" ", "-") + ".npz")


def _stored(specimen: str, name: str) -> Judged:
    with np.load(_file(name)) as stored:
        figures = {key: stored[key] for key in stored.files}
    own, prior, doubts, real = (figures.pop(key) for key in ("own", "prior", "doubts", "real"))
    truth, n, n_low, n_high = (int(number) for number in figures.pop("numbers"))
    spheres = FittedSpheres(**{**figures, "step": float(figures["step"])})
    count = Count(n=n, n_low=n_low, n_high=n_high)
    places = places_of(spheres)
    found = places.select(np.flatnonzero(spheres.amplitudes > PARTICLE))
    own_places = places.select(own)
    return Judged(specimen, name, prior, float(doubts), own_places, found, real, truth, count)


def _measured(case: Case, wanted: Sequence[str]) -> dict[str, dict[str, NDArray[np.generic]]]:
    """Process a case; return the figures, the count without them, and the truth of its series."""
    if not wanted:
        return {}
    data = case.record()
    diameter_nm = float(data.truth.diameters_nm.mean())
    raw = {"A": data.a, "B": data.b}
    truth_nm = {
        "A": data.truth.centres_nm,
        "B": data.truth.centres_nm @ data.matrix / data.scale,
        BOTH: data.truth.centres_nm,
    }
    fits: list[FittedSpheres] = []
    doubts: list[float] = []

    def keep_spheres(
        fit: SphereFit,
        images: Sequence[TiltSeries],
        diameter_nm: float,
        sizes_nm: Float64 | None = None,
        places_nm: Float64 | None = None,
    ) -> Float64:
        spheres = fitted_spheres(fit, images, diameter_nm, sizes_nm)
        fits.append(replace(spheres, centres_nm=places_nm))
        return np.zeros(len(fit.amplitudes))

    def keep_doubts(fitness: Fitness, verdict: Verdict) -> float:
        doubts.append(beyond_places(fitness, verdict))
        return 0.0

    def figures(series: str, detection: Detection) -> dict[str, NDArray[np.generic]]:
        table, count = detection.table, detection.count
        return {
            **vars(fits[-1]),
            "own": cKDTree(fits[-1].centres_nm).query(table.centres_nm)[1],
            "prior": table.confidence,
            "doubts": np.array(doubts[-1]),
            "real": real_particles(truth_nm[series], table.centres_nm, diameter_nm),
            "numbers": np.array([len(truth_nm[series]), count.n, count.n_low, count.n_high]),
        }

    found = {}
    with (
        patch("processing.pipeline.detect.wrong_places", keep_spheres),
        patch("processing.pipeline.detect.beyond_places", keep_doubts),
    ):
        single = {}
        for series in raw if BOTH in wanted else wanted:
            one = as_read(raw[series], case.pixel_nm, series)
            single[series] = process_series(one, ProcessSettings())
            found[series] = figures(series, single[series].detection)
        if BOTH in wanted:
            both = combine_series(single["A"], single["B"], ProcessSettings())
            found[BOTH] = figures(BOTH, both.detection)
    return {series: found[series] for series in wanted}
