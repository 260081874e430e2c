"""Simulated pairs of tilt series: tilt step, packing and size of the assembly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from controller.model.scan import ScanSettings
from simulator.series import DualSeries, simulate_dual
from simulator.settings import Packing, SimulatorSettings

STEPS_DEG = (2.0, 3.0, 4.0, 6.0)
PACKINGS = (Packing.FCC, Packing.FAULTED, Packing.DISORDERED)
SMALL_NM = (50.0, 75.0, 110.0)
"""Diameters of the assemblies that take a few seconds each."""
PAPER_NM = 165.0
FIRST_SEED = 301
"""The rule of wrong places was made with seed 201."""
CURRENT_PA = 70.0
DWELL_US = 3.0
"""Dwell time; about 1300 electrons in the brightest pixel."""
RANGE_DEG = 70.0
MARGIN_NM = 24.0
"""Width of the field beyond the assembly."""
SHOWER_DOSE = 1.0e4
"""Dose before the first image (e/Å²): with the usual specimen, all shrinkage is over."""
DOSE_CONSTANT = 0.5
"""Dose at which 63 % of a shrinkage has happened, in doses of one series."""
FINE_NM, COARSE_NM = 0.8, 1.2
"""Pixel sizes, of assemblies up to `FINE_UP_TO_NM` and of larger ones."""
FINE_UP_TO_NM = 60.0
IMPERFECT = {Packing.FAULTED: {"vacancies": 0.01, "bend_deg": 1.0}}
"""Further settings of the crystals with stacking faults."""


@dataclass(frozen=True)
class Specimen:
    """One assembly beside another, and the pixel size of its images."""

    packing: Packing
    size_nm: float
    pixel_nm: float
    seed: int
    dose: float = 1.0
    """Dose of each image, as a fraction of the usual one."""
    small_share: float = 0.0
    """Share of the particles that are of a second, smaller size."""
    margin_nm: float = MARGIN_NM
    """Width of the field beyond the assembly; negative where the assembly does not fit it."""
    shrinks_by: float = 0.0
    """Share of its size that the assembly loses during series A; 0 if the shower ended that."""

    def record(self, a_deg: ArrayLike, b_deg: ArrayLike) -> DualSeries:
        """Simulate both raw series at their tilts; the result includes their truth."""
        side_px = 2 * round((self.size_nm + self.margin_nm) / self.pixel_nm / 2)
        scan = ScanSettings(
            width_px=side_px,
            height_px=side_px,
            pixel_nm=self.pixel_nm,
            dwell_us=DWELL_US,
        )
        current_pA = self.dose * CURRENT_PA
        series_dose = scan.dose_e_per_A2(current_pA) * np.size(a_deg)
        settings = SimulatorSettings.model_validate(
            {
                "seed": self.seed,
                "specimen": {
                    "packing": self.packing,
                    "assembly_diameter_nm": self.size_nm,
                    "other_assemblies_nm": [(400.0, 0.0)],
                    "small_share": self.small_share,
                    **IMPERFECT.get(self.packing, {}),
                    **(_shrinkage(self.shrinks_by, series_dose) if self.shrinks_by else {}),
                },
                "stage": {"tilt_error_deg": 0.15},
            }
        )
        return simulate_dual(
            settings,
            scan,
            a_deg,
            b_deg,
            current_pA,
            shower_dose_e_per_A2=0.0 if self.shrinks_by else SHOWER_DOSE,
            tracking_error_nm=3.0,
        )


def _shrinkage(share: float, series_dose: float) -> dict[str, float]:
    """Return keys of a specimen that loses a share of its size in its first series."""
    return {
        "shrinkage": share / (1.0 - np.exp(-1.0 / DOSE_CONSTANT)),
        "shrinkage_dose_e_per_A2": DOSE_CONSTANT * series_dose,
    }


@dataclass(frozen=True)
class Case:
    """One simulated session: series A and series B of one specimen."""

    size_nm: float
    packing: Packing
    step_deg: float
    seed: int

    @property
    def name(self) -> str:
        """Name of the case, without its seed."""
        return f"{self.packing.value}, {self.size_nm:g} nm, steps of {self.step_deg:g} degrees"

    @property
    def specimen(self) -> str:
        """Name of the specimen, the same at all tilt steps."""
        return f"{self.packing.value} {self.size_nm:g} nm, seed {self.seed}"

    def series_name(self, series: str) -> str:
        """Name of series A, of B or of both."""
        return f"{self.specimen}, {self.step_deg:g} degrees, {series}"

    @property
    def pixel_nm(self) -> float:
        """Pixel size."""
        return FINE_NM if self.size_nm <= FINE_UP_TO_NM else COARSE_NM

    def record(self) -> DualSeries:
        """Simulate both raw series; the result includes their truth."""
        angles_deg = np.arange(-RANGE_DEG, RANGE_DEG + self.step_deg / 2, self.step_deg)
        specimen = Specimen(self.packing, self.size_nm, self.pixel_nm, self.seed)
        return specimen.record(angles_deg, angles_deg)


def cases(sizes_nm: Sequence[float], seeds: Sequence[int]) -> list[Case]:
    """Return the cases of some sizes and seeds, all steps and packings."""
    return [
        Case(size_nm, packing, step_deg, seed)
        for seed in seeds
        for size_nm in sizes_nm
        for packing in PACKINGS
        for step_deg in STEPS_DEG
    ]
