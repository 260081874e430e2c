"""Structure of an assembly, as summary.json holds it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Immutable(BaseModel):
    """Base of the structure's results: immutable, without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StructureType(StrEnum):
    """Local structure of a particle, from its nearest neighbours."""

    FCC = "fcc"
    HCP = "hcp"
    BCC = "bcc"
    ICOSAHEDRAL = "icosahedral"
    """Centre of an icosahedron, or on the axis in which five fcc grains meet."""
    DISORDERED = "disordered"
    SURFACE = "surface"
    """At the surface: the shell of neighbours is open, so its structure is not known."""
    LEFT_OUT = "left out"
    """Overlaps three or more others, or belongs to another object: not analysed."""


class Measured(Immutable):
    """Number with its standard error."""

    value: float
    error: float = Field(ge=0)


class PairCorrelation(Immutable):
    """Pair correlation g(r), corrected for the finite assembly of its own shape."""

    r_nm: list[float]
    g: list[float]
    error: list[float]
    """Standard error of g from the number of pairs and from the errors of the positions."""


class StructureFactor(Immutable):
    """Structure factor S(q) without the scattering of the assembly's shape."""

    q_per_nm: list[float]
    """q = 2 pi / distance (1/nm)."""
    s: list[float]
    error: list[float]
    """Standard error of S from the number of pairs and from the errors of the positions."""


class Grain(Immutable):
    """Crystal of one orientation."""

    id: int = Field(ge=1)
    """Number of the grain in tables; 1 is the largest."""
    structure: StructureType
    particles: int
    """Number of its particles, with those of its stacking faults."""
    particles_error: float | None = None
    """Change of this number when the errors of the positions are added again."""
    found_again: float | None = None
    """Share of the repeats of the analysis, with these errors added, that show the same grain."""
    centre_nm: tuple[float, float, float]
    orientation: tuple[float, float, float, float]
    """Quaternion (w, x, y, z): direction in the volume = rotated direction in the lattice; the
    equivalent with the smallest angle."""
    orientation_error_deg: float
    spacing_nm: Measured
    """Distance of nearest neighbours in its lattice."""
    lattice_constant_nm: Measured
    """Edge of the cube (fcc, bcc), or the distance a of hcp."""


class Boundary(Immutable):
    """Two grains of the same structure that touch."""

    grains: tuple[int, int]
    misorientation_deg: float
    misorientation_error_deg: float | None = None
    axis: tuple[float, float, float]
    """Axis of the rotation, in the lattice of the first grain."""
    contacts: int
    """Number of neighbours across the boundary, or of particles in a common plane."""
    twin: bool
    """The misorientation is that of a twin: 60 degrees about <111>."""


class PlaneKind(StrEnum):
    """Kinds of close-packed planes with hcp stacking."""

    TWIN = "twin plane"
    """One layer: the stacking order is reversed beyond it."""
    INTRINSIC = "intrinsic stacking fault"
    """Two layers next to each other: one layer of fcc is missing."""
    EXTRINSIC = "extrinsic stacking fault"
    """Two layers with one fcc layer between them: one layer was added."""
    HCP = "hcp"
    """Three layers or more: a slab of hcp."""


class StackingPlane(Immutable):
    """Twin plane, stacking fault or hcp slab."""

    kind: PlaneKind
    particles: int
    particles_error: float | None = None
    """Change of this number when the errors of the positions are added again."""
    found_again: float | None = None
    """Share of the repeats of the analysis, with these errors added, that show the same plane."""
    layers: int
    normal: tuple[float, float, float]
    normal_error_deg: float | None = None
    centre_nm: tuple[float, float, float]


class Layer(Immutable):
    """Particles at the same number of steps from the surface."""

    number: int = Field(ge=1)
    """1 is the surface."""
    particles: int
    particles_error: float | None = None
    """Change of this number when the errors of the positions are added again."""
    depth_nm: float
    """Mean distance from the surface of the assembly's body."""
    depth_error_nm: float | None = None
    neighbour_distance_nm: Measured
    neighbour_spread_nm: float
    """Standard deviation of single neighbour distances."""
    neighbour_spread_error_nm: float | None = None
    coordination: float
    coordination_error: float | None = None


class Structure(Immutable):
    """Structure of one assembly.

    Shares are those of particles with a closed shell. Means are those of the interior: particles
    whose neighbours have closed shells too. Errors that are None are missing in results of earlier
    versions.
    """

    source: str
    """Series or file whose particles were analysed: A, fused, or a file's name."""
    particles: int
    """Number of particles that were analysed."""
    left_out: int
    """Number of particles that overlap several others, or belong to other objects."""
    surface: int
    """Number of particles at the surface, whose structure is not known."""
    surface_error: float | None = None
    """Change of this number when the errors of the positions are added again."""
    shares: dict[StructureType, Measured]
    """Share of the particles with a closed shell, 0 to 1, by structure."""
    neighbour_distance_nm: Measured
    """Mean distance of neighbours in the interior."""
    neighbour_spread_nm: float
    """Standard deviation of single neighbour distances, errors of the positions included."""
    neighbour_spread_error_nm: float | None = None
    coordination: Measured
    """Mean number of neighbours in the interior."""
    packing_fraction: Measured | None
    """Volume share of the spheres in the Voronoi cells of the interior; None without diameters."""
    bond_order: dict[str, Measured]
    """Means of Steinhardt's parameters in the interior."""
    lattice_constant_nm: Measured | None
    """Edge of the fcc cube, over all fcc grains; None if there is no grain of fcc."""
    grains: list[Grain]
    grains_error: float | None = None
    """Standard error of the number of grains."""
    boundaries: list[Boundary]
    planes: list[StackingPlane]
    planes_error: dict[PlaneKind, float] | None = None
    """Standard error of the number of planes of each kind."""
    layers: list[Layer]
    position_error_nm: float
    """Standard deviation of one coordinate, from which the errors follow."""
    position_error_source: str
    notes: list[str] = []

    def headline(self) -> str:
        """Return `headline` of this structure."""
        shares = {name: share.value for name, share in self.shares.items()}
        return headline(shares, len(self.grains))


def headline(shares: Mapping[StructureType, float], grains: int) -> str:
    """Return the three largest shares, 0 to 1, and the number of grains in one line.

    No number is said where no grain is large enough to be one: an ordered assembly of some hundred
    particles has none, and is not without order.
    """
    largest = sorted(shares.items(), key=lambda item: -item[1])[:3]
    parts = [f"{name} {100 * share:.0f} %" for name, share in largest if share >= 0.01]
    if grains:
        parts.append(f"{grains} {'grain' if grains == 1 else 'grains'}")
    return ", ".join(parts) or "all particles at the surface"
