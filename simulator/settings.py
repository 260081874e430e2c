"""Settings of the simulated microscope: immutable, unknown keys refused, units in the names."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from controller.model.base import Data, Finite, NotNegative, Positive
from controller.model.plausible import ASSEMBLY, CONVERGENCE, CURRENT, DIAMETER, FILM
from controller.model.stage import StageLimits
from simulator.transport_conditions import INNER_MRAD, OUTER_MRAD, VOLTAGE_KV

AssemblyNumber = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Strain = Annotated[float, Field(ge=-0.2, le=0.2)]


class Packing(StrEnum):
    """Arrangement of the particles in the assembly; all occur in spherical confinement."""

    FCC = "fcc"
    TWINNED = "twinned"
    FAULTED = "faulted"
    """An fcc crystal with random stacking faults."""
    ICOSAHEDRAL = "icosahedral"
    MULTI_GRAIN = "multi-grain"
    LAVES = "laves"
    """A crystal as MgZn2: two small particles for each large one; `small_ratio` is 0.82 where both
    touch their like."""
    DISORDERED = "disordered"


class Arrangement(StrEnum):
    """Arrangement of particles that are no spheres."""

    ORDERED = "ordered"
    """Layers of parallel rods, or polyhedra on a lattice in one orientation."""
    DISORDERED = "disordered"


class Shape(StrEnum):
    """Shape of all particles."""

    SPHERE = "sphere"
    ROD = "rod"
    """Cylinder with round ends."""
    CUBE = "cube"
    OCTAHEDRON = "octahedron"
    TETRAHEDRON = "tetrahedron"


class TimeKeeping(StrEnum):
    """Clock of the simulator: virtual time jumps over waits, real time sleeps through them."""

    VIRTUAL = "virtual"
    REAL = "real"


class SpecimenSettings(Data):
    """Assemblies of gold particles on a carbon film (defaults: Altantzis et al. 2021)."""

    packing: Packing = Packing.FCC
    """Arrangement of spheres."""
    shape: Shape = Shape.SPHERE
    arrangement: Arrangement = Arrangement.ORDERED
    """Arrangement of particles that are no spheres."""
    assembly_diameter_nm: Annotated[float, ASSEMBLY] = 165.0
    """Diameter of the spherical envelope of the particles, before flattening."""
    particle_diameter_nm: Annotated[float, DIAMETER] = 6.3
    """Diameter of spheres and rods, or edge of polyhedra."""
    rod_length_nm: Annotated[float, DIAMETER] = 20.0
    """Length of rods with their round ends."""
    spacing_ratio: Annotated[float, Field(ge=1.1, le=2.0)] = 1.22
    """Centre-to-centre distance of neighbours, divided by the particle diameter."""
    size_spread: Annotated[float, Field(ge=0, le=0.1)] = 0.03
    """Standard deviation of the diameters, divided by their mean."""
    small_share: Fraction = 0.0
    """Share of the particles that belong to a second, smaller kind, at random places."""
    small_ratio: Annotated[float, Field(ge=0.3, le=1.0)] = 0.72
    """Diameter of the smaller kind, divided by `particle_diameter_nm`."""
    other_share: Fraction = 0.0
    """Share of the particles that are of another element than gold; spheres only."""
    other_atomic_number: Annotated[int, Field(ge=6, le=92)] = 47
    """Atomic number of this element, whose atoms are packed as densely as those of gold."""
    turn_disorder_deg: Annotated[float, Field(ge=0, le=5)] = 1.0
    """Standard deviation of the orientations about each axis; ordered solids only."""
    position_disorder: Annotated[float, Field(ge=0, le=0.05)] = 0.015
    """Standard deviation of the lattice sites per axis, in spacings; ordered packings only."""
    grains: Annotated[int, Field(ge=2, le=50)] = 3
    """Number of grains in the multi-grain packing."""
    stacking_fault_chance: Fraction = 0.08
    """Chance of each close-packed plane of the faulted packing that it is stacked wrongly: half of
    these faults are twin planes, half displace the rest of the crystal along the plane."""
    vacancies: Annotated[float, Field(ge=0, le=0.2)] = 0.0
    """Share of the lattice sites that are empty; ordered packings of spheres only."""
    bend_deg: Annotated[float, Field(ge=0, le=5)] = 0.0
    """Angle between lattice planes on opposite sides of the assembly, which are turned towards each
    other; ordered packings of spheres only."""
    flattening: Annotated[float, Field(ge=0, le=0.4)] = 0.10
    """Fraction of the diameter missing on the side that dried on the grid."""
    other_assemblies_nm: tuple[tuple[Finite, Finite], ...] = ((700.0, 250.0), (-450.0, -650.0))
    """Positions (x, y) of further assemblies on the grid, relative to the first."""
    alike: tuple[tuple[AssemblyNumber, AssemblyNumber], ...] = ()
    """Pairs of assemblies with the same particles: the second is a copy of the first. The first
    assembly has number 1."""
    lost_at_flip: tuple[AssemblyNumber, ...] = ()
    """Assemblies that fall off the grid when it is taken out, by number."""
    stray_particles_per_um2: NotNegative = 0.0
    """Single particles on the film, away from the assemblies; autofocus needs them."""
    film_thickness_nm: Annotated[float, FILM] = 10.0
    """Thickness of the carbon film under the assemblies."""
    shrinkage: Fraction = 0.02
    """Fraction of its size that the specimen finally loses under the beam."""
    collapse: Fraction = 0.0
    """Fraction of its height that it loses besides, without a change of its width."""
    uneven_shrinkage: tuple[Strain, Strain, Strain] = (0.0, 0.0, 0.0)
    """Final shrinkage of the surface at +x, +y, +z minus that of the opposite surface. It changes
    linearly in between; the mean is `shrinkage`."""
    lean: tuple[Strain, Strain] = (0.0, 0.0)
    """Final shift in x and y for each nm of height."""
    shrinkage_dose_e_per_A2: Positive = 2000.0
    """Dose at which 63 % of the shrinkage has happened, and of the other deformation."""
    contamination_nm: Annotated[float, FILM] = 10.0
    """Final thickness of the carbon that the beam deposits."""
    contamination_dose_e_per_A2: Positive = 20000.0
    """Dose at which 63 % of the contamination has built up."""

    @model_validator(mode="after")
    def _particles_fit(self) -> Self:
        if self.particle_diameter_nm > self.assembly_diameter_nm:
            raise ValueError(
                f"assembly_diameter_nm = {self.assembly_diameter_nm:g} is smaller than one "
                f"particle, particle_diameter_nm = {self.particle_diameter_nm:g}; check the units"
            )
        return self

    @model_validator(mode="after")
    def _one_rule_of_sizes(self) -> Self:
        if self.packing is Packing.LAVES and self.small_share > 0:
            raise ValueError("small_share: two of three particles of a Laves crystal are small")
        return self

    @model_validator(mode="after")
    def _numbers_exist(self) -> Self:
        number = 1 + len(self.other_assemblies_nm)
        named = {*self.lost_at_flip, *(each for pair in self.alike for each in pair)}
        if wrong := sorted(each for each in named if each > number):
            raise ValueError(f"alike, lost_at_flip: there is no assembly {wrong[0]} of {number}")
        return self

    @model_validator(mode="after")
    def _shape_fits(self) -> Self:
        if self.shape is not Shape.SPHERE and self.small_share > 0:
            raise ValueError("small_share: only spheres can have two sizes")
        if self.shape is not Shape.SPHERE and self.other_share > 0:
            raise ValueError("other_share: only spheres can be of two elements")
        if self.shape is Shape.ROD and self.rod_length_nm <= self.particle_diameter_nm:
            raise ValueError("rod_length_nm: a rod is longer than particle_diameter_nm")
        return self


class OpticsSettings(Data):
    """Probe, focus, and collection angles of the annular detector."""

    voltage_kV: Positive = VOLTAGE_KV
    convergence_mrad: Annotated[float, CONVERGENCE] = 8.0
    inner_collection_mrad: Positive = INNER_MRAD
    outer_collection_mrad: Positive = OUTER_MRAD
    current_max_pA: Annotated[float, CURRENT] = 1000.0
    focus_error_nm: Finite = 0.0
    """Height of the focus above the tilt axis at a defocus of 0, at the start."""
    focus_drift_nm_per_h: Finite = 0.0
    """Focus drift, as lens currents and charging cause it."""
    defocus_max_nm: Positive = 5000.0

    @model_validator(mode="after")
    def _check_scattering_table(self) -> Self:
        asked = (self.voltage_kV, self.inner_collection_mrad, self.outer_collection_mrad)
        known = (VOLTAGE_KV, INNER_MRAD, OUTER_MRAD)
        if asked != known:
            raise ValueError(
                f"scattering is tabulated for {known[0]:g} kV and {known[1]:g}-{known[2]:g} mrad"
                " only: use these, or compute a new table with python -m simulator.transport"
            )
        return self


class DetectorSettings(Data):
    """Conversion of detected electrons to counts; counts are clipped to uint16."""

    counts_per_electron: Positive = 8.0
    dark_counts: NotNegative = 120.0
    read_noise_counts: NotNegative = 6.0


class StageSettings(Data):
    """Goniometer: limits, speeds and errors."""

    limits: StageLimits = StageLimits()
    tilt_speed_deg_per_s: Positive = 10.0
    shift_speed_nm_per_s: Positive = 2000.0
    settling_s: NotNegative = 3.0
    backlash_deg: NotNegative = 0.05
    """Tilt error after a move towards smaller angles."""
    backlash_nm: NotNegative = 4.0
    """Position error of x and y after a move towards smaller values."""
    jitter_nm: NotNegative = 5.0
    """Standard deviation of the lateral shift caused by each tilt, per axis."""
    tilt_error_deg: NotNegative = 0.12
    """Standard deviation of true tilt minus reported tilt."""
    eucentric_error_nm: Finite = 20.0
    """Height of the first assembly's centre above the tilt axis at z = 0."""
    drift_nm: NotNegative = 4.0
    """Total drift after a move."""
    drift_decay_s: Positive = 8.0


