"""Simulated sessions whose series may end early: specimen, order and step of the tilts, seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controller.model.tilt_order import TiltOrder, recording_order
from simulator.series import DualSeries
from simulator.settings import Packing
from tests.calibration.cases import COARSE_NM, MARGIN_NM, RANGE_DEG, Specimen

FIRST_SEED = 601
"""The rule was made with seeds 401 to 406."""
GROUP = 2


@dataclass(frozen=True)
class Case:
    """One simulated session: series A and series B of one specimen."""

    packing: Packing
    size_nm: float
    order: TiltOrder
    step_deg: float = 2.0
    both: bool = False
    """Series B is recorded, too, and both are counted together."""
    pixel_nm: float = COARSE_NM
    """Pixel size."""
    dose: float = 1.0
    """Dose of each image, as a fraction of the usual one."""
    small_share: float = 0.0
    """Share of the particles that are of a second, smaller size."""
    margin_nm: float = MARGIN_NM
    """Width of the field beyond the assembly; negative where the assembly does not fit it."""
    shrinks_by: float = 0.0
    """Share of its size that the assembly loses during series A."""

    @property
    def name(self) -> str:
        """Name of the case, without its seed."""
        differences = (
            ("" if self.dose == 1.0 else f", {self.dose:.0%} of the dose"),
            (", two sizes" if self.small_share else ""),
            (", larger than the field" if self.margin_nm < 0 else ""),
            (f", shrinks by {self.shrinks_by:.0%}" if self.shrinks_by else ""),
        )
        return (
            f"{self.packing.value}, {self.size_nm:g} nm, {self.order}, "
            f"steps of {self.step_deg:g} degrees{''.join(differences)}"
        )

    @property
    def tilts_deg(self) -> tuple[float, ...]:
        """Tilts of each series, in the order of recording."""
        ascending = np.arange(-RANGE_DEG, RANGE_DEG + self.step_deg / 2, self.step_deg)
        return recording_order([float(tilt) for tilt in ascending], self.order, 0.0, GROUP)

    def record(self, seed: int) -> DualSeries:
        """Simulate both complete raw series; the result includes their truth."""
        b_deg = self.tilts_deg if self.both else self.tilts_deg[:1]
        specimen = Specimen(
            self.packing,
            self.size_nm,
            self.pixel_nm,
            seed,
            self.dose,
            self.small_share,
            self.margin_nm,
            self.shrinks_by,
        )
        return specimen.record(self.tilts_deg, b_deg)


PACKINGS = (Packing.FCC, Packing.DISORDERED, Packing.MULTI_GRAIN)
CASES = (
    *(
        Case(packing, 50.0, "golden", step_deg, both=True)
        for step_deg in (2.0, 4.0)
        for packing in PACKINGS
    ),
    *(
        Case(Packing.DISORDERED, 50.0, order)
        for order in ("dose-symmetric", "bidirectional", "one-way")
    ),
    *(Case(packing, 50.0, "golden") for packing in (Packing.TWINNED, Packing.ICOSAHEDRAL)),
    Case(Packing.DISORDERED, 50.0, "golden", dose=0.3),
    Case(Packing.DISORDERED, 50.0, "golden", small_share=0.3),
    Case(Packing.DISORDERED, 50.0, "golden", margin_nm=-12.0),
    Case(Packing.DISORDERED, 50.0, "golden", shrinks_by=0.03),
    Case(Packing.FCC, 50.0, "golden", both=True, shrinks_by=0.02),
    Case(Packing.DISORDERED, 50.0, "golden", 1.5),
    *(Case(packing, 75.0, "golden") for packing in PACKINGS),
    *(Case(packing, 110.0, "golden") for packing in (Packing.FCC, Packing.DISORDERED)),
)
