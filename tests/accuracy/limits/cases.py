"""Simulated pairs of tilt series: packing, size, tilt step and dose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from simulator.series import DualSeries
from simulator.settings import Packing
from tests.calibration.cases import COARSE_NM, FINE_NM, FINE_UP_TO_NM, RANGE_DEG, Specimen

SIZES_NM = (50.0, 75.0)
STEPS_DEG = (2.0, 4.0, 6.0, 8.0, 12.0, 16.0)
DOSES = {f"1/{part}" if part > 1 else "1": 1 / part for part in (1, 3, 10, 30, 100, 300)}
"""Doses of an image, as fractions of the usual one: about 1300 electrons in the brightest pixel."""
PACKINGS = tuple(Packing)
FIRST_SEED = 701

Key = tuple[str, float, float, str, float, int]
"""Packing, size, tilt step, dose, pixel size and seed."""


@dataclass(frozen=True)
class Case:
    """One simulated session: series A and series B of one specimen."""

    packing: Packing
    size_nm: float
    step_deg: float
    dose: str
    pixel_nm: float
    seed: int

    @property
    def key(self) -> Key:
        """Facts that tell this case from others, as they are stored."""
        return (
            self.packing.value,
            self.size_nm,
            self.step_deg,
            self.dose,
            self.pixel_nm,
            self.seed,
        )

    def record(self) -> DualSeries:
        """Simulate both raw series; the result includes their truth."""
        tilts = int(RANGE_DEG // self.step_deg)
        angles_deg = self.step_deg * np.arange(-tilts, tilts + 1)
        specimen = Specimen(self.packing, self.size_nm, self.pixel_nm, self.seed, DOSES[self.dose])
        return specimen.record(angles_deg, angles_deg)


def cases(
    sizes_nm: Sequence[float],
    steps_deg: Sequence[float],
    doses: Sequence[str],
    packings: Sequence[Packing],
    seeds: Sequence[int],
    pixel_nm: float | None = None,
) -> Iterator[Case]:
    """Yield all combinations: the first seed first, and the coarsest and faintest images."""
    coarse, faint = sorted(steps_deg, reverse=True), sorted(doses, key=DOSES.__getitem__)
    conditions = sorted(
        product(coarse, faint), key=lambda each: coarse.index(each[0]) + faint.index(each[1])
    )
    for seed, (step_deg, dose), size_nm, packing in product(seeds, conditions, sizes_nm, packings):
        yield Case(packing, size_nm, step_deg, dose, pixel_nm or usual_pixel_nm(size_nm), seed)


def usual_pixel_nm(size_nm: float) -> float:
    """Return the pixel size of an assembly where none is chosen."""
    return FINE_NM if size_nm <= FINE_UP_TO_NM else COARSE_NM