class ScanDistortionSettings(Data):
    """Distortion of the scan raster."""

    line_jitter_px: NotNegative = 0.15
    """Standard deviation of the start of each line."""
    shear: Annotated[float, Field(ge=-0.05, le=0.05)] = 0.0
    """Shift in x per unit of y."""
    stretch: Annotated[float, Field(ge=-0.05, le=0.05)] = 0.0
    """Scale of y divided by scale of x, minus one."""
    rotation_deg: Annotated[float, Field(ge=-180, le=180)] = 0.0
    """Direction of the tilt axis in the images, from +y towards -x."""


class RemountSettings(Data):
    """Position of the grid in the holder after the flip."""

    in_plane_deg: Annotated[float, Field(ge=-180, le=180)] | None = None
    """phi of p_B = Rz(phi) . Rseat . F . p_A + shift; None draws it from the seed."""
    seat_tilt_deg: Annotated[float, Field(ge=0, le=10)] = 1.5
    """Standard deviation of the tilt of the grid in its seat, about x and about y."""
    shift_nm: NotNegative = 12.0
    """Standard deviation of the assembly's position after the flip, per axis."""
    duration_s: NotNegative = 900.0
    """Virtual time that the flip takes."""


class SimulatorSettings(Data):
    """One simulated microscope with one grid."""

    seed: Annotated[int, Field(ge=0)] = 0
    time: TimeKeeping = TimeKeeping.VIRTUAL
    specimen: SpecimenSettings = SpecimenSettings()
    optics: OpticsSettings = OpticsSettings()
    detector: DetectorSettings = DetectorSettings()
    stage: StageSettings = StageSettings()
    scan: ScanDistortionSettings = ScanDistortionSettings()
    remount: RemountSettings = RemountSettings()
