"""Results of processing: the contents of summary.json and of the results in a notebook."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from processing.structure_results import Structure

SeriesName = Literal["A", "B"]


class FusionRule(StrEnum):
    """Rules that fuse the volumes of A and B; docs/decisions explains the default."""

    MASKED = "masked"
    """Haar detail with the larger activity, after a majority filter; the default."""
    PAPER = "paper"
    """Signed maximum of every Haar band, as printed in the paper."""
    MEAN = "mean"
    """Plain mean of both volumes."""
    DEPTH_WEIGHTED = "depth-weighted"
    """Mean weighted by the distance from the side where each beam leaves."""


class Result(BaseModel):
    """Base of the results: immutable, without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Trust(StrEnum):
    """Trust that a count deserves."""

    TRUSTED = "trusted"
    """The images are explained by the particles found; the interval is a 95 % interval."""
    DOUBTFUL = "doubtful"
    """A part of the images does not fit; the interval is no 95 % interval."""
    REFUSED = "refused"
    """The particles found do not explain the images; the count means nothing."""


class Cause(StrEnum):
    """Causes of doubt."""

    NOISE = "noise"
    """The images hold hardly more than noise."""
    NOT_SPHERES = "not-spheres"
    """Equal spheres leave a large part of the images unexplained."""
    SEVERAL_SIZES = "several-sizes"
    """The objects differ in size or brightness."""
    MERGED = "merged-objects"
    """Spheres overlap: larger bodies were filled with spheres."""
    ALIGNMENT = "alignment"
    """The images do not show one object in one place."""
    ANGLES = "angles"
    """The tilt angles or the tilt axis contradict the images."""
    RESPONSE = "response"
    """The intensity does not grow with the material."""
    UNDERSAMPLED = "undersampled"
    """The tilts are too few, or too far apart, for the size of the object."""
    SEVERAL_OBJECTS = "several-objects"
    """The particles form several bodies, or two that a few contacts join."""
    INPUT = "input"
    """The files are odd or contradict each other."""
    EXIT_SIDE = "exit-side-hidden"
    """One series alone: the blurred side, where the beam leaves, may hide particles."""


class Verdict(Result):
    """Trust in a count, with its reasons."""

    state: Trust
    reasons: tuple[str, ...] = ()
    """One line for each cause, the gravest first."""
    causes: tuple[Cause, ...] = ()
    """Cause of each reason."""

    def lines(self, cause: Cause) -> list[str]:
        """Return the reasons with a cause."""
        pairs = zip(self.reasons, self.causes, strict=True)
        return [reason for reason, known in pairs if known is cause]


class Count(Result):
    """Number of particles with its 95 % interval."""

    n: int = Field(ge=0)
    n_low: int = Field(ge=0)
    n_high: int = Field(ge=0)
    verdict: Verdict | None = None
    """Trust in the count; None for a count that was not compared with the images. The interval of
    a doubtful count is widened by the unexplained share and is no 95 % interval."""

    @property
    def is_refused(self) -> bool:
        """True if the count means nothing."""
        return self.verdict is not None and self.verdict.state is Trust.REFUSED


class ParticleKind(Result):
    """Particles of one size and material among several.

    Fields that are None are of an earlier version.
    """

    diameter_nm: float = Field(gt=0)
    name: str | None = None
    """Name that the user gave."""
    signal: float | None = None
    """Integrated signal of a particle, in signals of the first kind."""
    particles: int = Field(ge=0)
    n_low: int | None = None
    n_high: int | None = None
    """95 % interval of `particles`."""
    share_low: float | None = None
    share_high: float | None = None
    """95 % interval of the share of this kind among all particles."""
    spread: float | None = None
    """Standard deviation of the diameters (nm), without that of their measurement."""
    spread_se: float | None = None


class Shape(Result):
    """Shape of the particles, as it was given."""

    name: str
    """Shape and size, as ``rod:6x20``."""
    aspherical_nm: tuple[float, float, float]
    """Sizes by which OVITO draws the shape (nm); see `ParticleTable`."""


