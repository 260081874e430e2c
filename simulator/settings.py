"""Everything the digital twin can be told: frozen, closed, units in the names."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from controller.microscope.interface import Data, Finite, NotNegative, Positive, StageLimits
from simulator import transport

Fraction = Annotated[float, Field(ge=0, lt=1)]


class Packing(StrEnum):
    """How the particles sit in the assembly; all occur in spherical confinement."""

    FCC = "fcc"
    MULTI_GRAIN = "multi-grain"
    DISORDERED = "disordered"


class TimeKeeping(StrEnum):
    """Virtual time jumps when the microscope waits; real time is slept through."""

    VIRTUAL = "virtual"
    REAL = "real"


class SpecimenSettings(Data):
    """Assemblies of gold spheres on a film (defaults: Altantzis et al. 2021)."""

    packing: Packing = Packing.FCC
    assembly_diameter_nm: Positive = 165.0
    """Of the round envelope of the particles' cells, before flattening."""
    particle_diameter_nm: Positive = 6.3
    spacing_ratio: Annotated[float, Field(ge=1.1, le=2.0)] = 1.22
    """Centre distance of neighbours over the particle diameter."""
    size_spread: Annotated[float, Field(ge=0, le=0.1)] = 0.03
    """Standard deviation of the diameters over their mean."""
    position_disorder: Annotated[float, Field(ge=0, le=0.05)] = 0.015
    """Standard deviation of a lattice site along each axis, in spacings; ordered packings."""
    grains: Annotated[int, Field(ge=2, le=50)] = 3
    """Of the multi-grain packing."""
    flattening: Annotated[float, Field(ge=0, le=0.4)] = 0.10
    """Share of the diameter missing on the side that dried on the grid."""
    other_assemblies_nm: tuple[tuple[Finite, Finite], ...] = ((700.0, 250.0), (-450.0, -650.0))
    """Where on the grid (x, y) further assemblies lie, from the first."""
    stray_particles_per_um2: NotNegative = 0.0
    """Single particles on the film, clear of the assemblies: something to focus on."""
    film_thickness_nm: NotNegative = 10.0
    """Carbon under the assemblies."""
    shrinkage: Fraction = 0.02
    """Share of its size that the specimen loses under the beam."""
    shrinkage_dose_e_per_A2: Positive = 2000.0
    """Dose at which 63 % of the shrinkage is done."""
    contamination_nm: NotNegative = 10.0
    """Carbon that builds up at last on what is illuminated."""
    contamination_dose_e_per_A2: Positive = 20000.0
    """Dose at which 63 % of it is there."""


class OpticsSettings(Data):
    """The probe and the annular detector's angles."""

    voltage_kV: Positive = transport.VOLTAGE_KV
    convergence_mrad: Positive = 8.0
    inner_collection_mrad: Positive = transport.INNER_MRAD
    outer_collection_mrad: Positive = transport.OUTER_MRAD
    current_max_pA: Positive = 1000.0
    focus_error_nm: Finite = 0.0
    """Height of the focus over the tilt axis at a defocus of 0, at the start."""
    focus_drift_nm_per_h: Finite = 0.0
    """By which lens currents and charging move it."""
    defocus_max_nm: Positive = 5000.0

    @model_validator(mode="after")
    def _scattering_is_tabulated(self) -> Self:
        asked = (self.voltage_kV, self.inner_collection_mrad, self.outer_collection_mrad)
        known = (transport.VOLTAGE_KV, transport.INNER_MRAD, transport.OUTER_MRAD)
        if asked != known:
            raise ValueError(
                f"scattering is tabulated for {known[0]:g} kV and {known[1]:g}-{known[2]:g} mrad"
                " only: use those, or make another table with python -m simulator.transport"
            )
        return self


class DetectorSettings(Data):
    """From electrons on the detector to counts; clipped to uint16."""

    counts_per_electron: Positive = 8.0
    dark_counts: NotNegative = 120.0
    read_noise_counts: NotNegative = 6.0


class StageSettings(Data):
    """A goniometer: what it does beside what it is told."""

    limits: StageLimits = StageLimits()
    tilt_speed_deg_per_s: Positive = 10.0
    shift_speed_nm_per_s: Positive = 2000.0
    settling_s: NotNegative = 3.0
    backlash_deg: NotNegative = 0.05
    """By which a tilt approached downwards stays behind."""
    backlash_nm: NotNegative = 4.0
    """The same for x and y."""
    jitter_nm: NotNegative = 5.0
    """Standard deviation of the lateral shift that each tilt brings, per axis."""
    tilt_error_deg: NotNegative = 0.12
    """Standard deviation of true minus reported tilt."""
    eucentric_error_nm: Finite = 20.0
    """Height of the first assembly's centre over the tilt axis at z = 0."""
    drift_nm: NotNegative = 4.0
    """Length of the drift that follows a move, all of it."""
    drift_decay_s: Positive = 8.0


class ScanDistortionSettings(Data):
    """What the scan coils do to the raster."""

    line_jitter_px: NotNegative = 0.15
    """Standard deviation of each line's start."""
    shear: Annotated[float, Field(ge=-0.05, le=0.05)] = 0.0
    """x gained per y."""
    stretch: Annotated[float, Field(ge=-0.05, le=0.05)] = 0.0
    """y over x, less one."""


class RemountSettings(Data):
    """How the grid comes back after the flip."""

    in_plane_deg: Annotated[float, Field(ge=-180, le=180)] | None = None
    """phi of p_B = Rz(phi) . Rseat . F . p_A + shift; drawn from the seed where None."""
    seat_tilt_deg: Annotated[float, Field(ge=0, le=10)] = 1.5
    """Standard deviation, about x and about y."""
    shift_nm: NotNegative = 12.0
    """Standard deviation of where the assembly ends up, per axis."""
    duration_s: NotNegative = 900.0


class SimulatorSettings(Data):
    """One simulated microscope with one grid in it."""

    seed: Annotated[int, Field(ge=0)] = 0
    time: TimeKeeping = TimeKeeping.VIRTUAL
    specimen: SpecimenSettings = SpecimenSettings()
    optics: OpticsSettings = OpticsSettings()
    detector: DetectorSettings = DetectorSettings()
    stage: StageSettings = StageSettings()
    scan: ScanDistortionSettings = ScanDistortionSettings()
    remount: RemountSettings = RemountSettings()
