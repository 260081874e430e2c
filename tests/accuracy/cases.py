"""Simulated dual tilt series at the paper's scale, on which accuracy is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controller.model.scan import ScanSettings
from simulator.series import DualSeries, simulate_dual
from simulator.settings import (
    Packing,
    RemountSettings,
    SimulatorSettings,
    SpecimenSettings,
    StageSettings,
)
from tests.support.packings import OF_EQUAL_SPHERES

CURRENT_PA = 70.0
TRACKING_ERROR_NM = 5.0
TILT_ERROR_DEG = 0.2
SEAT_TILT_DEG = 2.0
"""Standard deviation about either axis; the in-plane angle of the remount is random."""


@dataclass(frozen=True)
class Case:
    """Specimen and recording conditions; with a seed they define one data set.

    Attributes
    ----------
    every
        Use every n-th tilt of A, -70 to +74, and of B, -74 to +72 degrees in steps of 2.
    """

    name: str
    packing: Packing = Packing.FCC
    assembly_nm: float = 165.0
    pixels: int = 208
    pixel_nm: float = 0.9
    dwell_us: float = 5.0
    every: int = 1
    size_spread: float = 0.03

    def settings(self, seed: int) -> SimulatorSettings:
        """Return the settings of the simulated microscope and specimen."""
        return SimulatorSettings(
            seed=seed,
            specimen=SpecimenSettings(
                packing=self.packing,
                assembly_diameter_nm=self.assembly_nm,
                size_spread=self.size_spread,
            ),
            stage=StageSettings(tilt_error_deg=TILT_ERROR_DEG),
            remount=RemountSettings(seat_tilt_deg=SEAT_TILT_DEG),
        )

    def record(self, seed: int) -> DualSeries:
        """Simulate both raw series; the result includes their truth."""
        scan = ScanSettings(
            width_px=self.pixels,
            height_px=self.pixels,
            dwell_us=self.dwell_us,
            pixel_nm=self.pixel_nm,
        )
        return simulate_dual(
            self.settings(seed),
            scan,
            np.arange(-70, 75, 2 * self.every),
            np.arange(-74, 73, 2 * self.every),
            CURRENT_PA,
            tracking_error_nm=TRACKING_ERROR_NM,
        )


def packings(name: str, **changes: float) -> Sequence[Case]:
    """Return the same case for every packing of particles in a spherical assembly."""
    return [
        Case(f"{packing.value}{name}", packing, **changes)  # type: ignore[arg-type]
        for packing in OF_EQUAL_SPHERES
    ]


CASES: tuple[Case, ...] = (
    *packings(""),
    Case("fcc, 210 nm", assembly_nm=210.0, pixels=256),
    *packings(", half the tilts", every=2),
    *packings(", a third of the tilts", every=3),
    *packings(", a third of the dose", dwell_us=5.0 / 3),
    Case(
        "fcc, 180 nm, half the tilts, a tenth of the dose, 5 % spread",
        assembly_nm=180.0,
        pixels=224,
        dwell_us=0.5,
        every=2,
        size_spread=0.05,
    ),
)
"""The dwell time sets the dose: about 2000 electrons in the brightest pixel at 5 us."""