class Diameter(Result):
    """Sphere diameter in use, and its source."""

    value: float = Field(gt=0)
    """Diameter (nm); that of the largest kind, if there are several."""
    source: Literal["given", "estimated"]
    from_pair_distance: float | None = None
    """Cross-check: particle spacing at the first peak of g(r) (nm)."""
    shape: Shape | None = None
    """Shape of particles that are no spheres, whose width `value` is."""
    kinds: list[ParticleKind] = []
    """Kinds of particles by size or material, the brightest first; empty if all are of one."""
    name: str | None = None
    """Name that the user gave to particles of one kind."""
    mean: float | None = None
    """Mean of the particles' own diameters (nm); this and the following are None where they were
    not measured."""
    spread: float | None = None
    """Standard deviation of the diameters inside a kind (nm), without that of their measurement."""
    spread_se: float | None = None
    """Standard error of `spread` (nm)."""
    se_rms: float | None = None
    """Standard error of a particle's diameter (nm), rms over the particles; that of the common
    scale is not included."""
    scale_se: float | None = None
    """Standard error of the common scale (nm), that is of `value` and `mean`; None if the diameter
    was given, or was not measured by the form factor of the images."""

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each kind; empty if they have none."""
        found = tuple(kind.name for kind in self.kinds) or (self.name,)
        return tuple(name for name in found if name is not None)


class Sampling(Result):
    """Part of the recorded images that was processed, and its binning."""

    recorded_px: tuple[int, int]
    """Width and height of a recorded image."""
    crop_px: tuple[int, int, int, int]
    """First column, first row, width and height of the part, in recorded pixels. Row 0 is the first
    row of the file, with the tilt axis along y."""
    bin: int = Field(default=1, ge=1)
    """Side of the square of recorded pixels that is averaged to one."""

    @property
    def offset_px(self) -> tuple[float, float]:
        """Distance (y, x) of the part's centre from the recorded image's, in recorded pixels."""
        (columns, rows), (x, y, width, height) = self.recorded_px, self.crop_px
        return y + (height - rows) / 2, x + (width - columns) / 2

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a processed image."""
        return self.crop_px[3] // self.bin, self.crop_px[2] // self.bin

    @property
    def is_whole(self) -> bool:
        """True if images are processed as they were recorded."""
        return self.bin == 1 and self.crop_px == (0, 0, *self.recorded_px)


class SeriesInputs(Result):
    """Facts that were read from the files of one series, each with its source."""

    file: str
    format: str
    images: int
    columns: int
    rows: int
    sample_type: str
    pixel_nm: float | None
    pixel_source: str
    pixel_assumed: bool = False
    """True if no file knows the pixel size: `pixel_nm` is assumed."""
    angles_deg: list[float] | None
    """Tilt angles in the order of the images, before `tilt_sense` multiplies them."""
    angles_source: str
    angle_order: str | None
    tilt_axis_deg: float | None
    """Angle of the tilt axis in the images as recorded, from +y towards -x; None if unknown."""
    tilt_axis_source: str
    tilt_sense: int
    dose_e_per_A2: float | None = None
    """Total dose of the images (electrons per square angstrom)."""
    notes: list[str] = []
    """One line for each oddity, with what was done about it."""
    doubts: list[str] = []
    """One line for each reason not to trust the count."""


class LeftOut(StrEnum):
    """Reasons why an image was left out."""

    MARKED = "as marked"
    """Marked by the session, in the files or with `--drop`."""
    RETAKEN = "the tilt was recorded again"
    """Marked by the session, and a later image of the same tilt is in use."""
    MISSING = "a part of it is missing"
    MISFIT = "it does not fit the other images"
    OVERLAPPED = "another object overlaps the one that is counted"


class ImageAlignment(Result):
    """Final alignment of one recorded image."""

    shift_px: tuple[float, float]
    """Displacement (y, x) of the object from the image's centre (recorded px)."""
    residual_px: float
    """Remaining shift between the aligned image and its re-projection (recorded px)."""
    left_out: LeftOut | None = None
    """None for an image in use."""


