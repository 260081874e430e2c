"""The rows of the table: what is recorded, and the figures that it must reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from controller.model.scan import ScanSettings
from processing.series import TiltSeries
from simulator.series import Series, simulate_dual
from simulator.settings import (
    Packing,
    RemountSettings,
    ScanDistortionSettings,
    SimulatorSettings,
    SpecimenSettings,
    StageSettings,
)
from simulator.specimen import Particles
from tests.odd_specimens import sparse
from tests.odd_specimens.facets import facets
from tests.odd_specimens.faults import (
    bad_images,
    contamination,
    dark_level,
    film,
    flicker,
    flyback,
    gradients,
    loose,
    spikes,
    stuck,
)
from tests.odd_specimens.scene import Float64, Scene, Size, Spoil, View

ANGLES_A, ANGLES_B = np.arange(-70.0, 75.0, 2.0), np.arange(-74.0, 73.0, 2.0)
USUAL, LARGE_PIXEL_NM = Size(), 0.9


@dataclass(frozen=True)
class Conditions:
    """Conditions that all rows of one table share."""

    size: Size = USUAL
    packing: Packing = Packing.FCC
    seed: int = 11
    diameter_nm: float | None = None
    """Diameter that is given to the processing; None if it is estimated."""


@dataclass(frozen=True, eq=False)
class Recorded:
    """Series A, or A and B, and the particles that they show in the frame of A."""

    series: tuple[TiltSeries, ...]
    truth: Particles


@dataclass(frozen=True)
class Case:
    """One row.

    Attributes
    ----------
    f1_goal
        Smallest F1 of the last table: both series, or the only one. None for a series of which
        the entrance side alone is asked.
    record
        Records the series under the conditions of the table.
    """

    name: str
    f1_goal: float | None
    record: Callable[[Conditions], Recorded]


@dataclass(frozen=True)
class Assembly:
    """An assembly with faults: settings of the simulator, changes of the images, or both."""

    spoil: tuple[Spoil, ...] = ()
    specimen: dict[str, Any] = field(default_factory=dict)
    neighbour: tuple[float, float] | None = None
    """Place (x, y) of a second assembly of the same size, in diameters."""
    shear: float = 0.0
    shower_dose_e_per_A2: float = 1.0e4
    size: Size | None = None
    """Size of a row that does not follow the table's."""
    both: bool = True

    def record(self, conditions: Conditions) -> Recorded:
        """Simulate the series and spoil their images."""
        size = self.size or conditions.size
        scan = ScanSettings(
            width_px=size.field_px, height_px=size.field_px, dwell_us=5.0, pixel_nm=size.pixel_nm
        )
        dual = simulate_dual(
            self._settings(size, conditions),
            scan,
            ANGLES_A,
            ANGLES_B if self.both else (0.0,),
            70.0,
            tracking_error_nm=3.0,
            shower_dose_e_per_A2=self.shower_dose_e_per_A2,
        )
        rng = np.random.default_rng(conditions.seed)
        raw = [(dual.a, np.eye(3), "A")] + [(dual.b, dual.matrix.T, "B")] * self.both
        series = [
            self._spoilt(one, name, Scene(size, _views(one, to_series), dual.truth, rng))
            for one, to_series, name in raw
        ]
        return Recorded(tuple(series), dual.truth)

    def _settings(self, size: Size, conditions: Conditions) -> SimulatorSettings:
        places = () if self.neighbour is None else (self.neighbour,)
        specimen = {
            "assembly_diameter_nm": size.assembly_nm,
            "packing": conditions.packing,
            "other_assemblies_nm": [
                (x * size.assembly_nm, y * size.assembly_nm) for x, y in places
            ],
            **self.specimen,
        }
        return SimulatorSettings(
            seed=conditions.seed,
            specimen=SpecimenSettings(**specimen),
            stage=StageSettings(tilt_error_deg=0.15),
            scan=ScanDistortionSettings(shear=self.shear),
            remount=RemountSettings(seat_tilt_deg=1.5, in_plane_deg=35.0 + conditions.seed),
        )

    def _spoilt(self, raw: Series, name: str, scene: Scene) -> TiltSeries:
        images = raw.counts.astype(np.float32)
        for spoil in self.spoil:
            spoil(images, scene)
        return TiltSeries(images, raw.reported_deg, scene.size.pixel_nm, name=name)


def _views(raw: Series, to_series: Float64) -> tuple[View, ...]:
    pairs = zip(raw.true_deg, raw.shifts_nm, strict=True)
    return tuple(View.at(angle, to_series, shift) for angle, shift in pairs)


def _spheres(number: int, conditions: Conditions) -> Recorded:
    a, b, truth = sparse.spheres(number, conditions.seed)
    return Recorded((a, b), truth)


def _atoms(conditions: Conditions) -> Recorded:
    series, truth = sparse.atoms(conditions.seed)
    return Recorded((series,), truth)


ALONG, ACROSS = (0.14, 1.07), (1.36, 0.07)
"""Places of a neighbour: cut at the top of the field, and at its right."""
BEFORE, AFTER = (facets, flicker, film(0.02), loose(8)), (stuck, spikes, flyback, bad_images)
EVERYTHING = Assembly(
    (*BEFORE, gradients(0.02), contamination, dark_level, *AFTER),
    specimen={"size_spread": 0.08, "shrinkage": 0.01},
    shear=0.004,
    shower_dose_e_per_A2=0.0,
)
LARGER = Size(110.0, 1.2)
"""An assembly whose exit side one series shows badly."""


def _fused(name: str, *spoil: Spoil, **how: Any) -> Case:
    return Case(name, 0.999, Assembly(spoil, **how).record)


FUSED = (
    _fused("clean"),
    *(_fused(f"film {share:.1%}", film(share)) for share in (0.005, 0.02, 0.05)),
    _fused("contamination", contamination),
    _fused("gradients", gradients(0.05)),
    _fused("stuck pixels", stuck),
    _fused("spikes", spikes),
    _fused("flyback column", flyback),
    _fused("5 % of the images bad", bad_images),
    _fused("loose particles", loose(16)),
    _fused("neighbour cut along the axis", neighbour=ALONG),
    _fused("neighbour cut across the axis", neighbour=ACROSS),
    _fused("flicker of 15 %", flicker),
    _fused("shear of 0.4 %", shear=0.004),
    _fused("shrinkage of 1 %", specimen={"shrinkage": 0.01}, shower_dose_e_per_A2=0.0),
    _fused("facets", facets),
    _fused("size spread of 8 %", specimen={"size_spread": 0.08}),
    _fused("dark level drifts", dark_level),
    Case("all together, without neighbour", 0.998, EVERYTHING.record),
    Case(
        "all together",
        0.998,
        Assembly(
            EVERYTHING.spoil,
            specimen=EVERYTHING.specimen,
            neighbour=ALONG,
            shear=EVERYTHING.shear,
            shower_dose_e_per_A2=0.0,
        ).record,
    ),
)
SPARSE = (
    *(Case(f"{n} particles", 0.99, partial(_spheres, n)) for n in sparse.REACH_NM),
    Case("atoms", 0.99, _atoms),
)
SINGLE = (
    Case("one series of 110 nm", None, Assembly(size=LARGER, both=False).record),
    Case(
        "one series of 110 nm, all together",
        None,
        Assembly(
            EVERYTHING.spoil,
            specimen=EVERYTHING.specimen,
            shear=EVERYTHING.shear,
            shower_dose_e_per_A2=0.0,
            size=LARGER,
            both=False,
        ).record,
    ),
)
CASES = (*FUSED, *SPARSE, *SINGLE)
