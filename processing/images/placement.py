"""Placements of a set of targets on a flipped grid, and what the images of one target add.

A placement is a mirror, a rotation in the plane and a shift. Sets that are their own mirror image
and sets of one or two targets have several placements that fit equally well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from processing.series import Float64

MIRROR = np.array([1.0, -1.0])
MAX_CANDIDATES = 4
"""Largest number of places given for one target while its place is not certain."""
IMAGE_ANGLE_ERROR_DEG = 5.0
"""Largest difference of the angle in an image from that of the positions, beside their error. The
angle in the image is right within 2 degrees. A scan that is rotated against the stage adds twice
its own angle, because the flip reverses that."""


class Side(StrEnum):
    """Side of the grid that faces up after the operator put it back."""

    FLIPPED = "flipped"
    SAME_SIDE = "same side up"
    UNCLEAR = "unclear"
    """Both sides explain the positions equally well."""
    LOST = "lost"
    """The targets are not among the positions found."""


@dataclass(frozen=True)
class Placement:
    """One way to place the targets on the positions found.

    Attributes
    ----------
    mirrored
        True if the grid was flipped.
    angle_deg
        Rotation in the plane (degrees), after the mirror at the x axis.
    shift_nm
        Shift (x, y) after the rotation (nm).
    matches
        Pairs of indices: of a target, and of the position found for it.
    rms_nm
        Root-mean-square distance of the matched targets from their positions (nm).
    angle_error_deg
        Error of the angle (degrees), if each position is off by the tolerance of the search.
    """

    mirrored: bool
    angle_deg: float
    shift_nm: tuple[float, float]
    matches: tuple[tuple[int, int], ...]
    rms_nm: float
    angle_error_deg: float

    def place(self, before_nm: Float64) -> Float64:
        """Return where targets [n, 2] lie after the flip (nm)."""
        source = before_nm * MIRROR if self.mirrored else before_nm
        return np.asarray(source @ rotation_in_plane(np.radians(self.angle_deg)).T + self.shift_nm)

    @property
    def angle_limit_deg(self) -> float:
        """Largest difference of an angle in an image from that of this placement."""
        return self.angle_error_deg + IMAGE_ANGLE_ERROR_DEG

    def has_angle(self, in_plane_deg: float) -> bool:
        """Tell whether an assembly with this angle in its images lies as this placement says."""
        difference_deg = abs((in_plane_deg - self.angle_deg + 180) % 360 - 180)
        return difference_deg <= self.angle_limit_deg


@dataclass(frozen=True)
class Constellation:
    """Targets found again.

    Attributes
    ----------
    side
        Side of the grid.
    placements
        Placements that fit equally many targets, the best fit first; a single one if the places are
        certain; none if no two targets were found.
    candidates_nm
        Places (x, y) of each target (nm), the most likely first; a single one where it is certain;
        none if the targets are lost.
    """

    side: Side
    placements: tuple[Placement, ...]
    candidates_nm: tuple[tuple[tuple[float, float], ...], ...]

    @property
    def best(self) -> Placement | None:
        """Best placement; None if no two targets were found."""
        return self.placements[0] if self.placements else None

    @property
    def has_one_angle(self) -> bool:
        """True if all placements turn the grid by the same angle within its error."""
        angles_deg = (each.angle_deg for each in self.placements)
        return self.best is not None and all(map(self.best.has_angle, angles_deg))


@dataclass(frozen=True)
class Recognised:
    """Target that was recognised by its images after a flip.

    Attributes
    ----------
    index
        Index of the target.
    place_nm
        Place (x, y) at which it was recognised (nm).
    in_plane_deg
        Rotation in the plane that its images show (degrees).
    """

    index: int
    place_nm: tuple[float, float]
    in_plane_deg: float


def narrow(
    constellation: Constellation,
    recognised: Recognised,
    before_nm: Float64,
    found_nm: Float64,
    tolerance_nm: float,
) -> Constellation | None:
    """Keep the placements that agree with a target that was recognised as flipped by its images.

    Two assemblies with the same particles also have the same images. If they were exchanged, the
    angle in the image differs from that of the line that joins them.

    Returns
    -------
    Constellation or None
        The placements that put the target at its place, at its angle; None if no placement does.
    """
    placements = tuple(
        each
        for each in constellation.placements
        if each.has_angle(recognised.in_plane_deg)
        and np.hypot(*(each.place(before_nm)[recognised.index] - recognised.place_nm))
        <= 2 * tolerance_nm  # places that are one tolerance apart are one candidate
    )
    if not placements:
        return None
    candidates_nm = candidates(before_nm, found_nm, placements, tolerance_nm)
    return Constellation(Side.FLIPPED, placements, candidates_nm)


def candidates(
    before_nm: Float64, found_nm: Float64, placements: Sequence[Placement], tolerance_nm: float
) -> tuple[tuple[tuple[float, float], ...], ...]:
    """Return the places of each target under every placement, without repetitions."""
    places: list[list[tuple[float, float]]] = [[] for _ in before_nm]
    for placement in placements:
        matches = dict(placement.matches)
        expected_nm = placement.place(before_nm)
        for index, known in enumerate(places):
            x_nm, y_nm = found_nm[matches[index]] if index in matches else expected_nm[index]
            new = all(np.hypot(x_nm - x, y_nm - y) > tolerance_nm for x, y in known)
            if new and len(known) < MAX_CANDIDATES:
                known.append((float(x_nm), float(y_nm)))
    return tuple(tuple(each) for each in places)


def rotation_in_plane(angle_rad: float) -> Float64:
    """Return the matrix [2, 2] of a rotation."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[c, -s], [s, c]])