class Deformation(Result):
    """Deformation of the specimen from the first to the last image of a series.

    Axes are those of the particle tables. Strains are changes of length, divided by the length:
    negative where the specimen shrinks. The standard errors hold for the kind of field in use.
    """

    strain: tuple[float, float, float]
    """Along x, y and z, in the middle of the specimen."""
    strain_se: tuple[float, float, float]
    lean: tuple[float, float, float]
    """Change of the angle between x and y, x and z, y and z (radians)."""
    lean_se: tuple[float, float, float]
    uneven: tuple[float, float, float]
    """Mean strain at the surface at +x, +y and +z minus that at the opposite surface."""
    uneven_se: tuple[float, float, float]
    moved_nm: float
    """Largest displacement of a particle against the middle of the specimen."""
    steady: bool
    """False if it was faster at first."""


class SeriesSummary(Result):
    """One tilt series after alignment and reconstruction."""

    tilts: int
    """Number of images used."""
    excluded: list[int]
    """Sections of the images left out; `warnings` gives the reasons."""
    align_rms_px: float
    """Residual shift between aligned images and their re-projections, rms over the tilts (recorded
    px)."""
    tilt_axis_deg: float
    """In-plane angle between the tilt axis found and the y axis of the image (degrees)."""
    images: list[ImageAlignment] = []
    """Alignment of each image, [section]; empty in results of earlier versions."""
    sampling: Sampling | None = None
    """Crop and binning; None in results of earlier versions."""
    inputs: SeriesInputs | None = None
    """Facts that were read from files; None for images that were made in memory."""
    deformation: Deformation | None = None
    """Deformation that the fit follows, in A's frame if both series were fitted together; None if
    the images ask for none."""


class Registration(Result):
    """Pose of B in A: p_A = scale * matrix . p_B + shift_nm.

    Points are (x, y, z) in nm, each from the centre of its volume.
    """

    matrix: list[list[float]]
    """Rotation matrix, 3 x 3, proper (det +1)."""
    shift_nm: tuple[float, float, float]
    score: float
    """Fraction of the particles that are paired at the optimum, 0 to 1."""
    runner_up: float
    """Largest such fraction at any other optimum: one lattice step away, unflipped or mirrored."""
    in_plane_deg: float
    """Angle phi of p_B = Rz(phi) . Rseat . F . p_A (degrees)."""
    seat_tilt_deg: float
    scale: float = 1.0
    """Size of A divided by size of B: shrinkage between the two series."""
    rms_nm: float
    """Distance between paired particle centres, rms (nm)."""
    sense_reversed: bool = False
    """True if B fits only with the opposite sign of its angles, which was taken."""


class Fusion(Result):
    """Rule by which A and B were fused, with its wavelet and decomposition level."""

    rule: FusionRule
    wavelet: str
    level: int


class Counts(Result):
    """Number of particles in each volume."""

    A: Count
    B: Count | None = None
    fused: Count | None = None


class Summary(Result):
    """Contents of summary.json."""

    version: str = ""
    """Version of dualtilt that made the results; empty in those of earlier versions."""
    counts: Counts
    verdict: Verdict | None = None
    """Verdict on the fused count, or on that of A if there is no fused one."""
    diameter_nm: Diameter
    series: dict[SeriesName, SeriesSummary]
    registration: Registration | None = None
    fusion: Fusion | None = None
    pixel_nm: float = Field(gt=0, lt=1e6)
    """Voxel size of the volumes of A (nm); `series` says how A was binned."""
    structure: Structure | None = None
    """Structure of the assembly; None where it was not or could not be analysed."""
    warnings: list[str] = []
    files: dict[str, str] = {}
    """Path of each file, relative to the session folder, by its role."""

    @property
    def is_refused(self) -> bool:
        """True if the final count means nothing."""
        return self.verdict is not None and self.verdict.state is Trust.REFUSED
